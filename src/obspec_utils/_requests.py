"""One request for one span of an object, by whichever method the store has."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

from obspec_utils._errors import is_range_ignored, is_range_unsupported, is_transient
from obspec_utils._fork import check_fork
from obspec_utils._plan import Span
from obspec_utils._redact import redacted
from obspec_utils._response import Answer, answered, innermost
from obspec_utils._version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obspec import GetOptions, ObjectMeta
    from typing_extensions import Buffer

__all__ = ["begin", "begin_async", "request", "request_async", "request_or_whole", "request_or_whole_async", "supports"]

# In seconds: how long a first request that failed is left before its one retry.
RETRY_AFTER = 0.1


def supports(store: object, method: str) -> bool:
    """Tell whether a store, or the store a wrapper stands for, has a method."""
    told = getattr(store, "_supports", None)
    return told(method) if told is not None else hasattr(store, method)


def _unable(store: object, path: str) -> TypeError:
    name = type(innermost(store)).__name__  # a wrapper has all methods itself
    return TypeError(
        f"Can't read {redacted(path)!r}: {name} has neither get() nor head() together with get_range() or "
        "get_ranges(). Give a store with one of these, for example one of obstore.store."
    )


def _ranged(span: Span, options: Mapping[str, object] | None) -> GetOptions:
    return cast("GetOptions", {**(options or {}), "range": (span.start, span.stop)})


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


def request_or_whole(store: object, path: str, span: Span, options: Mapping[str, object] | None = None) -> Answer:
    """Request a span of an object; where its store can't serve ranges, the whole object.

    A server that ignored the range may serve it when asked again, so it is, before all of the object is requested. If
    that request fails too, the error of the range is raised.
    """
    for last in (False, True):
        try:
            return request(store, path, span, options)
        except Exception as error:
            if not (is_range_unsupported(error) and supports(store, "get")):
                raise
            if last or not is_range_ignored(error):
                return _whole(store, path, span, options, error)
    raise AssertionError


def _whole(store: object, path: str, span: Span, options: Mapping[str, object] | None, error: Exception) -> Answer:
    source: Any = store
    try:
        result = source.get(path, options=options) if options else source.get(path)
    except Exception:  # noqa: BLE001 - whatever it was, the first error says more
        raise error from None
    finally:
        del error  # its traceback leads to this frame
    return answered(store, path, span, result, ranged=False)


def begin(
    store: object, path: str, length: int, options: Mapping[str, object] | None = None, *, start: int = 0
) -> Answer:
    """Request the first `length` bytes of an object, or as many from `start`; this also tells size and version.

    A transient error is met with one retry, after 0.1 s: the store has already made its own. A store that can't serve
    the range (an empty object, a server without ranges) is asked for the whole object.
    """
    check_fork(store)
    span = Span(start, start + length)
    if not supports(store, "get"):
        return _begin_with_head(store, path, span, options)
    try:
        return request_or_whole(store, path, span, options)
    except Exception as error:
        if not is_transient(error):
            raise
    time.sleep(RETRY_AFTER)
    return request_or_whole(store, path, span, options)


def _begin_with_head(store: object, path: str, span: Span, options: Mapping[str, object] | None) -> Answer:
    source: Any = store
    if options or not supports(store, "head"):  # conditions and versions are for get
        raise _unable(store, path)
    meta = source.head(path)
    span = Span(span.start, max(span.start, min(span.stop, meta["size"])))
    answer = request(store, path, span) if span.length else Answer(store, path, span, b"")
    return _with_meta(answer, span, meta)


def _with_meta(answer: Answer, span: Span, meta: ObjectMeta) -> Answer:
    if answer.span != span:
        Version.of(meta).check(answer.path, Version(answer.span.stop))
    answer.meta = meta
    return answer


async def request_or_whole_async(
    store: object, path: str, span: Span, options: Mapping[str, object] | None = None
) -> Answer:
    """Request as `request_or_whole` does, on the running event loop."""
    for last in (False, True):
        try:
            return await request_async(store, path, span, options)
        except Exception as error:
            if not (is_range_unsupported(error) and supports(store, "get_async")):
                raise
            if last or not is_range_ignored(error):
                return await _whole_async(store, path, span, options, error)
    raise AssertionError


async def _whole_async(
    store: object, path: str, span: Span, options: Mapping[str, object] | None, error: Exception
) -> Answer:
    source: Any = store
    try:
        result = await (source.get_async(path, options=options) if options else source.get_async(path))
    except Exception:  # noqa: BLE001 - whatever it was, the first error says more
        raise error from None
    finally:
        del error  # its traceback leads to this frame
    return answered(store, path, span, result, ranged=False)


async def begin_async(
    store: object, path: str, length: int, options: Mapping[str, object] | None = None, *, start: int = 0
) -> Answer:
    """Request as `begin` does, on the running event loop."""
    check_fork(store)
    span = Span(start, start + length)
    if not supports(store, "get_async"):
        return await _begin_with_head_async(store, path, span, options)
    try:
        return await request_or_whole_async(store, path, span, options)
    except Exception as error:
        if not is_transient(error):
            raise
    await asyncio.sleep(RETRY_AFTER)
    return await request_or_whole_async(store, path, span, options)


async def _begin_with_head_async(store: object, path: str, span: Span, options: Mapping[str, object] | None) -> Answer:
    source: Any = store
    if options or not supports(store, "head_async"):
        raise _unable(store, path)
    meta = await source.head_async(path)
    span = Span(span.start, max(span.start, min(span.stop, meta["size"])))
    answer = await request_async(store, path, span) if span.length else Answer(store, path, span, b"")
    return _with_meta(answer, span, meta)
