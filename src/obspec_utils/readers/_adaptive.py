"""What the readers that keep a part of the object share: its blocks, and how much to fetch when one is missing."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from obspec_utils._buffers import Parts
from obspec_utils._plan import MAX_CONCURRENT_REQUESTS, REQUEST_SIZE, Span, align, merge
from obspec_utils._requests import begin
from obspec_utils._version import Version
from obspec_utils.readers._ahead import ReadAhead
from obspec_utils.readers._base import StoreReader
from obspec_utils.readers._blocks import Blocks
from obspec_utils.readers._stream import STEP, Stream
from obspec_utils.readers._window import NOTHING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obspec import ObjectMeta

    from obspec_utils._response import Answer
    from obspec_utils.readers._window import Window

__all__ = ["AdaptiveReader"]

# A chunk is that many blocks: what is fetched for a small read that nothing lies near, and what is kept or forgotten.
_BLOCKS_A_CHUNK = 16
# Smaller blocks would cost more to look after than to fetch.
_MIN_BLOCK_SIZE = 4096
# Runs of missing blocks with no more blocks between them are one request: fetching those again takes less time.
_MAX_GAP = 2
# In chunks: what is left of a response is read to its end, if it is no more than this, before others are asked for.
_MOST_LEFT = 4


class AdaptiveReader(StoreReader):
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
        self._blocks = Blocks(max(1, budget // self._block_size))
        self._ahead = ReadAhead(chunk_size, budget)
        self._get = self._blocks.get
        self._touch = self._blocks.touch
        self._note_read = self._ahead.note_read
        self._connections = connections
        self._streams = True
        self._ranges_ignored = False
        self._stream: Stream | None = None
        super().__init__(store, path)

    def _first_length(self, start: int, stop: int) -> int:
        if start >= self._chunk_size:
            return self._chunk_size
        # The read's end where it is near, in one request; of a long read, the rest follows in parallel.
        aligned = -(-stop // self._chunk_size) * self._chunk_size
        return max(self._chunk_size, min(aligned, REQUEST_SIZE))

    def _start_with(self, answer: Answer) -> Parts:
        self._streams = answer.streams
        self._ranges_ignored = not answer.ranged
        few, much = STEP * self._block_size, _MOST_LEFT * self._chunk_size
        if not self._streams or not (few < answer.span.length <= much or self._ranges_ignored):
            return super()._start_with(answer)
        version = self._know(answer)
        self._stream = Stream(self._store, self._path, version, answer.span, self._block_size, answer)
        return Parts([])

    def _keep(self, parts: Parts) -> None:
        # Of a server that ignores ranges it may be the whole object. What is not kept of that was not read ahead.
        numbers = self._numbers(Span(0, parts.stop))[: self._blocks.most]
        kept = min(parts.stop, len(numbers) * self._block_size)
        self._ahead.note_fetch(kept, kept)
        self._add(deque([parts]), numbers, range(0))

    def _release(self) -> None:
        super()._release()
        self._blocks.clear()
        self._stream = None

    def _numbers(self, span: Span) -> range:
        return align(span, self.size, self._block_size)

    def _span(self, number: int) -> Span:
        start = number * self._block_size
        return Span(start, min(start + self._block_size, self.size))

    def _find(self, position: int) -> Window:
        number = position // self._block_size
        window = self._get(number)
        try:
            self._touch(number)
        except KeyError:  # not used before; or evicted this moment, its bytes being as good as ever
            window = window or self._use(number)
        if window is None:
            return NOTHING
        self._note_read(position)
        self._window = window
        if not self._open:  # closed meanwhile by another thread: nothing may stay
            self._release()
        return window

    def _use(self, number: int) -> Window | None:
        window = self._blocks.use(number)
        if window is not None:
            self._ahead.used += len(window[2])
        return window

    def _fetch(self, start: int, stop: int) -> Parts:
        first, last, _ = self._window
        if not first <= start < last:  # else it was noted when the window was opened
            self._note_read(start)
        wanted = self._numbers(Span(start, stop))
        if len(wanted) > self._blocks.most:
            self._settle(whole=True)
            return self._go_around(Span(start, stop), wanted)
        pieces = {number: block for number in wanted if (block := self._held(number)) is not None}
        missing = [number for number in wanted if number not in pieces]
        if missing:
            pieces.update(self._bring(missing, wanted))
        self._window = pieces[wanted[-1]]
        return Parts([pieces[number][2] for number in wanted], start=pieces[wanted[0]][0])

    def _held(self, number: int) -> Window | None:
        window = self._get(number)
        if window is None:
            return self._use(number)
        with suppress(KeyError):  # evicted this moment
            self._touch(number)
        return window

    def _bring(self, missing: Sequence[int], wanted: range) -> dict[int, Window]:
        """Return what is missing of the blocks wanted now, from the response that is being read or from others."""
        blocks = self._receive(missing, wanted)
        missing = [number for number in missing if number not in blocks]
        return {**blocks, **self._ask(missing, wanted)} if missing else blocks

    def _receive(self, missing: Sequence[int], wanted: range) -> dict[int, Window]:
        """Read on in the response that is open, if that leads to what is missing, up to the end of either."""
        # Whoever takes it out has it alone: another thread meanwhile makes one of its own.
        stream, self._stream = self._stream, None
        start, stop = self._span(missing[0]).start, self._span(missing[-1]).stop
        if stream is None or not stream.leads_to(Span(start, stop)):
            self._stream = stream
            return {}
        return self._take(stream, stop, missing, wanted)

    def _take(self, stream: Stream, stop: int, missing: Sequence[int], wanted: range) -> dict[int, Window]:
        """Read on in a response that nobody else has, and keep it open if there is more."""
        begun = stream.position
        try:
            parts = stream.take(min(stop, stream.stop))
        except Exception:  # noqa: BLE001 - asked for again, in a request of its own; what is wrong shows there
            self._streams = stream.started
            return {}
        self._ahead.note_fetch(stream.position, stream.position - begun)
        numbers = self._numbers(Span(begun, stream.position))
        blocks = self._add(deque([parts]), numbers, wanted, self._most_kept(stream.stop, stream.position - begun))
        if stream.position < stream.stop:
            self._stream = stream
        return {number: blocks[number] for number in missing if number in blocks}

    def _most_kept(self, stop: int, received: int) -> int | None:  # noqa: ARG002 - the hook's signature
        """Return how many blocks may be kept now that so many bytes were received of a response that ends at `stop`."""
        return None

    def _ask(self, missing: Sequence[int], wanted: range) -> dict[int, Window]:
        """Fetch and keep what is missing of the blocks wanted now, and what the reads so far suggest beside it."""
        if self._ranges_ignored:
            return self._ask_for_all(missing, wanted)
        plan = self._ahead.plan(Span(self._span(missing[0]).start, self._span(missing[-1]).stop), self.size)
        self._settle(whole=plan.span.length > STEP * self._block_size or self._connections <= STEP + 1)
        lacking = set(missing)
        absent = [number for number in self._numbers(plan.span) if number in lacking or number not in self._blocks]
        runs = list(merge(absent, self._block_size, self.size, max_gap=_MAX_GAP))
        length = sum(run.length for run in runs)
        part_size = self._part_size(plan.least_part, length, len(runs))
        few, much = STEP * self._block_size, min(part_size, _MOST_LEFT * self._chunk_size)
        if self._streams and len(runs) == 1 and few < length <= much:
            self._stream = Stream(self._store, self._path, self._known(), runs[0], self._block_size)
            blocks = self._receive(missing, wanted)
            if len(blocks) == len(missing):
                return blocks
        self._blocks.make_room(len(absent))
        fetched = self._request(runs, part_size, self._connections)
        self._ahead.note_fetch(runs[-1].stop, length)
        return self._add(fetched, absent, wanted)

    def _ask_for_all(self, missing: Sequence[int], wanted: range) -> dict[int, Window]:
        """Read on in the response of a server without ranges, and keep what there is room for."""
        count = max(self._blocks.most // 2, missing[-1] - missing[0] + 1)
        numbers = self._numbers(Span(self._span(missing[0]).start, self.size))[:count]
        run = Span(self._span(numbers[0]).start, self._span(numbers[-1]).stop)
        self._blocks.make_room(len(numbers))
        fetched = self._request([run], run.length, 1)
        self._ahead.note_fetch(run.stop, run.length)
        return self._add(fetched, numbers, wanted)

    def _request(self, spans: Sequence[Span], part_size: int, limit: int) -> deque[Parts]:
        if not self._ranges_ignored:
            return super()._request(spans, part_size, limit)
        return deque(self._receive_whole(span) for span in spans)

    def _receive_whole(self, span: Span) -> Parts:
        """Read a span from a server that ignores ranges, out of a response that holds the whole object.

        It stays open for what follows, so reading forward takes one request, and no more than the span is in memory.
        """
        stream, self._stream = self._stream, None
        try:
            if stream is None or not stream.holds(span):
                stream = self._open_whole(span)
            parts = stream.take(span.stop, start=span.start)
        except Exception:  # noqa: BLE001 - requested by itself, with retries; what is wrong shows there
            (parts,) = super()._request([span], span.length, 1)
            return parts
        if stream.position < stream.stop:
            self._stream = stream
        return Parts(list(parts.pieces(*span)), span.start)

    def _open_whole(self, span: Span) -> Stream:
        version = self._known()
        answer = begin(self._store, self._path, span.length, start=span.start)
        version.check(self._path, Version.of(cast("ObjectMeta", answer.meta)))
        self._ranges_ignored = not answer.ranged  # a server may do so now and then
        return Stream(self._store, self._path, version, answer.span, self._block_size, answer)

    def _settle(self, *, whole: bool) -> None:
        """Make room for other requests: leave an open response of which much is left, read the `whole` of another."""
        if self._ranges_ignored:
            return
        stream, self._stream = self._stream, None
        if stream is None:
            return
        if stream.left > _MOST_LEFT * self._chunk_size:
            # Some of it has been sent, as much as the buffers of a connection hold.
            self._ahead.moved += _MOST_LEFT * self._chunk_size
        elif whole:
            self._take(stream, stream.stop, (), range(0))
        else:
            self._stream = stream

    def _part_size(self, least: int, length: int, runs: int) -> int:
        """Return the size of parts that make one wave of requests, if they are not too small or too large for that."""
        return min(max(least, -(-length // max(1, self._connections - runs + 1))), REQUEST_SIZE)

    def _add(
        self, fetched: deque[Parts], numbers: Sequence[int], using: range, most: int | None = None
    ) -> dict[int, Window]:
        """Keep blocks, as copies: a view would keep all that was fetched with it in memory. Use `fetched` up."""
        blocks: dict[int, Window] = {}
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
        self._blocks.add(blocks, using, most)
        self._ahead.used += sum(len(block[2]) for number, block in blocks.items() if number in using)
        return blocks

    def _go_around(self, span: Span, wanted: range) -> Parts:
        """Serve a read that is longer than all that can be kept, and keep nothing of it."""
        numbers = sorted(number for number in self._blocks.numbers() if number in wanted)
        held = [block for number in numbers if (block := self._held(number)) is not None]
        edges = [span.start, *(edge for start, stop, _ in held for edge in (start, stop)), span.stop]
        runs = [Span(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if start < stop]
        part_size = self._part_size(self._chunk_size, sum(run.length for run in runs), len(runs))
        fetched = self._request(runs, part_size, self._connections)
        self._ahead.note_fetch(span.stop, sum(map(len, fetched)))
        self._ahead.used += sum(map(len, fetched))
        found = [Parts([data], start) for start, _, data in held]
        ordered = sorted([*found, *fetched], key=lambda parts: parts.start)
        return Parts([piece for parts in ordered for piece in parts.pieces(parts.start, parts.stop)], ordered[0].start)
