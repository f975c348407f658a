"""Fetch an object in blocks: the missing ones, and more if the access pattern suggests it."""

from __future__ import annotations

from collections import deque
from functools import partial
from logging import INFO
from typing import TYPE_CHECKING, cast

from obspec_utils._io.buffers import BufferList, concat
from obspec_utils._io.fetch import read_first
from obspec_utils._io.gc_pause import held
from obspec_utils._io.logs import log
from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS, REQUEST_SIZE, ByteRange, coalesce_blocks
from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.readers._block_cache import in_order
from obspec_utils.readers._readahead import Plan
from obspec_utils.readers._stats import ReaderStats
from obspec_utils.readers._strategy import NO_PIECE
from obspec_utils.readers._stream import STREAM_STEP, ResponseStream
from obspec_utils.readers._streamed_blocks import MAX_DRAIN, StreamedBlocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obspec_utils._io.response import Response
    from obspec_utils._version import Version
    from obspec_utils.readers._strategy import CachedPiece
    from obspec_utils.readers._version_options import VersionOptions

__all__ = ["BlockStrategy"]

# The maximum number of cached blocks that are fetched again, to request the missing blocks around them at once.
_MAX_GAP = 2


class BlockStrategy(StreamedBlocks):
    """Keep blocks of an object, a sixteenth of a chunk each, up to `budget` bytes.

    A chunk is the size of the first request, and the minimum size of a part of a longer fetch. At most `connections`
    requests are in flight.
    """

    def __init__(
        self,
        store: object,
        path: str,
        versions: VersionOptions,
        chunk_size: int,
        budget: int,
        connections: int = MAX_CONCURRENT_REQUESTS,
        *,
        reads_ahead: bool = True,
    ) -> None:
        super().__init__(store, path, versions, chunk_size, budget, connections)
        self._reads_ahead = reads_ahead
        self._is_beginning = False  # whether a thread reads the first response

    @property
    def _has_begun(self) -> bool:
        """Whether the first response has been read, and its format recognised."""
        return self.version is not None and not self._is_beginning

    def load_once(self, start: int, stop: int) -> tuple[BufferList, CachedPiece]:
        # Later, threads only wait where they miss the same bytes: see `RunningBatches`.
        if self._has_begun:
            return self.load(start, stop)
        first = self._once(partial(self._request_first, start, stop))
        found = self.cached(start, stop) if first is None else None
        return found or self.load(start, stop, first)

    def load(self, start: int, stop: int, first: BufferList | None = None) -> tuple[BufferList, CachedPiece]:
        stop = min(stop, self.size)
        if start >= stop:
            return BufferList([], start), NO_PIECE
        if first is None or start >= first.stop:
            return self._load_blocks(start, stop)
        if stop <= first.stop:
            return first, NO_PIECE
        rest, piece = self._load_blocks(first.stop, stop)
        return BufferList([*first.pieces(start, first.stop), *rest.pieces(first.stop, stop)], start), piece

    def stats(self) -> ReaderStats:
        policy = self._policy
        return ReaderStats(self._fetcher.requests, policy.fetched_bytes, policy.used_bytes, self._cache.size)

    def clear(self) -> None:
        super().clear()
        self._cache.clear()
        self._stream = None

    def _request_first(self, start: int, stop: int) -> BufferList | None:
        """Send the first request, for a read from `start` to `stop`; None if another thread has done so."""
        if self._has_begun:
            return None
        length = self._chunk_size
        if start < length:  # all of the read if it is short; the rest of a long one follows in parallel
            length = max(length, min(-(-stop // length) * length, REQUEST_SIZE))
        self._is_beginning = True
        try:
            first = self.begin(self._fetcher.first(length))
        finally:
            self._is_beginning = False
        span = ByteRange(start, min(stop, first.stop))
        kept = self._cached(self._block_indices(span)).values()  # which counts as a use
        self._policy.used_bytes += max(0, span.length - sum(len(block[2]) for block in kept))
        return first

    def begin(self, response: Response, *, requests: int = 0) -> BufferList:
        """Pin the version of the first response; return and keep its bytes, or none if it is read as it arrives.

        `requests` is the number of requests that were sent for it elsewhere.
        """
        self._fetcher.requests += requests
        self._streams = response.streams
        self.ranges_ignored = not response.ranged
        version = self._versions.version_of(response)
        if self._streams and (self.ranges_ignored or self._is_short(response.span.length)):
            self.pin(version)
            self._stream = ResponseStream(response, self._block_size)
            return BufferList([])
        first = BufferList([read_first(self._store, response, version)])
        self.pin(version)
        # If the server ignored the range, this is the whole object.
        numbers = self._block_indices(ByteRange(0, first.stop))[: self._cache.max_blocks]
        kept = min(first.stop, len(numbers) * self._block_size)
        self._policy.note_fetch(kept, first.stop)
        self._add_blocks(deque([first]), numbers, range(0))
        return first

    def _is_short(self, length: int) -> bool:
        """Return whether to read a response as it arrives: it is longer than a step, but soon drained."""
        return STREAM_STEP * self._block_size < length <= MAX_DRAIN * self._chunk_size

    def _load_blocks(self, start: int, stop: int) -> tuple[BufferList, CachedPiece]:
        wanted = self._block_indices(ByteRange(start, stop))
        if len(wanted) > self._cache.max_blocks:
            self._drain_stream(whole=True)
            return self._read_uncached(ByteRange(start, stop), wanted), NO_PIECE
        blocks = self._cached(wanted)
        while missing := [number for number in wanted if number not in blocks]:
            self._batches.wait(self._span(missing[0], missing[-1]))
            self.check_open()
            blocks.update(
                self._cached(missing) or self._read_stream(missing, wanted) or self._fetch_blocks(missing, wanted)
            )
        return in_order(blocks, wanted)

    def _fetch_blocks(self, missing: Sequence[int], wanted: range) -> dict[int, CachedPiece]:
        """Fetch and keep the missing blocks and those to be read ahead; none if another thread does, or has."""
        alone = self._span(missing[0], missing[-1])
        span, least_part = self._plan(missing)
        blocks = self._fetch_span(span, least_part, missing, wanted, is_ahead=span != alone)
        if blocks is None:  # what is only read ahead must not fail a read
            blocks = self._fetch_span(alone, self._chunk_size, missing, wanted, is_ahead=False)
        return blocks or {}

    def _fetch_span(
        self, span: ByteRange, least_part: int, missing: Sequence[int], wanted: range, *, is_ahead: bool
    ) -> dict[int, CachedPiece] | None:
        """Fetch and keep the absent blocks of a range; None if that failed, and may do so, because more `is_ahead`."""
        is_short = span.length <= STREAM_STEP * self._block_size and self._fetcher.connections > STREAM_STEP + 1
        self._drain_stream(whole=not is_short)
        with held(self._batches.lock):
            if len(self._absent(missing)) < len(missing):  # another thread was faster
                return {}
            absent = self._absent(self._block_indices(span))
            lacking, cached = self._split(absent)
            batch = self._batches.add(lacking)
        with batch:
            try:
                return self._fetch_absent(absent, lacking, cached, least_part, missing, wanted)
            except (ObjectChangedError, FileNotFoundError):
                raise
            except Exception as error:
                if not is_ahead:
                    raise
                log(INFO, "Read-ahead of %r failed: %s", self._path, error)
        return None

    def _fetch_absent(
        self,
        absent: Sequence[int],
        lacking: Sequence[ByteRange],
        cached: Sequence[BufferList],
        least_part: int,
        missing: Sequence[int],
        wanted: range,
    ) -> dict[int, CachedPiece]:
        """Fetch the ranges that blocks lack, and keep the blocks, of which some bytes may be `cached` elsewhere."""
        length = sum(span.length for span in lacking)
        part_size = self._fetcher.part_size(least_part, length, len(lacking))
        one_part = len(lacking) == 1 and length <= part_size and not self.ranges_ignored
        if one_part and self._streams and self._is_short(length):
            blocks = self._open_stream(lacking[0], missing, wanted)
            if blocks:
                return blocks
        self._cache.evict(len(absent))
        fetched = self._fetch_spans(lacking, part_size)
        self._policy.note_fetch(lacking[-1].stop, length)
        if cached:
            reused = sum(len(parts) for parts in cached)
            self._policy.used_bytes -= reused  # they count a second time, as parts of blocks
            fetched = deque(sorted([*cached, *fetched], key=lambda parts: parts.start))
        return self._add_blocks(fetched, absent, wanted)

    def _absent(self, numbers: Sequence[int]) -> list[int]:
        """Return those of the blocks, in ascending order, that are neither cached nor being fetched."""
        absent = self._cache.absent(numbers)
        if not absent or self._batches.overlapping(self._span(absent[0], absent[-1])) is None:
            return absent
        return [number for number in absent if self._batches.overlapping(self._span(number, number)) is None]

    def _split(self, absent: Sequence[int]) -> tuple[list[ByteRange], list[BufferList]]:
        """Return the byte ranges to fetch for some blocks, and the bytes of them that are in memory elsewhere."""
        max_gap = _MAX_GAP if self._reads_ahead else 0
        return list(coalesce_blocks(absent, self._block_size, self.size, max_gap=max_gap)), []

    def _plan(self, missing: Sequence[int]) -> tuple[ByteRange, int]:
        """Return the byte range to fetch, and the minimum size of a part."""
        span = self._span(missing[0], missing[-1])
        if not self._reads_ahead:
            return Plan(span, self._chunk_size)
        if not self.ranges_ignored:
            return self._policy.plan(span, self.size)
        # The rest of the object is sent in any case: read as much of it as half of the memory holds.
        ahead = self._span(missing[0], missing[0] + self._cache.max_blocks // 2 - 1)
        return ByteRange(span.start, max(span.stop, ahead.stop)), self.size

    def _fetch_spans(self, spans: Sequence[ByteRange], part_size: int) -> deque[BufferList]:
        """Fetch ranges in parallel parts of about `part_size`; return the parts in order.

        The caller frees each part once it is copied.
        """
        if self.ranges_ignored:
            return deque(self._read_whole(span) for span in spans)
        return self._fetcher.parts(spans, part_size, cast("Version", self.version))

    def _read_whole(self, span: ByteRange) -> BufferList:
        """Read a range out of a response that holds the whole object, from a server that ignores ranges.

        The response stays open for the next read, so that reading forward takes one request.
        """
        stream, self._stream = self._stream, None
        try:
            if stream is None or not stream.covers(span):
                response = self._fetcher.first(span.length, span.start)
                self.pin(self._versions.version_of(response))
                self.ranges_ignored = not response.ranged  # a server may serve ranges sometimes
                stream = ResponseStream(response, self._block_size)
            parts = stream.read_to(span.stop, start=span.start)
        except Exception as error:  # noqa: BLE001 - the range is requested again, with retries, which raises the error
            log(INFO, "Request bytes %s to %s of %r again: %s", *span, self._path, error)
            return BufferList(self._fetcher.ranges([span], cast("Version", self.version), 1), span.start)
        if stream.position < stream.stop:
            self._stream = stream
        return BufferList(list(parts.pieces(*span)), span.start)

    def _read_uncached(self, span: ByteRange, wanted: range) -> BufferList:
        """Serve a read that is longer than the cache, without caching it."""
        cached = self._cached(sorted(number for number in self._cache.numbers() if number in wanted)).values()
        edges = [span.start, *(edge for start, stop, _ in cached for edge in (start, stop)), span.stop]
        runs = [ByteRange(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if start < stop]
        length = sum(run.length for run in runs)
        fetched = self._fetch_spans(runs, self._fetcher.part_size(self._chunk_size, length, len(runs)))
        self._policy.note_fetch(span.stop, length)
        self._policy.used_bytes += length
        found = [BufferList([data], start) for start, _, data in cached]
        ordered = sorted([*found, *fetched], key=lambda parts: parts.start)
        return concat(ordered)
