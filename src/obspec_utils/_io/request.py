"""One request for one span of an object, by whichever method the store has."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

from obspec_utils._io.errors import is_range_ignored, is_range_unsupported, is_transient
from obspec_utils._io.fork import check_fork
from obspec_utils._io.response import Response, response_of, unwrap
from obspec_utils._ranges import ByteRange
from obspec_utils._redact import redacted
from obspec_utils._version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obspec import GetOptions, ObjectMeta
    from typing_extensions import Buffer

__all__ = [
    "has_method",
    "request",
    "request_async",
    "request_first",
    "request_first_async",
    "request_or_whole",
    "request_or_whole_async",
]

# In seconds: how long a first request that failed is left before its one retry.
RETRY_AFTER = 0.1


def has_method(store: object, method: str) -> bool:
    """Tell whether a store, or the store a wrapper stands for, has a method."""
    told = getattr(store, "_supports", None)
    return told(method) if told is not None else hasattr(store, method)


def _unable(store: object, path: str) -> TypeError:
    name = type(unwrap(store)).__name__  # a wrapper has all methods itself
    return TypeError(
        f"Can't read {redacted(path)!r}: {name} has neither get() nor head() together with get_range() or "
        "get_ranges(). Give a store with one of these, for example one of obstore.store."
    )


def _ranged(span: ByteRange, options: Mapping[str, object] | None) -> GetOptions:
    return cast("GetOptions", {**(options or {}), "range": (span.start, span.stop)})


def request(store: object, path: str, span: ByteRange, options: Mapping[str, object] | None = None) -> Response:
    """Ask for one span of an object, as a request of its own; return when the headers are there."""
    check_fork(store)
    source: Any = store
    if has_method(store, "get"):
        return response_of(store, path, span, source.get(path, options=_ranged(span, options)))
    if has_method(store, "get_range"):
        return _bare(store, path, span, source.get_range(path, start=span.start, end=span.stop))
    if has_method(store, "get_ranges"):
        (body,) = source.get_ranges(path, starts=[span.start], ends=[span.stop])
        return _bare(store, path, span, body)
    raise _unable(store, path)


async def request_async(
    store: object, path: str, span: ByteRange, options: Mapping[str, object] | None = None
) -> Response:
    """Ask as `request` does, on the running event loop."""
    check_fork(store)
    source: Any = store
    if has_method(store, "get_async"):
        return response_of(store, path, span, await source.get_async(path, options=_ranged(span, options)))
    if has_method(store, "get_range_async"):
        return _bare(store, path, span, await source.get_range_async(path, start=span.start, end=span.stop))
    if has_method(store, "get_ranges_async"):
        (body,) = await source.get_ranges_async(path, starts=[span.start], ends=[span.stop])
        return _bare(store, path, span, body)
    raise _unable(store, path)


def _bare(store: object, path: str, span: ByteRange, body: Buffer) -> Response:
    # A store cuts a range that runs past the end. Whether that is where the object should end is for the version check.
    return Response(store, path, ByteRange(span.start, span.start + memoryview(body).nbytes), body)


def request_or_whole(
    store: object, path: str, span: ByteRange, options: Mapping[str, object] | None = None
) -> Response:
    """Request a span of an object; where its store can't serve ranges, the whole object.

    A server that ignored the range may serve it when asked again, so it is, before all of the object is requested. If
    that request fails too, the error of the range is raised.
    """
    for last in (False, True):
        try:
            return request(store, path, span, options)
        except Exception as error:
            if not (is_range_unsupported(error) and has_method(store, "get")):
                raise
            if last or not is_range_ignored(error):
                return _whole(store, path, span, options, error)
    raise AssertionError


def _whole(
    store: object, path: str, span: ByteRange, options: Mapping[str, object] | None, error: Exception
) -> Response:
    source: Any = store
    try:
        result = source.get(path, options=options) if options else source.get(path)
    except Exception:  # noqa: BLE001 - whatever it was, the first error says more
        raise error from None
    finally:
        del error  # its traceback leads to this frame
    return response_of(store, path, span, result, ranged=False)


def request_first(
    store: object, path: str, length: int, options: Mapping[str, object] | None = None, *, start: int = 0
) -> Response:
    """Request the first `length` bytes of an object, or as many from `start`; this also tells size and version.

    A transient error is met with one retry, after 0.1 s: the store has already made its own. A store that can't serve
    the range (an empty object, a server without ranges) is asked for the whole object.
    """
    check_fork(store)
    span = ByteRange(start, start + length)
    if not has_method(store, "get"):
        return _begin_with_head(store, path, span, options)
    try:
        return request_or_whole(store, path, span, options)
    except Exception as error:
        if not is_transient(error):
            raise
    time.sleep(RETRY_AFTER)
    return request_or_whole(store, path, span, options)


def _begin_with_head(store: object, path: str, span: ByteRange, options: Mapping[str, object] | None) -> Response:
    source: Any = store
    if options or not has_method(store, "head"):  # conditions and versions are for get
        raise _unable(store, path)
    meta = source.head(path)
    span = ByteRange(span.start, max(span.start, min(span.stop, meta["size"])))
    answer = request(store, path, span) if span.length else Response(store, path, span, b"")
    return _with_meta(answer, span, meta)


def _with_meta(answer: Response, span: ByteRange, meta: ObjectMeta) -> Response:
    if answer.span != span:
        Version.of(meta).check(answer.path, Version(answer.span.stop))
    answer.meta = meta
    return answer


async def request_or_whole_async(
    store: object, path: str, span: ByteRange, options: Mapping[str, object] | None = None
) -> Response:
    """Request as `request_or_whole` does, on the running event loop."""
    for last in (False, True):
        try:
            return await request_async(store, path, span, options)
        except Exception as error:
            if not (is_range_unsupported(error) and has_method(store, "get_async")):
                raise
            if last or not is_range_ignored(error):
                return await _whole_async(store, path, span, options, error)
    raise AssertionError


async def _whole_async(
    store: object, path: str, span: ByteRange, options: Mapping[str, object] | None, error: Exception
) -> Response:
    source: Any = store
    try:
        result = await (source.get_async(path, options=options) if options else source.get_async(path))
    except Exception:  # noqa: BLE001 - whatever it was, the first error says more
        raise error from None
    finally:
        del error  # its traceback leads to this frame
    return response_of(store, path, span, result, ranged=False)


async def request_first_async(
    store: object, path: str, length: int, options: Mapping[str, object] | None = None, *, start: int = 0
) -> Response:
    """Request as `begin` does, on the running event loop."""
    check_fork(store)
    span = ByteRange(start, start + length)
    if not has_method(store, "get_async"):
        return await _begin_with_head_async(store, path, span, options)
    try:
        return await request_or_whole_async(store, path, span, options)
    except Exception as error:
        if not is_transient(error):
            raise
    await asyncio.sleep(RETRY_AFTER)
    return await request_or_whole_async(store, path, span, options)


async def _begin_with_head_async(
    store: object, path: str, span: ByteRange, options: Mapping[str, object] | None
) -> Response:
    source: Any = store
    if options or not has_method(store, "head_async"):
        raise _unable(store, path)
    meta = await source.head_async(path)
    span = ByteRange(span.start, max(span.start, min(span.stop, meta["size"])))
    answer = await request_async(store, path, span) if span.length else Response(store, path, span, b"")
    return _with_meta(answer, span, meta)
