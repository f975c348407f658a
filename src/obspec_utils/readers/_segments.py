"""Byte ranges of one object that a reader keeps in memory, of any length and wherever they lie."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING

from obspec_utils.readers._strategy import NO_PIECE

if TYPE_CHECKING:
    from obspec_utils.readers._readahead import ReadaheadPolicy
    from obspec_utils.readers._strategy import CachedPiece

__all__ = ["SegmentCache"]


class SegmentCache:
    """An LRU of segments, which do not overlap.

    There is no lock. The sorted starts are replaced at once, and each change computes them and the size again; threads
    that change the cache concurrently may evict one segment too many.

    Parameters
    ----------
    max_size
        Budget for the segments in bytes.
    policy
        Counts the bytes used.

    Attributes
    ----------
    size
        Bytes of all segments.
    used
        Starts of the segments that were used since they were added.
    """

    def __init__(self, max_size: int, policy: ReadaheadPolicy) -> None:
        self._policy = policy
        self.max_size = max_size
        self.size = 0
        self.used: set[int] = set()
        self._segments: OrderedDict[int, CachedPiece] = OrderedDict()
        self._starts: list[int] = []

    def find(self, position: int) -> CachedPiece:
        """Return the segment that holds a position, and note its use; `NO_PIECE` if there is none."""
        segment = self.peek(position)
        if segment is not NO_PIECE:
            if segment[0] not in self.used:
                self.used.add(segment[0])
                self._policy.used_bytes += segment[1] - segment[0]
            with suppress(KeyError):  # evicted this moment by another thread
                self._segments.move_to_end(segment[0])
        return segment

    def peek(self, position: int) -> CachedPiece:
        """Return the segment that holds a position; `NO_PIECE` if there is none."""
        starts = self._starts
        number = bisect_right(starts, position) - 1
        segment = self._segments.get(starts[number], NO_PIECE) if number >= 0 else NO_PIECE
        return segment if position < segment[1] else NO_PIECE

    def next_start(self, position: int, default: int) -> int:
        """Return the start of the first segment after a position, or `default` if there is none before that."""
        starts = self._starts
        number = bisect_right(starts, position)
        return min(starts[number], default) if number < len(starts) else default

    def add(self, segments: list[CachedPiece]) -> None:
        """Keep segments, and evict others until the budget holds; those that overlap others are left out."""
        for segment in segments:
            start, stop, _ = segment
            if self.peek(start) is NO_PIECE and self.next_start(start, stop) >= stop:
                self._segments[start] = segment
        self.evict(0)

    def evict(self, space: int) -> None:
        """Evict the least recently used segments until there is space for so many bytes."""
        size = sum(stop - start for start, stop, _ in list(self._segments.values()))
        while size > max(0, self.max_size - space) and self._segments:
            with suppress(KeyError):  # another thread evicted the last one
                start, stop, _ = self._segments.popitem(last=False)[1]
                size -= stop - start
        self.size = size
        self._starts = sorted(self._segments)
        self.used.intersection_update(self._starts)

    def demote(self, starts: list[int]) -> None:
        """Make the segments that begin at offsets the first to be evicted."""
        for start in starts:
            with suppress(KeyError):  # evicted
                self._segments.move_to_end(start, last=False)
