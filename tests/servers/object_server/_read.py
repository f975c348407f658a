"""GET and HEAD of one object."""

from __future__ import annotations

import itertools
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from tests.servers.object_server._conditions import failed_read_condition
from tests.servers.object_server._http import Request, Response, http_date
from tests.servers.object_server._ranges import UnsatisfiableRangeError, resolve_range
from tests.servers.object_server._xml import error

if TYPE_CHECKING:
    from tests.servers.object_server._objects import Objects, StoredObject

# For values that differ with each response.
_numbers = itertools.count(1)


def read_object(objects: Objects, request: Request, effects: frozenset[str]) -> Response:
    """Answer GET or HEAD; `effects` names the faults that change what the server shows."""
    version = request.query.get("versionId")
    stored = objects.get(request.path, version)
    if stored is None:
        code = "NoSuchKey" if version is None else "NoSuchVersion"
        return _without_body(request, error(HTTPStatus.NOT_FOUND, request.path, code))
    stored = _as_shown(stored, effects)
    failed = failed_read_condition(request.headers, stored)
    if failed is HTTPStatus.NOT_MODIFIED:
        return Response(failed, object_headers(stored))
    if failed is not None:
        return _without_body(request, error(failed, request.path))
    header = None if "ignore_range" in effects else request.headers.get("range")
    try:
        span = resolve_range(header, len(stored.data))
    except UnsatisfiableRangeError:
        total = {"Content-Range": f"bytes */{len(stored.data)}"}
        return _without_body(request, error(416, request.path, **total))
    return _without_body(request, _content(stored, span))


def object_headers(stored: StoredObject) -> dict[str, str]:
    """Everything the server tells about an object beside its bytes."""
    headers = {"Accept-Ranges": "bytes", **dict(stored.attributes)}
    if stored.etag is not None:
        headers["ETag"] = stored.etag
    if stored.modified is not None:
        headers["Last-Modified"] = http_date(stored.modified)
    headers["x-amz-version-id"] = stored.version
    return headers


def _as_shown(stored: StoredObject, effects: frozenset[str]) -> StoredObject:
    if "no_etag" in effects:
        stored = replace(stored, etag=None)
    if "weak_etag" in effects and stored.etag is not None:
        stored = replace(stored, etag=f"W/{stored.etag}")
    if "no_last_modified" in effects:
        stored = replace(stored, modified=None)
    if "vary_etag" in effects:
        stored = replace(stored, etag=f'"varied-{next(_numbers)}"')
    if "vary_last_modified" in effects and stored.modified is not None:
        stored = replace(stored, modified=stored.modified + next(_numbers))
    return stored


def _content(stored: StoredObject, span: tuple[int, int] | None) -> Response:
    headers = object_headers(stored)
    if span is None:
        return Response(HTTPStatus.OK, headers, stored.data)
    start, stop = span
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(stored.data)}"
    return Response(HTTPStatus.PARTIAL_CONTENT, headers, stored.data[start:stop])


def _without_body(request: Request, response: Response) -> Response:
    """Return what HEAD answers: the length stays, the bytes go."""
    if request.method != "HEAD":
        return response
    return replace(response, body=b"", content_length=len(response.body))
