"""The results of AiohttpStore's gets: the body is read when it is asked for, whole or in chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obspec_utils.stores._aiohttp_source import MIN_CHUNK_SIZE

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncIterator, Iterator
    from typing import Self

    from obspec import Attributes, ObjectMeta

    from obspec_utils.stores._aiohttp_source import Source

__all__ = ["AiohttpGetResult", "AiohttpGetResultAsync"]


class _GetResult:
    """The object's metadata and its bytes."""

    def __init__(
        self, meta: ObjectMeta, attributes: Attributes, source: Source, *, ranges_ignored: bool = False
    ) -> None:
        self._meta = meta
        self._attributes = attributes
        self._source = source
        self._ranges_ignored = ranges_ignored

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._meta['path']!r}, range={self.range})"

    @property
    def meta(self) -> ObjectMeta:
        """The object's metadata, whose size is that of the whole object, in bytes."""
        return self._meta

    @property
    def attributes(self) -> Attributes:
        """Further attributes of the object, such as its content type."""
        return self._attributes

    @property
    def range(self) -> tuple[int, int]:
        """The half-open byte range of the object that this result holds."""
        return self._source.span.start, self._source.span.stop

    @property
    def in_memory(self) -> bool:
        """Whether all bytes are in memory, so streaming gains nothing."""
        return self._source.data is not None

    @property
    def unsliced(self) -> Self | None:
        """The result with all bytes of the response, if the server ignored the range; else None. For readers."""
        wide = self._source.widened() if self._ranges_ignored else None
        return None if wide is None else type(self)(self._meta, self._attributes, wide)

    def buffer(self) -> builtins.bytes:
        """Return all bytes, and keep them for further calls.

        Raises
        ------
        IncompleteReadError, ObjectChangedError
            If the connection breaks, and the rest of the object can't be had, or the object has been replaced.
        """
        return self._source.read()

    async def buffer_async(self) -> builtins.bytes:
        """Return all bytes as `buffer` does, on the running event loop."""
        return await self._source.read_async()

    def bytes(self) -> builtins.bytes:
        """Return all bytes, as `buffer` does."""
        return self.buffer()

    async def bytes_async(self) -> builtins.bytes:
        """Return all bytes, as `buffer_async` does."""
        return await self.buffer_async()

    def __iter__(self) -> Iterator[builtins.bytes]:
        """Yield the bytes as they arrive; requests them again if they have been read in chunks before."""
        return self._source.chunks(MIN_CHUNK_SIZE)

    def __aiter__(self) -> AsyncIterator[builtins.bytes]:
        """Yield the bytes as they arrive; requests them again if they have been read in chunks before."""
        return self._source.chunks_async(MIN_CHUNK_SIZE)

    def stream(self, min_chunk_size: int = 10 * 1024 * 1024) -> _Chunks:
        """Return an iterator, sync and async, over chunks of at least `min_chunk_size` bytes but for the last."""
        return _Chunks(self._source, min_chunk_size)


class AiohttpGetResult(_GetResult):
    """The result of `get`; it has the async methods, too."""


class AiohttpGetResultAsync(_GetResult):
    """The result of `get_async`; it has the sync methods, too."""


class _Chunks:
    """Chunks of a result, for `for` and `async for`."""

    def __init__(self, source: Source, min_chunk_size: int) -> None:
        self._source = source
        self._min_chunk_size = max(1, min_chunk_size)
        self._chunks: Iterator[bytes] | None = None
        self._chunks_async: AsyncIterator[bytes] | None = None

    def __iter__(self) -> _Chunks:
        return self

    def __next__(self) -> bytes:
        if self._chunks is None:
            self._chunks = self._source.chunks(self._min_chunk_size)
        return next(self._chunks)

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        if self._chunks_async is None:
            self._chunks_async = self._source.chunks_async(self._min_chunk_size)
        return await anext(self._chunks_async)
