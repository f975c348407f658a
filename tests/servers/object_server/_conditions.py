"""Conditional requests (RFC 9110, section 13) for reads and for writes."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from tests.servers.object_server._http import parse_http_date

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.servers.object_server._objects import StoredObject


def is_conditional_read(headers: Mapping[str, str]) -> bool:
    """Whether a request asks for the object only if it has changed."""
    return "if-none-match" in headers or "if-modified-since" in headers


def failed_read_condition(headers: Mapping[str, str], stored: StoredObject) -> HTTPStatus | None:
    """412 or 304 if a condition of a GET or HEAD stops it, else None."""
    if "if-match" in headers:
        if not _strong_match(headers["if-match"], stored.etag):
            return HTTPStatus.PRECONDITION_FAILED
    elif _modified_since(headers.get("if-unmodified-since"), stored) is True:
        return HTTPStatus.PRECONDITION_FAILED
    if "if-none-match" in headers:
        if _weak_match(headers["if-none-match"], stored.etag):
            return HTTPStatus.NOT_MODIFIED
    elif _modified_since(headers.get("if-modified-since"), stored) is False:
        return HTTPStatus.NOT_MODIFIED
    return None


def failed_write_condition(headers: Mapping[str, str], stored: StoredObject | None) -> HTTPStatus | None:
    """404 or 412 if a condition of a PUT stops it, else None."""
    if "if-match" in headers:
        if stored is None:
            return HTTPStatus.NOT_FOUND
        if not _strong_match(headers["if-match"], stored.etag):
            return HTTPStatus.PRECONDITION_FAILED
    wanted = headers.get("if-none-match")
    if wanted and stored and _weak_match(wanted, stored.etag):
        return HTTPStatus.PRECONDITION_FAILED
    return None


def _strong_match(header: str, etag: str | None) -> bool:
    if header.strip() == "*":
        return True
    return etag is not None and not etag.startswith("W/") and etag in _etags(header)


def _weak_match(header: str, etag: str | None) -> bool:
    if header.strip() == "*":
        return True
    listed = {candidate.removeprefix("W/") for candidate in _etags(header)}
    return etag is not None and etag.removeprefix("W/") in listed


def _etags(header: str) -> list[str]:
    return [candidate.strip() for candidate in header.split(",")]


def _modified_since(header: str | None, stored: StoredObject) -> bool | None:
    """Whether the object is newer than the header's date; None if that cannot be told."""
    moment = parse_http_date(header) if header else None
    if moment is None or stored.modified is None:
        return None
    return stored.modified > moment
