"""Fetch an object by blocks, and by the structure of its file where the format is known."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from logging import INFO
from typing import TYPE_CHECKING, cast

from obspec_utils._io.gc_pause import held
from obspec_utils._io.logs import log
from obspec_utils._ranges import coalesce_blocks
from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.readers._blocks import BlockStrategy
from obspec_utils.readers._readahead import Plan
from obspec_utils.readers._strategy import NO_PIECE
from obspec_utils.readers._structure_ahead import StructureReadahead, structure_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obspec_utils._io.buffers import BufferList
    from obspec_utils._io.response import Response
    from obspec_utils._ranges import ByteRange
    from obspec_utils._version import Version
    from obspec_utils.readers._stats import ReaderStats
    from obspec_utils.readers._strategy import CachedPiece
    from obspec_utils.readers._version_options import VersionOptions

__all__ = ["StructuredStrategy"]

# Requests for small ranges wait for the server more than they use its bandwidth: a walk through 600 structures takes
# 0.5 s with 64 in flight and 0.8 s with 18.
_MAX_REQUESTS = 64
# This part of the budget may be in flight in more requests than of other ranges: connections buffer what they receive.
_BUDGET_IN_FLIGHT = 16


class StructuredStrategy(BlockStrategy):
    """Recognise the format by the first bytes; then read ahead what the structure of the file leads to.

    What is not of a known structure or chunk is fetched by blocks. Half of the budget is for either.

    Parameters
    ----------
    whole_structure
        Whether to fetch the whole structure with the first read, as far as its budget goes.
    """

    __slots__ = ("_ahead",)  # faster, for `find`

    def __init__(
        self,
        store: object,
        path: str,
        versions: VersionOptions,
        chunk_size: int,
        budget: int,
        *,
        whole_structure: bool,
    ) -> None:
        super().__init__(store, path, versions, chunk_size, budget)
        self._budget = budget
        self._whole_structure = whole_structure
        self._ahead: StructureReadahead | None = None
        self._is_recognised = False

    def find(self, position: int) -> CachedPiece:
        ahead = self._ahead
        if ahead is not None:
            segment = ahead.find(position)
            if segment is not NO_PIECE:
                return segment
        return super().find(position)

    def cached(self, start: int, stop: int) -> tuple[BufferList, CachedPiece] | None:
        ahead = self._ahead
        if ahead is None:
            return super().cached(start, stop)
        stop = min(stop, self.size)
        return ahead.cached(start, stop) if start < stop else None

    def begin(self, response: Response, *, requests: int = 0) -> BufferList:
        first = super().begin(response, requests=requests)
        if self.size and self._stream is not None and not self.ranges_ignored:
            with suppress(Exception):  # a read that needs it raises the error
                self._load_blocks(0, 1)  # the first to arrive
        self._recognise()
        return first

    def load(self, start: int, stop: int, first: BufferList | None = None) -> tuple[BufferList, CachedPiece]:
        ahead = self._ahead
        if first is None and ahead is not None and start < min(stop, self.size):
            found = ahead.load(start, min(stop, self.size))
            if found is not None:
                return found
        loaded = super().load(start, stop, first)
        if not self._is_recognised:
            self._recognise()
        return loaded

    def stats(self) -> ReaderStats:
        stats, ahead = super().stats(), self._ahead
        if ahead is None:
            return stats
        return replace(stats, bytes_kept=stats.bytes_kept + ahead.segments.size)

    def clear(self) -> None:
        super().clear()
        self._ahead = None

    def _recognise(self) -> None:
        """Parse the structure from now on if the first block is of a known format; once, when that is in memory."""
        with held(self._batches.lock):
            first = self._peek_block(0)
            if self._is_recognised or self.ranges_ignored or first is NO_PIECE:
                return
            self._is_recognised = True
        structure = structure_of(first[2], self.size)
        if structure is None:
            return
        ahead = StructureReadahead(
            structure,
            self.size,
            self._budget // 2,
            self._fetch_segments,
            self._find_block,
            self._peek_block,
            self._policy,
            self._batches,
        )
        if not ahead.is_understood():
            return
        # What is fetched by structure could be in an open response, too.
        self._streams = False
        self._drain_stream(whole=True)
        self._cache.max_blocks = max(1, self._budget // self._block_size // 2)
        self._ahead = ahead
        if self._whole_structure:
            ahead.load_all()

    def _cached(self, numbers: Sequence[int]) -> dict[int, CachedPiece]:
        blocks, ahead = super()._cached(numbers), self._ahead
        if ahead is None or len(blocks) == len(numbers):
            return blocks
        for number in numbers:
            span = self._span(number, number)
            if number not in blocks and (found := ahead.cached(*span)):
                blocks[number] = (span.start, span.stop, b"".join(found[0].pieces(*span)))
        return blocks

    def _absent(self, numbers: Sequence[int]) -> list[int]:
        absent, ahead = super()._absent(numbers), self._ahead
        if ahead is None:
            return absent
        return [number for number in absent if not ahead.is_cached(*self._span(number, number))]

    def _split(self, absent: Sequence[int]) -> tuple[list[ByteRange], list[BufferList]]:
        ahead = self._ahead
        if ahead is None:
            return super()._split(absent)
        return ahead.split(coalesce_blocks(absent, self._block_size, self.size))

    def _plan(self, missing: Sequence[int]) -> tuple[ByteRange, int]:
        ahead = self._ahead
        if ahead is not None and ahead.has_failed:
            return Plan(self._span(missing[0], missing[-1]), self._chunk_size)
        return super()._plan(missing)

    def _find_block(self, position: int) -> CachedPiece:
        return super().find(position)

    def _peek_block(self, position: int) -> CachedPiece:
        return self._cache.peek(position // self._block_size)

    def _fetch_segments(self, spans: Sequence[ByteRange]) -> list[bytes] | None:
        average = -(-sum(span.length for span in spans) // len(spans))
        connections = min(_MAX_REQUESTS, max(self._fetcher.connections, self._budget // _BUDGET_IN_FLIGHT // average))
        try:
            return self._fetcher.ranges(spans, cast("Version", self.version), connections)
        except ObjectChangedError:
            raise
        except Exception as error:  # noqa: BLE001 - what is to be read is fetched by itself, which raises the error
            log(INFO, "Read-ahead of %r failed: %s", self._path, error)
            return None
