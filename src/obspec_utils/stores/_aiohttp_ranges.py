"""Read several byte ranges of an object: a request each, or all from one response if the server ignores ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obspec_utils._io.concurrency import gather_async
from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS
from obspec_utils.stores._aiohttp_exchange import Opened, open_object, unsatisfiable
from obspec_utils.stores._aiohttp_sender import close
from obspec_utils.stores._aiohttp_wanted import Range, Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obspec_utils._version import Version
    from obspec_utils.stores._aiohttp_sender import Sender
    from obspec_utils.stores._aiohttp_server import Server

__all__ = ["read_ranges"]

# Bytes to read at a time from a response that has more than the ranges.
_CHUNK_SIZE = 1024 * 1024


async def read_ranges(sender: Sender, server: Server, path: str, ranges: Sequence[Range]) -> list[bytes]:
    """Return the bytes of ranges, in their order, all of one version of the object.

    Until a server has served a range, the first request is sent alone: if its response is the whole object, all ranges
    are cut out of that.
    """
    if len(ranges) < 2:  # noqa: PLR2004 - several
        return [await _read(await _open(sender, server, path, wanted)) for wanted in ranges]
    versions: list[Version] = []

    async def read(number: int) -> bytes:
        opened = await _open(sender, server, path, ranges[number])
        versions.append(server.version_of(opened.meta))
        try:
            server.check_version_of(path, opened.meta, versions[0])
        except BaseException:
            await _close(opened)
            raise
        return await _read(opened)

    if server.serves_ranges:
        return await gather_async(read, len(ranges), MAX_CONCURRENT_REQUESTS)
    opened = await _open(sender, server, path, ranges[0])
    if opened.ranges_ignored:
        return await _slices(sender, path, opened, ranges)
    versions.append(server.version_of(opened.meta))
    first = await _read(opened)
    rest = await gather_async(lambda number: read(number + 1), len(ranges) - 1, MAX_CONCURRENT_REQUESTS)
    return [first, *rest]


async def _open(sender: Sender, server: Server, path: str, wanted: Range) -> Opened:
    return await open_object(sender, server, path, Wanted(range=wanted), size_needed=False)


async def _close(opened: Opened) -> None:
    if opened.stream is not None:
        await close(opened.stream.response)


async def _read(opened: Opened) -> bytes:
    """Return the bytes that were asked for."""
    if opened.stream is None:
        return opened.data
    try:
        return await opened.stream.read(opened.span.length)
    except BaseException:
        await _close(opened)
        raise


async def _slices(sender: Sender, path: str, opened: Opened, ranges: Sequence[Range]) -> list[bytes]:
    """Cut ranges out of the whole object, as it arrives: no more than the ranges is in memory."""
    size = opened.meta["size"]
    spans = [wanted.within(size) for wanted in ranges]
    if not all(span.length for span in spans):
        await _close(opened)
        raise unsatisfiable(sender, path, size)
    if opened.stream is None:
        return [opened.whole[span.start : span.stop] for span in spans]
    stream = opened.stream
    stream.widen()
    pieces: list[list[bytes]] = [[] for _ in spans]
    last = max(span.stop for span in spans)
    try:
        while (start := stream.span.start) < last:
            chunk = await stream.read(_CHUNK_SIZE)
            for span, found in zip(spans, pieces, strict=True):
                if piece := chunk[max(span.start - start, 0) : max(span.stop - start, 0)]:
                    found.append(piece)
    finally:
        await close(stream.response)
    return [b"".join(found) for found in pieces]
