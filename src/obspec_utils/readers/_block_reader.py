"""What the readers that keep a part of the object share: its blocks, and how much to fetch when one is missing."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from obspec_utils._io.buffers import BufferList
from obspec_utils._io.request import request_first
from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS, REQUEST_SIZE, ByteRange, block_indices, coalesce_blocks
from obspec_utils._version import Version
from obspec_utils.readers._block_cache import BlockCache
from obspec_utils.readers._cached_piece import NO_PIECE
from obspec_utils.readers._readahead import ReadaheadPolicy
from obspec_utils.readers._store_reader import StoreReader
from obspec_utils.readers._stream import STEP, ResponseStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obspec import ObjectMeta

    from obspec_utils._io.response import Response
    from obspec_utils.readers._cached_piece import CachedPiece

__all__ = ["BlockReader"]

# A chunk is that many blocks: what is fetched for a small read that nothing lies near, and what is kept or forgotten.
_BLOCKS_A_CHUNK = 16
# Smaller blocks would cost more to look after than to fetch.
_MIN_BLOCK_SIZE = 4096
# Runs of missing blocks with no more blocks between them are one request: fetching those again takes less time.
_MAX_GAP = 2
# In chunks: what is left of a response is read to its end, if it is no more than this, before others are asked for.
_MAX_DRAIN = 4


class BlockReader(StoreReader):
    """Read an object by blocks, fetched when they are needed, and more around them where the reads so far suggest it.

    Parameters
    ----------
    chunk_size
        Bytes of the first piece, and the least length of a part where a longer run is fetched in several.
    budget
        The most bytes kept.
    connections
        The most requests in flight.
    """

    __slots__ = ("_block_size", "_get", "_note_read", "_touch")

    def __init__(
        self, store: object, path: str, chunk_size: int, budget: int, connections: int = MAX_CONCURRENT_REQUESTS
    ) -> None:
        self._chunk_size = chunk_size
        self._block_size = max(chunk_size // _BLOCKS_A_CHUNK, min(chunk_size, _MIN_BLOCK_SIZE))
        self._cache = BlockCache(max(1, budget // self._block_size))
        self._readahead = ReadaheadPolicy(chunk_size, budget)
        self._get = self._cache.get
        self._touch = self._cache.touch
        self._note_read = self._readahead.note_read
        self._connections = connections
        self._streams = True
        self._ranges_ignored = False
        self._stream: ResponseStream | None = None
        super().__init__(store, path)

    def _first_length(self, start: int, stop: int) -> int:
        if start >= self._chunk_size:
            return self._chunk_size
        # The read's end where it is near, in one request; of a long read, the rest follows in parallel.
        aligned = -(-stop // self._chunk_size) * self._chunk_size
        return max(self._chunk_size, min(aligned, REQUEST_SIZE))

    def _start_from(self, answer: Response) -> BufferList:
        self._streams = answer.streams
        self._ranges_ignored = not answer.ranged
        few, much = STEP * self._block_size, _MAX_DRAIN * self._chunk_size
        if not self._streams or not (few < answer.span.length <= much or self._ranges_ignored):
            return super()._start_from(answer)
        version = self._pin_version(answer)
        self._stream = ResponseStream(self._store, self._path, version, answer.span, self._block_size, answer)
        return BufferList([])

    def _keep(self, parts: BufferList) -> None:
        # Of a server that ignores ranges it may be the whole object. What is not kept of that was not read ahead.
        numbers = self._block_indices(ByteRange(0, parts.stop))[: self._cache.max_blocks]
        kept = min(parts.stop, len(numbers) * self._block_size)
        self._readahead.note_fetch(kept, kept)
        self._add_blocks(deque([parts]), numbers, range(0))

    def _release(self) -> None:
        super()._release()
        self._cache.clear()
        self._stream = None

    def _block_indices(self, span: ByteRange) -> range:
        return block_indices(span, self.size, self._block_size)

    def _span(self, number: int) -> ByteRange:
        start = number * self._block_size
        return ByteRange(start, min(start + self._block_size, self.size))

    def _find(self, position: int) -> CachedPiece:
        number = position // self._block_size
        window = self._get(number)
        try:
            self._touch(number)
        except KeyError:  # not used before; or evicted this moment, its bytes being as good as ever
            window = window or self._promote(number)
        if window is None:
            return NO_PIECE
        self._note_read(position)
        self._window = window
        if not self._open:  # closed meanwhile by another thread: nothing may stay
            self._release()
        return window

    def _promote(self, number: int) -> CachedPiece | None:
        window = self._cache.promote(number)
        if window is not None:
            self._readahead.used_bytes += len(window[2])
        return window

    def _fetch(self, start: int, stop: int) -> BufferList:
        first, last, _ = self._window
        if not first <= start < last:  # else it was noted when the window was opened
            self._note_read(start)
        wanted = self._block_indices(ByteRange(start, stop))
        if len(wanted) > self._cache.max_blocks:
            self._drain_stream(whole=True)
            return self._read_uncached(ByteRange(start, stop), wanted)
        pieces = {number: block for number in wanted if (block := self._cached(number)) is not None}
        missing = [number for number in wanted if number not in pieces]
        if missing:
            pieces.update(self._fetch_missing(missing, wanted))
        self._window = pieces[wanted[-1]]
        return BufferList([pieces[number][2] for number in wanted], start=pieces[wanted[0]][0])

    def _cached(self, number: int) -> CachedPiece | None:
        window = self._get(number)
        if window is None:
            return self._promote(number)
        with suppress(KeyError):  # evicted this moment
            self._touch(number)
        return window

    def _fetch_missing(self, missing: Sequence[int], wanted: range) -> dict[int, CachedPiece]:
        """Return what is missing of the blocks wanted now, from the response that is being read or from others."""
        blocks = self._read_stream(missing, wanted)
        missing = [number for number in missing if number not in blocks]
        return {**blocks, **self._fetch_blocks(missing, wanted)} if missing else blocks

    def _read_stream(self, missing: Sequence[int], wanted: range) -> dict[int, CachedPiece]:
        """Read on in the response that is open, if that leads to what is missing, up to the end of either."""
        # Whoever takes it out has it alone: another thread meanwhile makes one of its own.
        stream, self._stream = self._stream, None
        start, stop = self._span(missing[0]).start, self._span(missing[-1]).stop
        if stream is None or not stream.reaches_soon(ByteRange(start, stop)):
            self._stream = stream
            return {}
        return self._read_on(stream, stop, missing, wanted)

    def _read_on(
        self, stream: ResponseStream, stop: int, missing: Sequence[int], wanted: range
    ) -> dict[int, CachedPiece]:
        """Read on in a response that nobody else has, and keep it open if there is more."""
        begun = stream.position
        try:
            parts = stream.read_to(min(stop, stream.stop))
        except Exception:  # noqa: BLE001 - asked for again, in a request of its own; what is wrong shows there
            self._streams = stream.started
            return {}
        self._readahead.note_fetch(stream.position, stream.position - begun)
        numbers = self._block_indices(ByteRange(begun, stream.position))
        blocks = self._add_blocks(
            deque([parts]), numbers, wanted, self._keep_limit(stream.stop, stream.position - begun)
        )
        if stream.position < stream.stop:
            self._stream = stream
        return {number: blocks[number] for number in missing if number in blocks}

    def _keep_limit(self, stop: int, received: int) -> int | None:  # noqa: ARG002 - the hook's signature
        """Return how many blocks may be kept now that so many bytes were received of a response that ends at `stop`."""
        return None

    def _fetch_blocks(self, missing: Sequence[int], wanted: range) -> dict[int, CachedPiece]:
        """Fetch and keep what is missing of the blocks wanted now, and what the reads so far suggest beside it."""
        if self._ranges_ignored:
            return self._fetch_from_whole(missing, wanted)
        plan = self._readahead.plan(ByteRange(self._span(missing[0]).start, self._span(missing[-1]).stop), self.size)
        self._drain_stream(whole=plan.span.length > STEP * self._block_size or self._connections <= STEP + 1)
        lacking = set(missing)
        absent = [number for number in self._block_indices(plan.span) if number in lacking or number not in self._cache]
        runs = list(coalesce_blocks(absent, self._block_size, self.size, max_gap=_MAX_GAP))
        length = sum(run.length for run in runs)
        part_size = self._part_size(plan.least_part, length, len(runs))
        few, much = STEP * self._block_size, min(part_size, _MAX_DRAIN * self._chunk_size)
        if self._streams and len(runs) == 1 and few < length <= much:
            self._stream = ResponseStream(self._store, self._path, self._pinned_version(), runs[0], self._block_size)
            blocks = self._read_stream(missing, wanted)
            if len(blocks) == len(missing):
                return blocks
        self._cache.evict_for(len(absent))
        fetched = self._fetch_ranges(runs, part_size, self._connections)
        self._readahead.note_fetch(runs[-1].stop, length)
        return self._add_blocks(fetched, absent, wanted)

    def _fetch_from_whole(self, missing: Sequence[int], wanted: range) -> dict[int, CachedPiece]:
        """Read on in the response of a server without ranges, and keep what there is room for."""
        count = max(self._cache.max_blocks // 2, missing[-1] - missing[0] + 1)
        numbers = self._block_indices(ByteRange(self._span(missing[0]).start, self.size))[:count]
        run = ByteRange(self._span(numbers[0]).start, self._span(numbers[-1]).stop)
        self._cache.evict_for(len(numbers))
        fetched = self._fetch_ranges([run], run.length, 1)
        self._readahead.note_fetch(run.stop, run.length)
        return self._add_blocks(fetched, numbers, wanted)

    def _fetch_ranges(self, spans: Sequence[ByteRange], part_size: int, limit: int) -> deque[BufferList]:
        if not self._ranges_ignored:
            return super()._fetch_ranges(spans, part_size, limit)
        return deque(self._read_whole(span) for span in spans)

    def _read_whole(self, span: ByteRange) -> BufferList:
        """Read a span from a server that ignores ranges, out of a response that holds the whole object.

        It stays open for what follows, so reading forward takes one request, and no more than the span is in memory.
        """
        stream, self._stream = self._stream, None
        try:
            if stream is None or not stream.covers(span):
                stream = self._request_whole(span)
            parts = stream.read_to(span.stop, start=span.start)
        except Exception:  # noqa: BLE001 - requested by itself, with retries; what is wrong shows there
            (parts,) = super()._fetch_ranges([span], span.length, 1)
            return parts
        if stream.position < stream.stop:
            self._stream = stream
        return BufferList(list(parts.pieces(*span)), span.start)

    def _request_whole(self, span: ByteRange) -> ResponseStream:
        version = self._pinned_version()
        answer = request_first(self._store, self._path, span.length, start=span.start)
        version.check(self._path, Version.of(cast("ObjectMeta", answer.meta)))
        self._ranges_ignored = not answer.ranged  # a server may do so now and then
        return ResponseStream(self._store, self._path, version, answer.span, self._block_size, answer)

    def _drain_stream(self, *, whole: bool) -> None:
        """Make room for other requests: leave an open response of which much is left, read the `whole` of another."""
        if self._ranges_ignored:
            return
        stream, self._stream = self._stream, None
        if stream is None:
            return
        if stream.remaining > _MAX_DRAIN * self._chunk_size:
            # Some of it has been sent, as much as the buffers of a connection hold.
            self._readahead.fetched_bytes += _MAX_DRAIN * self._chunk_size
        elif whole:
            self._read_on(stream, stream.stop, (), range(0))
        else:
            self._stream = stream

    def _part_size(self, least: int, length: int, runs: int) -> int:
        """Return the size of parts that make one wave of requests, if they are not too small or too large for that."""
        return min(max(least, -(-length // max(1, self._connections - runs + 1))), REQUEST_SIZE)

    def _add_blocks(
        self, fetched: deque[BufferList], numbers: Sequence[int], using: range, max_blocks: int | None = None
    ) -> dict[int, CachedPiece]:
        """Keep blocks, as copies: a view would keep all that was fetched with it in memory. Use `fetched` up."""
        blocks: dict[int, CachedPiece] = {}
        for number in numbers:
            start, stop = self._span(number)
            while fetched[0].stop <= start:
                fetched.popleft()
            data = b"".join(
                piece
                for parts in fetched
                if parts.start < stop
                for piece in parts.pieces(max(start, parts.start), min(stop, parts.stop))
            )
            if len(data) == stop - start:  # but for the first piece of an object, which may end within a block
                blocks[number] = (start, stop, data)
        self._cache.add(blocks, using, max_blocks)
        self._readahead.used_bytes += sum(len(block[2]) for number, block in blocks.items() if number in using)
        return blocks

    def _read_uncached(self, span: ByteRange, wanted: range) -> BufferList:
        """Serve a read that is longer than all that can be kept, and keep nothing of it."""
        numbers = sorted(number for number in self._cache.numbers() if number in wanted)
        held = [block for number in numbers if (block := self._cached(number)) is not None]
        edges = [span.start, *(edge for start, stop, _ in held for edge in (start, stop)), span.stop]
        runs = [ByteRange(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if start < stop]
        part_size = self._part_size(self._chunk_size, sum(run.length for run in runs), len(runs))
        fetched = self._fetch_ranges(runs, part_size, self._connections)
        self._readahead.note_fetch(span.stop, sum(map(len, fetched)))
        self._readahead.used_bytes += sum(map(len, fetched))
        found = [BufferList([data], start) for start, _, data in held]
        ordered = sorted([*found, *fetched], key=lambda parts: parts.start)
        return BufferList(
            [piece for parts in ordered for piece in parts.pieces(parts.start, parts.stop)], ordered[0].start
        )
