"""The result of a get of this library: obspec's GetResult and GetResultAsync in one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from obstore import Bytes

from obspec_utils._io.buffers import BufferList
from obspec_utils._io.single_flight import SingleFlight
from obspec_utils._ranges import ByteRange

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable, Iterator

    from obspec import Attributes, ObjectMeta

__all__ = ["YIELD_AFTER", "Body", "InMemoryBody", "Result", "join", "join_async", "slice_async"]

# obstore's default, so that code written for its results sees chunks of the same size.
_MIN_CHUNK_SIZE = 10 * 1024 * 1024


# The most bytes copied before other tasks of the event loop run: a few milliseconds.
YIELD_AFTER = 8 * 1024 * 1024

# Parts that are being joined, by their ids: concurrent callers wait for the one buffer.
_joins: SingleFlight[BufferList] = SingleFlight()


def join(parts: BufferList) -> BufferList:
    """Return parts whose bytes are in one buffer, moving them there if they are not."""
    return parts if parts.joined else _joins.run(id(parts), lambda: _join(parts), find=lambda _: None, keep=_no_keeping)


async def join_async(parts: BufferList) -> BufferList:
    """Join as `join` does, giving way to other tasks in between."""
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
    """Return a span of parts as one buffer, as `BufferList.slice` does, yielding to the event loop in between."""
    if span.length > YIELD_AFTER:
        parts = await join_async(BufferList(list(parts.pieces(*span)), span.start))
    return parts.slice(*span)


def _no_keeping(_: Hashable, __: BufferList) -> None:
    """Keep nothing: the parts themselves have changed."""


class Body(Protocol):
    """Where a result's bytes come from."""

    def load(self, stop: int, /, *, whole: bool = False) -> BufferList:
        """Return parts that reach at least to `stop`; of a `whole` object in one buffer, if that costs no more."""
        ...

    async def load_async(self, stop: int, /, *, whole: bool = False) -> BufferList:
        """Return parts that reach at least to `stop`; of a `whole` object in one buffer, if that costs no more."""
        ...

    def window(self, position: int, /) -> BufferList:
        """Return parts that hold the byte at `position`, and what comes with it."""
        ...

    async def window_async(self, position: int, /) -> BufferList:
        """Return parts that hold the byte at `position`, and what comes with it."""
        ...


@dataclass(frozen=True, slots=True)
class InMemoryBody:
    """A body that is in memory already."""

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
    """The result of a get, to be read any number of times, whole or in chunks, from threads and tasks.

    Parameters
    ----------
    meta
        The object's own metadata.
    range
        The half-open span of bytes of the object that this result holds.
    attributes
        Further attributes of the object, such as its content type.
    """

    meta: ObjectMeta
    range: tuple[int, int]
    attributes: Attributes
    _body: Body = field(repr=False)

    def parts(self, *, whole: bool = False) -> BufferList:
        """Return all bytes, without copying any; they may reach beyond `range`.

        Parameters
        ----------
        whole
            Whether they are better in one buffer, where they are still to be fetched.
        """
        return self._body.load(self.range[1], whole=whole and self._is_whole())

    async def parts_async(self, *, whole: bool = False) -> BufferList:
        """Return all bytes as `parts` does, on the running event loop."""
        return await self._body.load_async(self.range[1], whole=whole and self._is_whole())

    def buffer(self) -> Bytes:
        """Return all bytes as one contiguous buffer. That of a whole object is kept, in place of the parts."""
        parts = self.parts(whole=True)
        return (join(parts) if self._is_whole() else parts).slice(*self.range)

    async def buffer_async(self) -> Bytes:
        """Return all bytes as one contiguous buffer. That of a whole object is kept, in place of the parts."""
        parts = await self.parts_async(whole=True)
        span = ByteRange(*self.range)
        return (await join_async(parts)).slice(*span) if self._is_whole() else await slice_async(parts, span)

    @property
    def in_memory(self) -> bool:
        """Whether all bytes are there already, so that nothing is gained by taking them bit by bit."""
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
    """Chunks put together until they are large enough."""

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
