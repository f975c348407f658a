"""One response: its headers, checked against the request, and its body, read on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obspec_utils._io.buffers import BufferList
from obspec_utils._io.fork import check_fork_of_wrapped, this_process
from obspec_utils._ranges import ByteRange
from obspec_utils.exceptions import IncompleteReadError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from obspec import Attributes, GetResult, GetResultAsync, ObjectMeta
    from typing_extensions import Buffer

__all__ = ["Response", "has_method", "response_of", "unwrap"]


class Response:
    """The headers of a response. Its body is read on demand, once.

    Attributes
    ----------
    span
        The byte range of the body. It is larger than requested if the server ignores ranges.
    meta
        The object's metadata; None for a response of `get_range` or `get_ranges`.
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
        self._process = this_process()
        self.path = path
        self.span = span
        self.meta = meta
        self.attributes = attributes
        self._source = source
        self.ranged = ranged
        self._length_is_known = length_is_known

    @property
    def source(self) -> GetResult | GetResultAsync | Buffer:
        """The result that the store returned."""
        return self._source

    @property
    def streams(self) -> bool:
        """Whether to read the body as it arrives: its length is known, and streaming is as fast as reading it whole.

        A LocalStore reads files whole at once, but streams them in steps of 8 KiB: 256 MiB take 1.2 s, not 0.14.
        """
        if not self._length_is_known:  # compare the whole body with the range before returning any byte of it
            return False
        if getattr(self._source, "in_memory", False):  # from a cache: chunks would keep the whole body alive
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

    def slice(self, body: Buffer, span: ByteRange) -> Buffer:
        """Return a byte range of a body that was read, without keeping the rest in memory."""
        return BufferList([body], self.span.start).slice(*span)

    async def body_async(self) -> Buffer:
        """Read the body without blocking the event loop."""
        source = self._unread()
        return self._complete(await source.buffer_async() if hasattr(source, "buffer_async") else source)

    def _unread(self) -> Any:  # noqa: ANN401 - with or without `buffer` and `stream`
        if self._process is not this_process():  # requested before a fork: the body would never arrive
            check_fork_of_wrapped(self._store)
        return self._source

    def _complete(self, body: Buffer) -> Buffer:
        self._source = b""
        self._check_length(memoryview(body).nbytes)
        return body

    def _check_length(self, length: int) -> None:
        if length != self.span.length:
            raise _wrong_length(self.path, self.span, f"{length} bytes")


def _wrong_length(path: str, span: ByteRange, found: str) -> IncompleteReadError:
    return IncompleteReadError(
        f"Expected {span.length} bytes ({span.start} to {span.stop}) of {path!r}, got {found}. "
        "The connection broke, or a proxy changed the body. Retry the read."
    )


def _is_length_known(path: str, span: ByteRange, attributes: Attributes) -> bool:
    """Return whether headers prove the length of a ranged response's body; raise IncompleteReadError if they disagree.

    A proxy that compresses responses keeps their Content-Range. An object that was stored compressed has the same
    headers; only the length of the body differs.
    """
    headers = {str(name).lower(): value for name, value in attributes.items()}
    length = headers.get("content-length")  # not reported by obstore's stores
    if length is not None and str(length) != str(span.length):
        raise _wrong_length(path, span, f"Content-Length: {length}")
    return length is not None or headers.get("content-encoding", "identity") == "identity"


def response_of(
    store: object, path: str, wanted: ByteRange, result: GetResult | GetResultAsync, *, ranged: bool = True
) -> Response:
    """Return the response for a store's result, which must hold the byte range `wanted`.

    Parameters
    ----------
    ranged
        Whether the request had a range. If not, the body has the length of the object, which the store took from the
        same headers.

    Raises
    ------
    IncompleteReadError
        If the headers report another range, or a length other than that of the range.
    """
    # All bytes of the response, if the store cut out a range that its server ignored: they are needed soon.
    if (unsliced := getattr(result, "unsliced", None)) is not None:
        result, ranged = unsliced, False
    meta = result.meta
    span = ByteRange(*result.range)
    if span.start > wanted.start or span.stop < min(wanted.stop, meta["size"]):
        expected = f"bytes {wanted.start} to {wanted.stop} of {path!r}"
        msg = f"Expected {expected}, got bytes {span.start} to {span.stop}. Retry the read."
        raise IncompleteReadError(msg)
    attributes = result.attributes or {}
    known = _is_length_known(path, span, attributes) if ranged and attributes else True
    if attributes:  # without the length of this response: results for other ranges may get the same attributes
        attributes = {name: value for name, value in attributes.items() if str(name).lower() != "content-length"}
    return Response(store, path, span, result, meta=meta, attributes=attributes, ranged=ranged, length_is_known=known)


def unwrap(store: object) -> object:
    """Return the innermost wrapped store."""
    inner: Any = store
    while hasattr(inner, "_supports"):  # a wrapper
        inner = inner._store  # noqa: SLF001 - where every wrapper keeps it
    return inner


def has_method(store: object, method: str) -> bool:
    """Return whether a store, or the store inside a wrapper, has a method."""
    supports = getattr(store, "_supports", None)
    return supports(method) if supports is not None else hasattr(store, method)
