"""Request an object: status, headers and content type checked, its body to be read. Runs on one event loop."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp

from obspec_utils._ranges import ByteRange
from obspec_utils.exceptions import IncompleteReadError
from obspec_utils.stores._aiohttp_errors import NotSupportedError, StatusError, UnauthenticatedError, status_error
from obspec_utils.stores._aiohttp_reply import parse_reply
from obspec_utils.stores._aiohttp_sender import close, discard
from obspec_utils.stores._aiohttp_stream import Stream
from obspec_utils.stores._aiohttp_wanted import Range, Wanted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from obspec import Attributes, ObjectMeta

    from obspec_utils.stores._aiohttp_reply import Reply
    from obspec_utils.stores._aiohttp_sender import Sender
    from obspec_utils.stores._aiohttp_server import Server

__all__ = ["Opened", "check_type", "open_object", "pieces", "request", "unsatisfiable"]

_OK = frozenset({HTTPStatus.OK, HTTPStatus.NON_AUTHORITATIVE_INFORMATION, HTTPStatus.PARTIAL_CONTENT})
_XML = frozenset({"application/xml", "text/xml"})
_MAX_ERROR_DOCUMENT = 64 * 1024
# At the start of a document, without white space and a byte order mark before it.
_ERROR_DOCUMENT = re.compile(
    rb"(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)?"
    rb"<(?:\w+:)?(?:Error|ErrorResponse|ExceptionReport|ServiceExceptionReport)[\s/>]",
    re.DOTALL,
)
_CODE = re.compile(rb"<(?:\w+:)?Code>\s*(\w{1,100})\s*<")
_MAX_PROLOG = 1024


@dataclass(slots=True)
class Opened:
    """A response and its body: a stream, or bytes if its length was not known.

    Attributes
    ----------
    span
        The byte range of the object that was asked for.
    data, whole
        Without a stream, the bytes asked for, and all bytes of the response.
    ranges_ignored
        Whether the response has more bytes than asked for.
    """

    meta: ObjectMeta
    attributes: Attributes
    span: ByteRange
    stream: Stream | None = None
    data: bytes = b""
    whole: bytes = b""
    ranges_ignored: bool = False


async def request(sender: Sender, server: Server, path: str, wanted: Wanted) -> tuple[Reply, aiohttp.ClientResponse]:
    """Send a GET; return the headers, checked, and the response, whose body has not been read."""
    response = await sender.send("GET", path, wanted.headers)
    if response.status not in _OK:
        await discard(response, sender.timeout)
        raise sender.error(response, path, conditional=bool(wanted.conditions))
    try:
        return _checked(sender, server, path, wanted, response), response
    except BaseException:
        await close(response)
        raise


def _checked(sender: Sender, server: Server, path: str, wanted: Wanted, response: aiohttp.ClientResponse) -> Reply:
    reply = parse_reply(path, response.status, response.headers, wanted.range)
    check_type(sender, server, path, response)
    _check_range(sender, server, path, wanted.range, reply, response)
    return reply


def check_type(sender: Sender, server: Server, path: str, response: aiohttp.ClientResponse) -> None:
    """Raise UnauthenticatedError if a response is a page, as login and error pages are, in place of an object."""
    kind = response.headers.get("Content-Type", "")
    if server.is_replaced_by_page(path, kind):
        advice = (
            f"the response is {kind[:100]!r}, as login and error pages are, where the object had another type before: "
            "renew the credentials"
        )
        raise sender.error(response, path, advice=advice, kind=UnauthenticatedError)


def _check_range(
    sender: Sender, server: Server, path: str, wanted: Range | None, reply: Reply, response: aiohttp.ClientResponse
) -> None:
    if wanted is None or reply.body is None or reply.wanted is None:
        return
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        server.note_range(sender.site, served=True)
    elif not reply.wanted.length:
        raise unsatisfiable(sender, path, reply.body.stop, sender.shown_url(response))
    elif reply.wanted != reply.body:  # a server may send 200 for a range that is the whole object
        server.note_range(sender.site, served=False)


def unsatisfiable(sender: Sender, path: str, size: int, url: str = "") -> StatusError:
    """Return the error that a server which serves ranges sends for a range outside of an object of `size` bytes."""
    headers = {"Content-Range": f"bytes */{size}"}
    status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    return status_error(status, sender.site, path, url=url, headers=headers)


async def open_object(sender: Sender, server: Server, path: str, wanted: Wanted, *, size_needed: bool = True) -> Opened:
    """Request an object or a range of it; return when the headers have arrived.

    A body whose length the headers do not tell is read whole, because the size of the object is needed.

    Parameters
    ----------
    size_needed
        Whether a response for a range is an error if it does not tell the size of the object.
    """
    reply, response = await request(sender, server, path, wanted)
    if size_needed and reply.meta["size"] < 0 and reply.body is not None:
        await close(response)
        msg = f"The response for {path!r} does not tell the object's size: request the whole object"
        raise NotSupportedError(msg)

    async def reopen(span: ByteRange) -> tuple[Reply, aiohttp.ClientResponse]:
        return await request(sender, server, path, Wanted(range=Range(*span)))

    if reply.body is None or _may_be_error(path, reply, response):
        return await _read_whole(sender, server, path, wanted, reply, response)
    stream = Stream(path, reply, response, sender.timeout, server, reopen)
    if not stream.span.length:
        await stream.read(0)
        return Opened(reply.meta, reply.attributes, stream.span)
    ignored = wanted.range is not None and reply.wanted != reply.body
    return Opened(reply.meta, reply.attributes, stream.span, stream, ranges_ignored=ignored)


def _may_be_error(path: str, reply: Reply, response: aiohttp.ClientResponse) -> bool:
    kind = reply.attributes.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in _XML or response.status != HTTPStatus.OK or path.lower().endswith((".xml", ".gml", ".kml", ".xsd")):
        return False
    return (reply.body or ByteRange(0, 0)).length <= _MAX_ERROR_DOCUMENT


async def _read_whole(
    sender: Sender, server: Server, path: str, wanted: Wanted, reply: Reply, response: aiohttp.ClientResponse
) -> Opened:
    """Read a body now; raise an error if it is an XML document that tells one."""
    try:
        data = b"".join([piece async for piece in pieces(sender, response, path, reply)])
        if _may_be_error(path, reply, response) and _is_error_document(data):
            code = _CODE.search(data)  # only this: a message may repeat headers and queries
            told = f" with the code {code[1].decode()}" if code else ""
            raise sender.error(response, path, advice=f"the response is an error in XML{told}, not an object")
        body = ByteRange(0, len(data))
        span = body if wanted.range is None else wanted.range.within(len(data))
        reply = replace(reply, meta={**reply.meta, "size": len(data)}, body=body, wanted=span)
        _check_range(sender, server, path, wanted.range, reply, response)
    finally:
        await close(response)
    asked = data[span.start : span.stop]
    return Opened(reply.meta, reply.attributes, span, data=asked, whole=data, ranges_ignored=span != body)


def _is_error_document(data: bytes) -> bool:
    start = data[: 2 * _MAX_PROLOG].lstrip().removeprefix(b"\xef\xbb\xbf").lstrip()
    return _ERROR_DOCUMENT.match(start[:_MAX_PROLOG]) is not None


async def pieces(
    sender: Sender, response: aiohttp.ClientResponse, path: str, reply: Reply
) -> AsyncGenerator[bytes, None]:
    """Read a whole body, each piece within the timeout."""
    length = 0
    try:
        while True:
            async with asyncio.timeout(sender.timeout):
                piece = await response.content.readany()
            if not piece:
                break
            length += len(piece)
            yield piece
    except (aiohttp.ClientError, OSError) as error:
        told = " ".join(str(error).split()) or type(error).__name__
        msg = f"The body of {path!r} broke off: {told}. Retry the read."
        raise IncompleteReadError(msg) from error
    if reply.body is not None and length != reply.body.length:
        msg = f"Expected {reply.body.length} bytes of {path!r}, got {length}. Retry the read."
        raise IncompleteReadError(msg)
