"""The headers of a response: the object's metadata, and which of its bytes the body has. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from obspec_utils._ranges import ByteRange
from obspec_utils._redact import shown
from obspec_utils.exceptions import IncompleteReadError
from obspec_utils.stores._aiohttp_errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obspec import Attributes, ObjectMeta

    from obspec_utils.stores._aiohttp_wanted import Range

__all__ = ["Reply", "attributes_of", "content_length", "meta_of", "parse_reply", "retry_after", "size_of_unsatisfied"]

_ATTRIBUTES = ("Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Cache-Control")
# What obstore's HTTPStore returns for a missing date. It is compared with nothing.
_NO_DATE = datetime.fromtimestamp(0, UTC)
_CONTENT_RANGE = re.compile(r"\s*bytes\s+(\d{1,19})-(\d{1,19})/(\d{1,19}|\*)\s*", re.IGNORECASE)
_UNSATISFIED = re.compile(r"\s*bytes\s+\*/(\d{1,19})\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the headers of a response tell.

    Attributes
    ----------
    meta
        The object's metadata; the size is -1 if the headers do not have it.
    attributes
        Further attributes of the object.
    body
        The byte range of the object that the body has; None if its length is not known.
    wanted
        The part of it that was asked for; None if the size is needed to know, and is not known.
    """

    meta: ObjectMeta
    attributes: Attributes
    body: ByteRange | None
    wanted: ByteRange | None


def parse_reply(path: str, status: int, headers: Mapping[str, str], wanted: Range | None) -> Reply:
    """Return what the headers of a successful response tell.

    Raises
    ------
    NotSupportedError
        If a part was sent that was not asked for, or without telling which.
    IncompleteReadError
        If headers contradict each other or the request. A retry may succeed.
    """
    length = content_length(headers)
    if status != HTTPStatus.PARTIAL_CONTENT:
        body = None if length is None else ByteRange(0, length)
        meta = meta_of(path, headers, -1 if length is None else length)
        span = body if wanted is None or body is None else wanted.within(body.stop)
        return Reply(meta, attributes_of(headers), body, span)
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    if match is None or wanted is None:
        found = shown(headers.get("Content-Range") or headers.get("Content-Type"))
        msg = (
            f"The response for {path!r} has an unknown part of the object, {found}: the server does not support ranges"
        )
        raise NotSupportedError(msg)
    body = ByteRange(int(match[1]), int(match[2]) + 1)
    size = _size(path, body, match[3], wanted)
    if length is not None and length != body.length:
        msg = f"Expected {body.length} bytes of {path!r}, got Content-Length: {length}. Retry the read."
        raise IncompleteReadError(msg)
    return Reply(meta_of(path, headers, size), attributes_of(headers), body, body)


def _size(path: str, body: ByteRange, total: str, wanted: Range) -> int:
    """Return the size of the object, -1 if unknown; raise IncompleteReadError if the body is not what was wanted."""
    size = -1 if total == "*" else int(total)
    if size < 0 and body != (wanted.start, wanted.stop):
        msg = (
            f"The response for {path!r} has a part of the object, and does not tell its size: request the whole object"
        )
        raise NotSupportedError(msg)
    expected = body if size < 0 else wanted.within(size)
    if body != expected:
        msg = f"Expected bytes {expected.start} to {expected.stop} of {path!r}, got bytes {body.start} to {body.stop}."
        raise IncompleteReadError(msg + " Retry the read.")
    return size


def content_length(headers: Mapping[str, str]) -> int | None:
    """Return the length of a body; None if it is not told: in chunks, or until the connection is closed."""
    value = headers.get("Content-Length", "")
    if "Transfer-Encoding" in headers or not (value.isascii() and value.isdigit()):
        return None
    return int(value)


def size_of_unsatisfied(headers: Mapping[str, str]) -> int | None:
    """Return the object's size, as a response with the status 416 tells it."""
    match = _UNSATISFIED.fullmatch(headers.get("Content-Range", ""))
    return None if match is None else int(match[1])


def meta_of(path: str, headers: Mapping[str, str], size: int) -> ObjectMeta:
    """Return the metadata of an object of `size` bytes."""
    return {
        "path": path.removeprefix("/").removesuffix("/"),
        "last_modified": _date(headers.get("Last-Modified")) or _NO_DATE,
        "size": size,
        "e_tag": _tag(headers.get("ETag", "")),
        "version": None,
    }


def attributes_of(headers: Mapping[str, str]) -> Attributes:
    """Return the attributes of an object, as obstore's HTTPStore does."""
    return {name: headers[name] for name in _ATTRIBUTES if name in headers}


def _tag(text: str) -> str | None:
    """Return an ETag that a condition can name."""
    return text if text and text.isascii() and text.isprintable() else None


def _date(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):  # not a date: as if there were none
        return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the delay that a server asks for, in seconds; None if it does not."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    date = _date(value)
    return None if date is None else max(0.0, (date - datetime.now(UTC)).total_seconds())
