"""Read slices of one object by few requests. All bytes of a call are of one version."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from obspec_utils._io.backends import ASYNC
from obspec_utils._io.buffers import BufferList
from obspec_utils._io.clamped import read_range
from obspec_utils._io.errors import is_range_unsupported
from obspec_utils._io.fetch import fetch_parts
from obspec_utils._io.multipart import PartLimits
from obspec_utils._io.request import send_first, send_get
from obspec_utils._io.response import has_method, response_of
from obspec_utils._ranges import ByteRange, coalesce, split, touching
from obspec_utils._version import Version
from obspec_utils.wrappers._turns import MAX_IN_FLIGHT, fetch_part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obspec import ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils._io.allocation import WriteTarget
    from obspec_utils._io.response import Response
    from obspec_utils._version import CheckVersion

__all__ = ["Slice", "WholeObject", "read_slices", "read_whole"]

Slice: TypeAlias = tuple[int | None, int | None]
"""Start and stop, with the meaning that they have in a slice of `bytes`: negative ones count from the end."""

_MAX_REQUEST_SIZE = 8 * 1024 * 1024
# A longer range may be meant as "to the end", whatever that is: it is requested without a stop.
_MAX_LENGTH = 1024 * _MAX_REQUEST_SIZE


class WholeObject(NamedTuple):
    """An object whose first response has arrived, and the parts that are missing then: none of a small object."""

    store: object
    path: str
    first: Response
    parts: Sequence[ByteRange]
    max_concurrent: int

    @classmethod
    async def request(cls, store: object, path: str, *, in_parts: bool = True) -> WholeObject:
        """Request the first part, of the size that a splitting store has, or else the default; or all of the object."""
        if not in_parts:
            result = await send_get(ASYNC, store, path)
            span = ByteRange(0, result.meta["size"])
            return cls(store, path, response_of(store, path, span, result, ranged=False), [], 1)
        limits: PartLimits = getattr(store, "_limits", PartLimits)()  # of a wrapper of this library
        first = await send_first(ASYNC, store, path, ByteRange(0, limits.request_size))
        rest = ByteRange(first.span.stop, cast("ObjectMeta", first.meta)["size"])
        return cls(store, path, first, split(rest, *limits, under_way=1), limits.max_concurrent)

    async def fetch(self, targets: Sequence[WriteTarget] | None = None) -> list[Buffer]:
        """Return all parts, or write them to targets."""
        version = _version_of(self.store, cast("ObjectMeta", self.first.meta))
        return await fetch_parts(
            ASYNC, self.store, self.path, self.parts, version, self.max_concurrent, first=self.first, targets=targets
        )


async def read_whole(store: object, path: str) -> bytes:
    """Return an object's bytes. Large ones are fetched in parallel parts."""
    whole = await WholeObject.request(store, path)
    return b"".join(await whole.fetch())


async def read_slices(
    store: object, path: str, slices: Sequence[Slice], *, max_gap: int = 0, max_in_flight: int = MAX_IN_FLIGHT
) -> list[bytes]:
    """Return slices of an object, as slices of `bytes` would be: cut at its end, and empty past it.

    Ranges are sorted, joined if they are adjacent, overlap or have up to `max_gap` bytes between them, and fetched by
    at most `max_in_flight` requests at a time. An empty range sends no request. What counts from the end of the object
    needs its size: a request for all bytes up to the end tells it, otherwise a request for one byte goes first.

    Raises
    ------
    ObjectChangedError
        If the responses are of several versions.
    """
    spans = [_absolute(*each) for each in slices]
    known = [span for span in spans if span is not None]
    try:
        if len(known) == len(spans) == 1 and 0 < known[0].length <= _MAX_REQUEST_SIZE:
            return [await _read_range(store, path, known[0])]
        if len(known) == len(spans):
            return await _read_together(store, path, known, max_gap, max_in_flight)
        relative = [each for each, span in zip(slices, spans, strict=True) if span is None]
        first = await _request_to_end(store, path, relative)
    except Exception as error:
        if not is_range_unsupported(error):
            raise
        first = None  # a range starts past the end, or the server can't serve it
    return await _read_with_size(store, path, slices, max_gap, max_in_flight, first)


def _check_version(store: object) -> CheckVersion:
    """Return what tells versions apart: for a wrapper of this library what it was given."""
    chosen: CheckVersion = getattr(store, "_check_version", "auto")
    return chosen


def _version_of(store: object, meta: ObjectMeta) -> Version:
    return Version.of(meta, _check_version(store))


def _absolute(start: int | None, stop: int | None) -> ByteRange | None:
    """Return the byte range of a slice; None if that depends on the object's size."""
    start = start or 0
    if stop is None or start < 0 or stop < 0 or stop - start > _MAX_LENGTH or stop > sys.maxsize:
        return None
    return ByteRange(start, max(start, stop))


async def _read_range(store: object, path: str, span: ByteRange) -> bytes:
    if not has_method(store, "get_range_async"):
        return (await _read_together(store, path, [span], 0, 1))[0]
    return bytes(await read_range(ASYNC, store, path, span))


async def _read_together(
    store: object, path: str, spans: Sequence[ByteRange], max_gap: int, max_in_flight: int
) -> list[bytes]:
    """Fetch ranges whose offsets are known, all in the time of one round trip."""
    plan = coalesce((span for span in spans if span.length), max_gap, _MAX_REQUEST_SIZE)
    parts = await ASYNC.gather(
        lambda number: fetch_part(ASYNC, store, path, plan[number], _check_version(store)), len(plan), max_in_flight
    )
    versions = [part.version for part in parts if part.version is not None]
    for version in versions[1:]:
        versions[0].check(path, version)
    return [_cut(plan, [part.body for part in parts], span) for span in spans]


async def _request_to_end(store: object, path: str, slices: Sequence[Slice]) -> Response | None:
    """Request the first of slices that goes to the end of the object; return None if none does."""
    for start, stop in slices:
        if stop is None or stop > _MAX_LENGTH:
            start = max(-sys.maxsize, min(start or 0, sys.maxsize))  # noqa: PLW2901 - stores count in 64 bits
            wanted = {"offset": start} if start >= 0 else {"suffix": -start}
            result = await send_get(ASYNC, store, path, {"range": wanted})
            span = ByteRange(*slice(start, None).indices(result.meta["size"])[:2])
            return response_of(store, path, span, result)
    return None


async def _read_with_size(
    store: object, path: str, slices: Sequence[Slice], max_gap: int, max_in_flight: int, first: Response | None
) -> list[bytes]:
    """Resolve slices by the size of the object, which the first response tells, and fetch what that one has not."""
    if first is None:
        first = await send_first(ASYNC, store, path, ByteRange(0, 1))
    meta = cast("ObjectMeta", first.meta)
    size = meta["size"]
    spans = [ByteRange(start, max(start, stop)) for start, stop, _ in (slice(*each).indices(size) for each in slices)]
    to_end = first if first.span.stop == size else None
    stop = size if to_end is None else to_end.span.start
    missing = (ByteRange(span.start, min(span.stop, stop)) for span in spans if span.length and span.start < stop)
    plan = coalesce(missing, max_gap, _MAX_REQUEST_SIZE)
    bodies = await fetch_parts(ASYNC, store, path, plan, _version_of(store, meta), max_in_flight, first=to_end)
    if to_end is not None:
        plan, bodies = [*plan, to_end.span], [*bodies[1:], bodies[0]]
    buffers = [BufferList([body], span.start) for span, body in zip(plan, bodies, strict=True)]
    return [_cut(plan, buffers, span) for span in spans]


def _cut(plan: Sequence[ByteRange], bodies: Sequence[BufferList], span: ByteRange) -> bytes:
    """Return the bytes of a range, as far as the object has them."""
    if not span.length:
        return b""
    pieces = (
        piece
        for number in touching(plan, span)
        for piece in bodies[number].pieces(
            max(span.start, plan[number].start), min(span.stop, plan[number].stop, bodies[number].stop)
        )
    )
    return b"".join(pieces)
