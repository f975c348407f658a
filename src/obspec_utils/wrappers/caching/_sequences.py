"""Decide how far the block cache reads ahead. Block numbers in, block numbers out, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["Sequences"]

# The number of places at which an object is read sequentially, in turns. More would mistake random reads for sequences.
_MAX_SEQUENCES = 8


class Sequences:
    """Find sequential misses in one object, and extend them.

    A miss starts a sequence. A miss of the block at its end continues it, and fetches as many blocks as the sequence
    has fetched before: 1, 1, 2, 4 and so on. So fewer blocks are read ahead and never used than were read in sequence.

    Hits are not observed, which would make them slower: a reader at the end of a sequence has read it.
    """

    __slots__ = ("_lengths",)

    def __init__(self) -> None:
        self._lengths: dict[int, int] = {}  # blocks fetched, by the number of the block that continues the sequence

    def extend(self, start: int, stop: int, max_blocks: int, cached: Container[int]) -> int:
        """Note a miss of the blocks from `start` to `stop`; return where to end their fetch.

        Parameters
        ----------
        start, stop
            The missing blocks that the caller fetches.
        max_blocks
            The maximum number of blocks to fetch, unless more are missing.
        cached
            The blocks that are in the cache. A step is no longer than what of the sequence is there: the rest is still
            being fetched, by parallel reads, or was evicted, as blocks far ahead would be before they are read.
        """
        lengths = self._lengths
        length = lengths.pop(start, 0)
        step = min(length, max_blocks)
        while step > stop - start and start - step not in cached:
            step //= 2
        end = max(stop, start + step)
        # Blocks of a longer sequence that ends there may be read again, from a shared cache.
        lengths[end] = max(length + end - start, lengths.get(end, 0))
        for oldest in list(lengths)[:-_MAX_SEQUENCES]:
            lengths.pop(oldest, None)
        return end
