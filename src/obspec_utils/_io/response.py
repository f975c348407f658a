"""One response: its headers, checked against the request, and its body, read on demand."""

from __future__ import annotations

import os
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from obspec_utils._io.buffers import BufferList
from obspec_utils._io.fork import check_fork_below
from obspec_utils._ranges import ByteRange
from obspec_utils.exceptions import IncompleteReadError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from obspec import Attributes, GetResult, GetResultAsync, ObjectMeta
    from typing_extensions import Buffer

__all__ = ["Response", "response_of", "unwrap"]

# How much of a body is taken at a time where most of it is dropped.
_CUT_STEP = 256 * 1024


class Response:
    """The headers of one answer, whose body is read on demand and once.

    Attributes
    ----------
    span
        The bytes the body holds. Of a store that ignores ranges this is more than was asked for.
    meta
        The object's metadata; None from a store that can only `get_range`.
    ranged
        Whether the request had a range.
    """

    __slots__ = ("_length_is_known", "_process", "_source", "_store", "attributes", "meta", "path", "ranged", "span")

    def __init__(
        self,
        store: object,
        path: str,
        span: ByteRange,
        source: GetResult | GetResultAsync | Buffer,
        *,
        meta: ObjectMeta | None = None,
        attributes: Attributes | None = None,
        ranged: bool = True,
        length_is_known: bool = True,
    ) -> None:
        self._store = store
        self._process = os.getpid()
        self.path = path
        self.span = span
        self.meta = meta
        self.attributes = attributes
        self._source = source
        self.ranged = ranged
        self._length_is_known = length_is_known

    @property
    def source(self) -> GetResult | GetResultAsync | Buffer:
        """The answer as the store gave it, for who passes it on or reads it in a way of its own."""
        return self._source

    @property
    def streams(self) -> bool:
        """Whether the body may be read as it arrives: its length is known, and it costs no more than reading it whole.

        A LocalStore reads files whole at once, but streams them in steps of 8 KiB: 256 MiB take 1.2 s, not 0.14.
        """
        if not self._length_is_known:  # nothing of it is returned before all of it was compared with the range
            return False
        if getattr(self._source, "in_memory", False):  # of a cache: a stream would keep all of it alive
            return False
        return hasattr(self._source, "stream") and type(unwrap(self._store)).__name__ != "LocalStore"

    def body(self) -> Buffer:
        """Read the body."""
        source = self._unread()
        return self._complete(source.buffer() if hasattr(source, "buffer") else source)

    def chunks(self, min_size: int) -> Iterator[Buffer]:
        """Read the body as it arrives, in chunks of at least `min_size` bytes but for the last."""
        source = self._unread()
        self._source = b""
        if not hasattr(source, "stream"):
            yield self._complete(source.buffer() if hasattr(source, "buffer") else source)
            return
        length = 0
        for chunk in source.stream(min_chunk_size=min_size):
            length += memoryview(chunk).nbytes
            if length > self.span.length:
                break
            yield chunk
        self._check_length(length)

    async def chunks_async(self, min_size: int) -> AsyncGenerator[Buffer]:
        """Read the body as `chunks` does, without blocking the event loop."""
        source = self._unread()
        self._source = b""
        if not hasattr(source, "stream"):
            yield self._complete(await source.buffer_async() if hasattr(source, "buffer_async") else source)
            return
        length = 0
        async for chunk in source.stream(min_chunk_size=min_size):
            length += memoryview(chunk).nbytes
            if length > self.span.length:
                break
            yield chunk
        self._check_length(length)

    def cut(self, span: ByteRange) -> Iterator[Buffer]:
        """Read the bytes of a span that lies within the body, as they arrive; what surrounds them is dropped."""
        if span == self.span or not self.streams:
            yield BufferList([self.body()], self.span.start).slice(*span)
            return
        position = self.span.start
        for chunk in self.chunks(_CUT_STEP):
            piece, position = _within(span, chunk, position)
            yield piece
            if position >= span.stop:
                return

    async def cut_async(self, span: ByteRange) -> AsyncIterator[Buffer]:
        """Read a span of the body as `cut` does, without blocking the event loop."""
        if span == self.span or not self.streams:
            yield BufferList([await self.body_async()], self.span.start).slice(*span)
            return
        position = self.span.start
        async with aclosing(self.chunks_async(_CUT_STEP)) as chunks:
            async for chunk in chunks:
                piece, position = _within(span, chunk, position)
                yield piece
                if position >= span.stop:
                    return

    async def body_async(self) -> Buffer:
        """Read the body without blocking the event loop."""
        source = self._unread()
        return self._complete(await source.buffer_async() if hasattr(source, "buffer_async") else source)

    def _unread(self) -> Any:  # noqa: ANN401 - a result's `buffer` is looked for
        if self._process != os.getpid():  # asked for before a fork: it would never arrive
            check_fork_below(self._store)
        return self._source

    def _complete(self, body: Buffer) -> Buffer:
        self._source = b""
        self._check_length(memoryview(body).nbytes)
        return body

    def _check_length(self, length: int) -> None:
        if length != self.span.length:
            raise _wrong_length(self.path, self.span, f"{length} bytes")


def _within(span: ByteRange, chunk: Buffer, position: int) -> tuple[memoryview, int]:
    """Return what a chunk that starts at a position holds of a span, and the position after the chunk."""
    view = memoryview(chunk).cast("B")
    start = min(max(span.start - position, 0), view.nbytes)
    stop = max(min(span.stop - position, view.nbytes), start)
    return view[start:stop], position + view.nbytes


def _wrong_length(path: str, span: ByteRange, found: str) -> IncompleteReadError:
    asked = f"bytes {span.start} to {span.stop} of {path!r}"
    return IncompleteReadError(
        f"The response for {asked} has {found}, not {span.length} bytes: the connection was cut, or "
        "a proxy changed the body. Read again."
    )


def response_of(
    store: object, path: str, wanted: ByteRange, result: GetResult | GetResultAsync, *, ranged: bool = True
) -> Response:
    """Take the headers of a store's result, which must hold what was `wanted` of the object.

    Parameters
    ----------
    ranged
        Whether the request had a range. If not, the body's length is that of the object, which the store took from
        the same headers.

    Raises
    ------
    IncompleteReadError
        If the headers say that the body holds something else, or has another length than its range.
    """
    meta = result.meta
    span = ByteRange(*result.range)
    if span.start > wanted.start or span.stop < min(wanted.stop, meta["size"]):
        asked = f"bytes {wanted.start} to {wanted.stop} of {path!r}"
        msg = f"The response to the request for {asked} holds bytes {span.start} to {span.stop}. Read again."
        raise IncompleteReadError(msg)
    attributes = dict(result.attributes or {})
    headers = {str(name).lower(): value for name, value in attributes.items()}
    length = headers.get("content-length")  # not of obstore's stores
    if length is not None and str(length) != str(span.length):
        raise _wrong_length(path, span, f"Content-Length: {length}")
    # A proxy that compresses responses keeps their Content-Range. An object that was stored compressed looks the same:
    # only the length of its body tells.
    known = length is not None or not ranged or headers.get("content-encoding", "identity") == "identity"
    # It is the response's, not the object's, whose attributes may go with other ranges.
    kept = {name: value for name, value in attributes.items() if str(name).lower() != "content-length"}
    return Response(store, path, span, result, meta=meta, attributes=kept, ranged=ranged, length_is_known=known)


def unwrap(store: object) -> object:
    """Return what is below all wrappers."""
    unwrap: Any = store
    while hasattr(unwrap, "_supports"):  # a wrapper
        unwrap = unwrap._store  # noqa: SLF001 - where every wrapper keeps it
    return unwrap
