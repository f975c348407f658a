"""Read a range of an object as a slice of its bytes: clamped to the object, and empty if that has no such bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from obspec_utils._io.errors import is_range_unsupported
from obspec_utils._io.fork import check_fork
from obspec_utils._io.request import send_get, send_range_or_whole
from obspec_utils._io.response import response_of
from obspec_utils._ranges import ByteRange, resolve_range
from obspec_utils._version import Version
from obspec_utils.exceptions import IncompleteReadError

if TYPE_CHECKING:
    from obspec import ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils._io.backends import Backend

__all__ = ["Wanted", "read_clamped", "read_range"]

# A start and a stop, `{"offset": n}`, `{"suffix": n}`, or the whole object.
Wanted: TypeAlias = "tuple[int, int] | dict[str, int] | None"


async def read_range(backend: Backend, store: object, path: str, span: ByteRange) -> Buffer:
    """Read a range by `get_range`, which a wrapper may join with those of other callers.

    Raises
    ------
    IncompleteReadError
        If there are more bytes, such as from a proxy that compresses. Fewer may be all that the object has.
    """
    check_fork(store)
    body: Buffer = await backend.invoke(store, "get_range", path, start=span.start, end=span.stop)
    if len(memoryview(body)) > span.length:
        msg = f"Expected {span.length} bytes of {path!r}, got {len(memoryview(body))}. Retry the read."
        raise IncompleteReadError(msg)
    return body


async def read_clamped(backend: Backend, store: object, path: str, wanted: Wanted) -> Buffer:
    """Return the bytes of a range: by one request, or two if the store can't serve it as it is."""
    try:
        if isinstance(wanted, tuple) and wanted[0] < wanted[1]:
            return await read_range(backend, store, path, ByteRange(*wanted))
        if not isinstance(wanted, tuple) and wanted != {"suffix": 0}:
            return await _get(backend, store, path, wanted)
    except Exception as error:
        if not is_range_unsupported(error):
            raise
    return await _read_of_known_size(backend, store, path, wanted)


async def _get(backend: Backend, store: object, path: str, wanted: dict[str, int] | None) -> Buffer:
    result = await send_get(backend, store, path, None if wanted is None else {"range": wanted})
    size = result.meta["size"]
    span = resolve_range(wanted or (0, size), size) or ByteRange(size, size)
    response = response_of(store, path, span, result, ranged=wanted is not None)
    return response.slice(await backend.body(response), span)


async def _read_of_known_size(backend: Backend, store: object, path: str, wanted: Wanted) -> Buffer:
    """Read a range that a store does not serve as it is: a suffix in Azure, or one without bytes."""
    check_fork(store)
    meta: ObjectMeta = await backend.invoke(store, "head", path)
    span = resolve_range(wanted or (0, meta["size"]), meta["size"])
    if span is None:
        return b""
    response = await send_range_or_whole(backend, store, path, span)
    if response.meta is not None:
        Version.of(meta).check(path, Version.of(response.meta))
    return response.slice(await backend.body(response), span)
