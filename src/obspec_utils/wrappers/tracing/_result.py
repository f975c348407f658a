"""The result of a traced get: the store's own, whose body is recorded as it arrives."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from obspec_utils._redact import error_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from obspec_utils.wrappers.tracing._record import RequestRecord

__all__ = ["TracedResult"]


class _Body:
    """What has arrived of one body, which may be read several times.

    Parameters
    ----------
    record
        The record to update.
    begin
        When the request was made, by `time.perf_counter`.
    """

    __slots__ = ("_begin", "_is_read", "_record")

    def __init__(self, record: RequestRecord, begin: float) -> None:
        self._record = record
        self._begin = begin
        self._is_read = False

    def read(self) -> _Reading:
        """Begin to read from the start."""
        is_first, self._is_read = not self._is_read, True
        return _Reading(self, is_first=is_first)

    def arrived(self, length: int) -> None:
        """Record that the first `length` bytes have arrived, unless they had before."""
        if length > self._record.bytes_received:
            self._record.bytes_received = length
            self._record.duration = time.perf_counter() - self._begin

    def failed(self, error: BaseException) -> None:
        """Record that the body can't be read."""
        self._record.error = error_text(error)
        self._record.duration = time.perf_counter() - self._begin

    def widened(self, start: int, stop: int) -> None:
        """Record that the response holds another range than requested."""
        record = self._record
        record.start, record.length, record.end = start, stop - start, stop


class _Reading:
    """One reading of a body. Errors count in the first only: most results can be read once."""

    __slots__ = ("_body", "_is_first", "_length")

    def __init__(self, body: _Body, *, is_first: bool) -> None:
        self._body = body
        self._is_first = is_first
        self._length = 0

    def add(self, length: int) -> None:
        self._length += length
        self._body.arrived(self._length)

    def fail(self, error: BaseException) -> None:
        if self._is_first:
            self._body.failed(error)


class TracedResult:
    """A result of a store that records its body as it arrives. Everything else is the store's, its type too.

    Parameters
    ----------
    result
        The store's result.
    body
        What has arrived of its body.
    """

    __slots__ = ("_body", "_result")

    def __init__(self, result: Any, body: _Body) -> None:  # noqa: ANN401 - of any store
        self._result = result
        self._body = body

    @classmethod
    def of(cls, result: Any, record: RequestRecord, begin: float) -> Any:  # noqa: ANN401 - has the store's type
        """Return a result that records what arrives since `begin`, by `time.perf_counter`, in the request's record."""
        return cls(result, _Body(record, begin))

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride] - so that `isinstance` sees the store's own type
        return type(self._result)

    def __repr__(self) -> str:
        return repr(self._result)

    def __reduce_ex__(self, protocol: Any) -> Any:  # noqa: ANN401 - copies and pickles are not traced
        return self._result.__reduce_ex__(protocol)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the store's
        found = getattr(self._result, name)
        if name in _READS:
            return partial(self._read, found)
        if name in _ASYNC_READS:
            return partial(self._read_async, found)
        if name == "stream":
            return partial(self._stream, found)
        if name == "unsliced" and found is not None:  # all bytes of the response to a request for fewer
            self._body.widened(*found.range)
            return TracedResult(found, self._body)
        return found

    def __iter__(self) -> Iterator[Any]:
        return self._stream(iter, self._result)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._stream(aiter, self._result)

    def _read(self, read: Callable[..., Any], *args: object, **options: object) -> Any:  # noqa: ANN401 - the store's
        reading = self._body.read()
        try:
            found = read(*args, **options)
        except BaseException as error:
            reading.fail(error)
            raise
        reading.add(self._length(found))
        return found

    async def _read_async(self, read: Callable[..., Any], *args: object, **options: object) -> Any:  # noqa: ANN401 - the store's
        reading = self._body.read()
        try:
            found = await read(*args, **options)
        except BaseException as error:
            reading.fail(error)
            raise
        reading.add(self._length(found))
        return found

    def _length(self, found: Any) -> int:  # noqa: ANN401 - bytes, or the parts of a result of this library
        try:
            return memoryview(found).nbytes
        except TypeError:  # parts, which may reach further
            start, stop = self._result.range
            return int(stop - start)

    def _stream(self, read: Callable[..., Any], *args: object, **options: object) -> _TracedStream:
        return _TracedStream(read(*args, **options), self._body.read())


# Methods that return the whole body.
_READS = frozenset({"buffer", "bytes", "parts"})
_ASYNC_READS = frozenset({"buffer_async", "bytes_async", "parts_async"})


class _TracedStream:
    """Chunks of a body, recorded as they arrive; iterated as the store's stream can be."""

    __slots__ = ("_chunks", "_reading")

    def __init__(self, chunks: Any, reading: _Reading) -> None:  # noqa: ANN401 - of any store
        self._chunks = chunks
        self._reading = reading

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the store's
        return getattr(self._chunks, name)

    def __iter__(self) -> Iterator[Any]:
        self._chunks = iter(self._chunks)
        return self

    def __next__(self) -> Any:  # noqa: ANN401 - bytes of any type
        try:
            chunk = next(self._chunks)
        except StopIteration:
            raise
        except BaseException as error:
            self._reading.fail(error)
            raise
        self._reading.add(memoryview(chunk).nbytes)
        return chunk

    def __aiter__(self) -> AsyncIterator[Any]:
        self._chunks = aiter(self._chunks)
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 - bytes of any type
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            raise
        except BaseException as error:
            self._reading.fail(error)
            raise
        self._reading.add(memoryview(chunk).nbytes)
        return chunk
