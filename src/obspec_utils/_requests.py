"""One request for one span of an object, by whichever method the store has."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from obspec_utils._fork import check_fork, check_fork_below
from obspec_utils._plan import Span
from obspec_utils._version import Version
from obspec_utils.exceptions import IncompleteReadError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from obspec import Attributes, GetOptions, GetResult, GetResultAsync, ObjectMeta
    from typing_extensions import Buffer

__all__ = [
    "Answer",
    "answered",
    "begin",
    "begin_async",
    "innermost",
    "request",
    "request_async",
    "supports",
    "unserved",
]

# What a store raises for a range it can't serve: an empty object, or a server that ignores Range.
_UNSERVED_RANGE = frozenset({"GenericError", "NotSupportedError"})


class Answer:
    """The headers of one answer, whose body is read on demand and once.

    Attributes
    ----------
    span
        The bytes the body holds. Of a store that ignores ranges this is more than was asked for.
    meta
        The object's metadata; None from a store that can only `get_range`.
    """

    __slots__ = ("_process", "_source", "_store", "attributes", "meta", "path", "span")

    def __init__(
        self,
        store: object,
        path: str,
        span: Span,
        source: GetResult | GetResultAsync | Buffer,
        *,
        meta: ObjectMeta | None = None,
        attributes: Attributes | None = None,
    ) -> None:
        self._store = store
        self._process = os.getpid()
        self.path = path
        self.span = span
        self.meta = meta
        self.attributes = attributes
        self._source = source

    @property
    def source(self) -> GetResult | GetResultAsync | Buffer:
        """The answer as the store gave it, for who passes it on or reads it in a way of its own."""
        return self._source

    @property
    def streams(self) -> bool:
        """Whether reading the body as it arrives costs no more than reading it whole.

        A LocalStore reads files whole at once, but streams them in steps of 8 KiB: 256 MiB take 1.2 s, not 0.14.
        """
        if getattr(self._source, "in_memory", False):  # of a cache: a stream would keep all of it alive
            return False
        return hasattr(self._source, "stream") and type(innermost(self._store)).__name__ != "LocalStore"

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

    async def chunks_async(self, min_size: int) -> AsyncIterator[Buffer]:
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
            msg = (
                f"The store answered the request for bytes {self.span.start} to {self.span.stop} of {self.path!r} with "
                f"{length} bytes instead of {self.span.length}. The connection or a proxy cut it short: read again."
            )
            raise IncompleteReadError(msg)


def supports(store: object, method: str) -> bool:
    """Tell whether a store, or the store a wrapper stands for, has a method."""
    told = getattr(store, "_supports", None)
    return told(method) if told is not None else hasattr(store, method)


def innermost(store: object) -> object:
    """Return what is below all wrappers."""
    innermost: Any = store
    while hasattr(innermost, "_supports"):  # a wrapper
        innermost = innermost._store  # noqa: SLF001 - where every wrapper keeps it
    return innermost


def _unable(store: object, path: str) -> TypeError:
    name = type(innermost(store)).__name__  # a wrapper has all methods itself
    return TypeError(
        f"Can't read {path!r}: {name} has neither get() nor head() together with get_range() or "
        "get_ranges(). Give a store with one of these, for example one of obstore.store."
    )


def _ranged(span: Span, options: Mapping[str, object] | None) -> GetOptions:
    return cast("GetOptions", {**(options or {}), "range": (span.start, span.stop)})


def answered(store: object, path: str, wanted: Span, result: GetResult | GetResultAsync) -> Answer:
    """Take the headers of a store's result, which must hold what was `wanted` of the object."""
    meta = result.meta
    span = Span(*result.range)
    if span.start > wanted.start or span.stop < min(wanted.stop, meta["size"]):
        msg = f"The store answered the request for bytes {wanted.start} to {wanted.stop} of {path!r} with {span}."
        raise IncompleteReadError(msg)
    return Answer(store, path, span, result, meta=meta, attributes=result.attributes)


def request(store: object, path: str, span: Span, options: Mapping[str, object] | None = None) -> Answer:
    """Ask for one span of an object, as a request of its own; return when the headers are there."""
    check_fork(store)
    source: Any = store
    if supports(store, "get"):
        return answered(store, path, span, source.get(path, options=_ranged(span, options)))
    if supports(store, "get_range"):
        return _bare(store, path, span, source.get_range(path, start=span.start, end=span.stop))
    if supports(store, "get_ranges"):
        (body,) = source.get_ranges(path, starts=[span.start], ends=[span.stop])
        return _bare(store, path, span, body)
    raise _unable(store, path)


async def request_async(store: object, path: str, span: Span, options: Mapping[str, object] | None = None) -> Answer:
    """Ask as `request` does, on the running event loop."""
    check_fork(store)
    source: Any = store
    if supports(store, "get_async"):
        return answered(store, path, span, await source.get_async(path, options=_ranged(span, options)))
    if supports(store, "get_range_async"):
        return _bare(store, path, span, await source.get_range_async(path, start=span.start, end=span.stop))
    if supports(store, "get_ranges_async"):
        (body,) = await source.get_ranges_async(path, starts=[span.start], ends=[span.stop])
        return _bare(store, path, span, body)
    raise _unable(store, path)


def _bare(store: object, path: str, span: Span, body: Buffer) -> Answer:
    # A store cuts a range that runs past the end. Whether that is where the object should end is for the version check.
    return Answer(store, path, Span(span.start, span.start + memoryview(body).nbytes), body)


def unserved(error: Exception) -> bool:
    """Tell whether a store may mean by an error that it can't serve this range."""
    return type(error).__name__ in _UNSERVED_RANGE


def begin(
    store: object, path: str, length: int, options: Mapping[str, object] | None = None, *, start: int = 0
) -> Answer:
    """Ask for the first `length` bytes of an object, or for as many from `start`; this also tells size and version.

    A range that can't be served (an empty object, a server without ranges) is asked for again as a whole, and if that
    fails too, the first error is raised.
    """
    check_fork(store)
    source: Any = store
    if not supports(store, "get"):
        if options or not supports(store, "head"):  # conditions and versions are for get
            raise _unable(store, path)
        meta = source.head(path)
        span = Span(start, max(start, min(start + length, meta["size"])))
        answer = request(store, path, span) if span.length else Answer(store, path, span, b"")
        return _with_meta(answer, span, meta)
    try:
        return request(store, path, Span(start, start + length), options)
    except Exception as error:
        if not unserved(error):
            raise
        first = error
    try:
        result = source.get(path, options=options) if options else source.get(path)
    except Exception:  # noqa: BLE001 - whatever it was, the first error says more
        raise first from None
    finally:
        del first  # its traceback leads to this frame
    return answered(store, path, Span(0, 0), result)


def _with_meta(answer: Answer, span: Span, meta: ObjectMeta) -> Answer:
    if answer.span != span:
        Version.of(meta).check(answer.path, Version(answer.span.stop))
    answer.meta = meta
    return answer


async def begin_async(
    store: object, path: str, length: int, options: Mapping[str, object] | None = None, *, start: int = 0
) -> Answer:
    """Ask as `begin` does, on the running event loop."""
    check_fork(store)
    source: Any = store
    if not supports(store, "get_async"):
        if options or not supports(store, "head_async"):
            raise _unable(store, path)
        meta = await source.head_async(path)
        span = Span(start, max(start, min(start + length, meta["size"])))
        answer = await request_async(store, path, span) if span.length else Answer(store, path, span, b"")
        return _with_meta(answer, span, meta)
    try:
        return await request_async(store, path, Span(start, start + length), options)
    except Exception as error:
        if not unserved(error):
            raise
        first = error
    try:
        result = await (source.get_async(path, options=options) if options else source.get_async(path))
    except Exception:  # noqa: BLE001 - whatever it was, the first error says more
        raise first from None
    finally:
        del first  # its traceback leads to this frame
    return answered(store, path, Span(0, 0), result)
