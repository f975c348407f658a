"""What a get of ours returns: one result that is obspec's GetResult and GetResultAsync at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from obstore import Bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from obspec import Attributes, ObjectMeta

    from obspec_utils._buffers import Parts

__all__ = ["Body", "Held", "Result"]

# obstore's default, so that code written for its results sees chunks of the same size.
_MIN_CHUNK_SIZE = 10 * 1024 * 1024


class Body(Protocol):
    """Where a result's bytes come from."""

    def load(self, stop: int, /) -> Parts:
        """Return parts that reach at least to `stop`."""
        ...

    async def load_async(self, stop: int, /) -> Parts:
        """Return parts that reach at least to `stop`."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """A body that is in memory already."""

    parts: Parts

    def load(self, _: int, /) -> Parts:
        """Return the parts."""
        return self.parts

    async def load_async(self, _: int, /) -> Parts:
        """Return the parts."""
        return self.parts


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The answer to a get, which can be read any number of times, whole or in chunks, from threads and tasks.

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

    def parts(self) -> Parts:
        """Return all bytes as the parts they arrived in; they may reach beyond `range`."""
        return self._body.load(self.range[1])

    async def parts_async(self) -> Parts:
        """Return all bytes as `parts` does, on the running event loop."""
        return await self._body.load_async(self.range[1])

    def buffer(self) -> Bytes:
        """Return all bytes as one contiguous buffer."""
        return self.parts().slice(*self.range)

    async def buffer_async(self) -> Bytes:
        """Return all bytes as one contiguous buffer."""
        return (await self.parts_async()).slice(*self.range)

    bytes = buffer
    bytes_async = buffer_async

    def __iter__(self) -> Iterator[Bytes]:
        """Yield the bytes in the parts they arrive in, without copying them."""
        position, stop = self.range
        while position < stop:
            parts = self._body.load(position + 1)
            reached = min(parts.stop, stop)
            for piece in parts.pieces(position, reached):
                yield Bytes(piece)
            position = reached

    async def __aiter__(self) -> AsyncIterator[Bytes]:
        """Yield the bytes in the parts they arrive in, without copying them."""
        position, stop = self.range
        while position < stop:
            parts = await self._body.load_async(position + 1)
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
        gathered = _Gathered(self._min_chunk_size)
        for chunk in self._result:
            yield from gathered.add(chunk)
        yield from gathered.rest()

    async def _iterate_async(self) -> AsyncIterator[Bytes]:
        gathered = _Gathered(self._min_chunk_size)
        async for chunk in self._result:
            for full in gathered.add(chunk):
                yield full
        for last in gathered.rest():
            yield last


class _Gathered:
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
