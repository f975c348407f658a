"""Request one byte range of an object with any method that the store has.

`send_...` are coroutines that take a backend; `request` and `request_first` run them in the calling thread.
"""

from __future__ import annotations

from logging import INFO, WARNING
from typing import TYPE_CHECKING, Any, cast

from obspec_utils._io.backends import SYNC, run
from obspec_utils._io.errors import is_range_ignored, is_range_unsupported, is_transient
from obspec_utils._io.fork import check_fork
from obspec_utils._io.logs import log
from obspec_utils._io.response import Response, response_of, unwrap
from obspec_utils._ranges import ByteRange
from obspec_utils._redact import redacted
from obspec_utils._version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obspec import GetOptions, ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils._io.backends import Backend

__all__ = [
    "request",
    "request_first",
    "send_first",
    "send_get",
    "send_range",
    "send_range_or_whole",
]

# Delay before the one retry of a failed first request, in seconds.
FIRST_RETRY_DELAY = 0.1


def request(store: object, path: str, span: ByteRange, options: Mapping[str, object] | None = None) -> Response:
    """Request one range of an object; return when the headers have arrived."""
    return run(send_range(SYNC, store, path, span, options))


def request_first(
    store: object, path: str, length: int, options: Mapping[str, object] | None = None, *, start: int = 0
) -> Response:
    """Request `length` bytes of an object from `start`, and its size and version.

    Retry a transient error once, after 0.1 s, on top of the store's own retries. If the range can't be served (an empty
    object, a server without ranges), request the whole object.
    """
    return run(send_first(SYNC, store, path, ByteRange(start, start + length), options))


async def send_range(
    backend: Backend, store: object, path: str, span: ByteRange, options: Mapping[str, object] | None = None
) -> Response:
    """Request one range of an object; return when the headers have arrived."""
    check_fork(store)
    if backend.has(store, "get"):
        ranged = cast("GetOptions", {**(options or {}), "range": (span.start, span.stop)})
        return response_of(store, path, span, await backend.invoke(store, "get", path, options=ranged))
    if backend.has(store, "get_range"):
        body = await backend.invoke(store, "get_range", path, start=span.start, end=span.stop)
        return _without_meta(store, path, span, body)
    if backend.has(store, "get_ranges"):
        (body,) = await backend.invoke(store, "get_ranges", path, starts=[span.start], ends=[span.stop])
        return _without_meta(store, path, span, body)
    raise _unable(store, path, options)


async def send_range_or_whole(
    backend: Backend, store: object, path: str, span: ByteRange, options: Mapping[str, object] | None = None
) -> Response:
    """Request one range of an object; the whole object if the store can't serve the range.

    If a server ignored the range, retry once before requesting the whole object: it may ignore Range only sometimes. If
    the request for the whole object fails too, raise the error of the range.
    """
    for last in (False, True):
        try:
            return await send_range(backend, store, path, span, options)
        except Exception as error:
            if not (is_range_unsupported(error) and backend.has(store, "get")):
                raise
            if last or not is_range_ignored(error):
                whole = await _send_whole(backend, store, path, span, options, error)
                if is_range_ignored(error) and whole.span.length:  # not of an empty object
                    log(WARNING, "The server ignored a range, and sends all of %r: %s", path, error)
                return whole
    raise AssertionError


async def _send_whole(
    backend: Backend,
    store: object,
    path: str,
    span: ByteRange,
    options: Mapping[str, object] | None,
    error: Exception,
) -> Response:
    try:
        result = await send_get(backend, store, path, options)
    except Exception:  # noqa: BLE001 - the error of the range is more specific
        raise error from None
    finally:
        del error  # break the cycle error -> traceback -> frame
    return response_of(store, path, span, result, ranged=False)


async def send_get(backend: Backend, store: object, path: str, options: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401
    """Get an object; return the store's result when the headers have arrived."""
    check_fork(store)
    return await backend.invoke(store, "get", path, **({"options": options} if options else {}))


async def send_first(
    backend: Backend, store: object, path: str, span: ByteRange, options: Mapping[str, object] | None = None
) -> Response:
    """Send the first request for an object, see `request_first`."""
    check_fork(store)
    if not backend.has(store, "get"):
        return await _send_first_with_head(backend, store, path, span, options)
    try:
        return await send_range_or_whole(backend, store, path, span, options)
    except Exception as error:
        if not is_transient(error):
            raise
        log(INFO, "Retry the first request for %r in %s s: %s", path, FIRST_RETRY_DELAY, error)
    await backend.sleep(FIRST_RETRY_DELAY)
    return await send_range_or_whole(backend, store, path, span, options)


async def _send_first_with_head(
    backend: Backend, store: object, path: str, span: ByteRange, options: Mapping[str, object] | None
) -> Response:
    if options or not backend.has(store, "head"):
        raise _unable(store, path, options)
    meta: ObjectMeta = await backend.invoke(store, "head", path)
    span = ByteRange(span.start, max(span.start, min(span.stop, meta["size"])))
    if not span.length:
        return Response(store, path, span, b"", meta=meta)
    response = await send_range(backend, store, path, span)
    if response.span != span:
        Version.of(meta).check(path, Version(response.span.stop))
    response.meta = meta
    return response


def _without_meta(store: object, path: str, span: ByteRange, body: Buffer) -> Response:
    # Stores truncate a range at the object's end; the version check compares the size.
    return Response(store, path, ByteRange(span.start, span.start + memoryview(body).nbytes), body)


def _unable(store: object, path: str, options: Mapping[str, object] | None) -> TypeError:
    name = type(unwrap(store)).__name__  # a wrapper has all methods itself
    if options:
        return TypeError(
            f"Can't read {redacted(path)!r} with {', '.join(options)}=: {name} has no get(), and no other method takes "
            "options. Pass a store that has it, such as obstore.store.S3Store."
        )
    return TypeError(
        f"Can't read {redacted(path)!r}: {name} has neither get() nor head() with get_range() or get_ranges(). "
        "Pass a store that has one of these, such as obstore.store.S3Store."
    )
