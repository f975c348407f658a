"""Result of a get: obspec's GetResult and GetResultAsync in one class."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from obstore import Bytes

from obspec_utils._io.buffers import BufferList
from obspec_utils._io.single_flight import SingleFlight
from obspec_utils._io.threads import in_main_thread
from obspec_utils._ranges import ByteRange

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable, Iterator

    from obspec import Attributes, ObjectMeta

    from obspec_utils._io.progress import Counter

__all__ = ["YIELD_AFTER", "Body", "InMemoryBody", "Result", "join", "join_async", "slice_async"]

# obstore's default, so that code written for its results gets chunks of the same size.
_MIN_CHUNK_SIZE = 10 * 1024 * 1024


# The maximum number of bytes to copy before yielding to the event loop: a few milliseconds.
YIELD_AFTER = 8 * 1024 * 1024

# Joins in progress, by the ids of the parts: concurrent callers wait for one buffer.
_joins: SingleFlight[BufferList] = SingleFlight()


def join(parts: BufferList) -> BufferList:
    """Return parts whose bytes are in one buffer, moving them there if they are not."""
    if parts.joined:
        return parts
    if in_main_thread():  # by itself: waiting for another thread costs more, and Ctrl-C does no harm to the parts
        return _join(parts)
    return _joins.run(id(parts), lambda: _join(parts), find=lambda _: None, keep=_no_keeping)


async def join_async(parts: BufferList) -> BufferList:
    """Join as `join` does, yielding to the event loop in between."""
    if parts.joined:
        return parts
    return await _joins.run_async(id(parts), lambda: _join_in_steps(parts), find=lambda _: None, keep=_no_keeping)


def _join(parts: BufferList) -> BufferList:
    parts.join()
    return parts


async def _join_in_steps(parts: BufferList) -> BufferList:
    moved = 0
    for length in parts.joining():
        moved += length
        if moved >= YIELD_AFTER:
            moved = 0
            await asyncio.sleep(0)
    return parts


async def slice_async(parts: BufferList, span: ByteRange) -> Bytes:
    """Return a byte range of parts as one buffer, as `BufferList.slice` does, yielding to the event loop in between."""
    if span.length > YIELD_AFTER:
        parts = await join_async(BufferList(list(parts.pieces(*span)), span.start))
    return parts.slice(*span)


def _no_keeping(_: Hashable, __: BufferList) -> None:
    """Keep nothing: parts are joined in place."""


class Body(Protocol):
    """Source of a result's bytes."""

    def load(self, stop: int, /, *, whole: bool = False) -> BufferList:
        """Return buffers up to at least `stop`. With `whole`, in one buffer if that needs no copy."""
        ...

    async def load_async(self, stop: int, /, *, whole: bool = False) -> BufferList:
        """Return buffers up to at least `stop`. With `whole`, in one buffer if that needs no copy."""
        ...

    def window(self, position: int, /) -> BufferList:
        """Return buffers that contain the byte at `position`."""
        ...

    async def window_async(self, position: int, /) -> BufferList:
        """Return buffers that contain the byte at `position`."""
        ...


@dataclass(frozen=True, slots=True)
class InMemoryBody:
    """A body in memory."""

    parts: BufferList

    def load(self, _: int, /, *, whole: bool = False) -> BufferList:  # noqa: ARG002 - the protocol's
        """Return the parts."""
        return self.parts

    async def load_async(self, _: int, /, *, whole: bool = False) -> BufferList:  # noqa: ARG002 - the protocol's
        """Return the parts."""
        return self.parts

    def window(self, _: int, /) -> BufferList:
        """Return the parts."""
        return self.parts

    async def window_async(self, _: int, /) -> BufferList:
        """Return the parts."""
        return self.parts


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The result of a get. Threads and tasks can read it any number of times, whole or in chunks.

    Parameters
    ----------
    meta
        The object's own metadata.
    range
        The half-open byte range of the object that this result holds.
    attributes
        Further attributes of the object, such as its content type.
    """

    meta: ObjectMeta
    range: tuple[int, int]
    attributes: Attributes
    _body: Body = field(repr=False)

    def count(self, counter: Counter) -> None:
        """Count the bytes that will arrive, if this result is not in memory."""
        counters = getattr(self._body, "counters", None)
        if counters is not None:
            counters.append(counter)

    def parts(self, *, whole: bool = False) -> BufferList:
        """Return all bytes without a copy; the buffers may reach beyond `range`.

        Parameters
        ----------
        whole
            Prefer one contiguous buffer for bytes not fetched yet.
        """
        return self._body.load(self.range[1], whole=whole and self._is_whole())

    async def parts_async(self, *, whole: bool = False) -> BufferList:
        """Return all bytes as `parts` does, on the running event loop."""
        return await self._body.load_async(self.range[1], whole=whole and self._is_whole())

    def buffer(self) -> Bytes:
        """Return all bytes as one contiguous buffer. For a whole object, it is kept and replaces the parts."""
        parts = self.parts(whole=True)
        return (join(parts) if self._is_whole() else parts).slice(*self.range)

    async def buffer_async(self) -> Bytes:
        """Return all bytes as one contiguous buffer. For a whole object, it is kept and replaces the parts."""
        parts = await self.parts_async(whole=True)
        span = ByteRange(*self.range)
        return (await join_async(parts)).slice(*span) if self._is_whole() else await slice_async(parts, span)

    @property
    def in_memory(self) -> bool:
        """Whether all bytes are in memory, so streaming gains nothing."""
        return isinstance(self._body, InMemoryBody)

    def _is_whole(self) -> bool:
        return self.range == (0, self.meta.get("size"))

    bytes = buffer
    bytes_async = buffer_async

    def __iter__(self) -> Iterator[Bytes]:
        """Yield the bytes in the parts they arrive in, without copying them."""
        position, stop = self.range
        while position < stop:
            parts = self._body.window(position)
            reached = min(parts.stop, stop)
            for piece in parts.pieces(position, reached):
                yield Bytes(piece)
            position = reached

    async def __aiter__(self) -> AsyncIterator[Bytes]:
        """Yield the bytes in the parts they arrive in, without copying them."""
        position, stop = self.range
        while position < stop:
            parts = await self._body.window_async(position)
            reached = min(parts.stop, stop)
            for piece in parts.pieces(position, reached):
                yield Bytes(piece)
            position = reached

    def stream(self, min_chunk_size: int = _MIN_CHUNK_SIZE) -> Stream:
        """Return an iterator, sync and async, over chunks of at least `min_chunk_size` bytes but for the last."""
        return Stream(self, min_chunk_size)


class Stream:
    """Chunks of a result, for `for` and `async for`."""

    def __init__(self, result: Result, min_chunk_size: int) -> None:
        self._result = result
        self._min_chunk_size = min_chunk_size
        self._chunks: Iterator[Bytes] | None = None
        self._chunks_async: AsyncIterator[Bytes] | None = None

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Bytes:
        if self._chunks is None:
            self._chunks = self._iterate()
        return next(self._chunks)

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Bytes:
        if self._chunks_async is None:
            self._chunks_async = self._iterate_async()
        return await anext(self._chunks_async)

    def _iterate(self) -> Iterator[Bytes]:
        gathered = _Rechunker(self._min_chunk_size)
        for chunk in self._result:
            yield from gathered.add(chunk)
        yield from gathered.rest()

    async def _iterate_async(self) -> AsyncIterator[Bytes]:
        gathered = _Rechunker(self._min_chunk_size)
        async for chunk in self._result:
            for full in gathered.add(chunk):
                yield full
        for last in gathered.rest():
            yield last


class _Rechunker:
    """Collect chunks until they have a minimum size."""

    def __init__(self, min_size: int) -> None:
        self.min_size = min_size
        self.chunks: list[Bytes] = []

    def add(self, chunk: Bytes) -> Iterator[Bytes]:
        self.chunks.append(chunk)
        if sum(map(len, self.chunks)) >= self.min_size:
            yield from self.rest()

    def rest(self) -> Iterator[Bytes]:
        if self.chunks:
            chunks, self.chunks = self.chunks, []
            yield chunks[0] if len(chunks) == 1 else Bytes(b"".join(chunks))
