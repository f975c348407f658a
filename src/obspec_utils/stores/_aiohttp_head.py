"""Get an object's metadata without its bytes. Runs on one event loop."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

from obspec_utils._ranges import ByteRange
from obspec_utils.stores._aiohttp_errors import NotSupportedError, ProtocolError, StatusError
from obspec_utils.stores._aiohttp_exchange import Opened, check_type, pieces, request
from obspec_utils.stores._aiohttp_reply import attributes_of, meta_of, parse_reply, size_of_unsatisfied
from obspec_utils.stores._aiohttp_sender import close, discard
from obspec_utils.stores._aiohttp_wanted import Range, Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp
    from obspec import Attributes, ObjectMeta

    from obspec_utils.stores._aiohttp_reply import Reply
    from obspec_utils.stores._aiohttp_sender import Sender
    from obspec_utils.stores._aiohttp_server import Server

__all__ = ["fetch_head", "open_head"]

# Statuses of a HEAD that a server refuses, although it may answer a GET: a signed URL is for one method.
_HEAD_REFUSED = frozenset({400, 401, 403, 405, 501})


async def open_head(sender: Sender, server: Server, path: str, wanted: Wanted) -> Opened:
    """Return an object's metadata as a get without a body."""
    meta, attributes = await fetch_head(sender, server, path, wanted.conditions)
    size = meta["size"]
    return Opened(meta, attributes, ByteRange(0, size) if wanted.range is None else wanted.range.within(size))


async def fetch_head(
    sender: Sender, server: Server, path: str, conditions: dict[str, str]
) -> tuple[ObjectMeta, Attributes]:
    """Return the metadata and attributes of an object.

    A HEAD that is refused, or that tells no size or the size 0, is followed by a GET of the first byte.
    """
    found = None
    with suppress(ProtocolError):  # a body, which a response to HEAD must not have
        response = await sender.send("HEAD", path, conditions)
        await discard(response, sender.timeout)
        if response.status == HTTPStatus.OK:
            check_type(sender, server, path, response)
            found = parse_reply(path, HTTPStatus.OK, response.headers, None)
            if found.meta["size"] > 0:
                return found.meta, found.attributes
        elif response.status not in _HEAD_REFUSED:
            raise sender.error(response, path, conditional=bool(conditions))
    try:
        reply, response = await request(sender, server, path, Wanted(conditions, Range(0, 1)))
    except StatusError as error:
        if error.status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        return _empty(path, error, found)
    try:
        return {**reply.meta, "size": await _size(sender, path, reply, response)}, reply.attributes
    finally:
        await close(response)


def _empty(path: str, error: StatusError, head: Reply | None) -> tuple[ObjectMeta, Attributes]:
    """Return the metadata of an object that has no first byte, from the response to HEAD if there was one."""
    headers: Mapping[str, str] = error.headers or {}
    if size_of_unsatisfied(headers):
        raise error
    if head is not None:
        return {**head.meta, "size": 0}, head.attributes
    return meta_of(path, headers, 0), attributes_of(headers)


async def _size(sender: Sender, path: str, reply: Reply, response: aiohttp.ClientResponse) -> int:
    if reply.body is None:  # only the whole body tells
        return sum([len(piece) async for piece in pieces(sender, response, path, reply)])
    if reply.meta["size"] < 0:
        msg = f"The server does not tell the size of {path!r}: request the whole object"
        raise NotSupportedError(msg)
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        await discard(response, sender.timeout)
    return reply.meta["size"]
