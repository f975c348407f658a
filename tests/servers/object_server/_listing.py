"""ListObjectsV2."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from tests.servers.object_server._xml import Node, xml_response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.object_server._http import Request, Response
    from tests.servers.object_server._objects import Objects, StoredObject

_Entry = tuple[str, "StoredObject | None"]


def list_objects(objects: Objects, request: Request) -> Response:
    """One page of keys and common prefixes."""
    limit = int(request.query.get("max-keys", "1000"))
    page: list[_Entry] = []
    truncated = False
    for entry in _entries(objects, request):
        if len(page) == limit:
            truncated = True
            break
        page.append(entry)
    encode = quote if request.query.get("encoding-type") == "url" else str
    children: list[Node] = [
        ("Name", request.bucket),
        ("Prefix", encode(request.query.get("prefix", ""))),
        ("KeyCount", str(len(page))),
        ("MaxKeys", str(limit)),
        ("IsTruncated", str(truncated).lower()),
    ]
    children += [_node(encode(name), stored) for name, stored in page]
    if truncated:
        children.append(("NextContinuationToken", _token(page[-1])))
    return xml_response("ListBucketResult", children, {})


def _entries(objects: Objects, request: Request) -> Iterator[_Entry]:
    """Keys and common prefixes behind the place where the last page ended, in order."""
    prefix = request.query.get("prefix", "")
    delimiter = request.query.get("delimiter", "")
    after, skipped = _resume_after(request)
    for path, stored in objects.below(f"{request.bucket}/{prefix}"):
        key = path.removeprefix(f"{request.bucket}/")
        if key.encode() <= after.encode() or (skipped and key.startswith(skipped)):
            continue
        head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
        if not found:
            yield key, stored
        else:
            skipped = prefix + head + delimiter
            yield skipped, None


def _token(entry: _Entry) -> str:
    name, stored = entry
    kind = "prefix:" if stored is None else "key:"
    return base64.urlsafe_b64encode((kind + name).encode()).decode()


def _resume_after(request: Request) -> tuple[str, str]:
    """The last key to leave out, and the common prefix to leave out."""
    token = request.query.get("continuation-token")
    if token is None:
        return request.query.get("start-after", ""), ""
    kind, _, name = base64.urlsafe_b64decode(token).decode().partition(":")
    return (name, "") if kind == "key" else (name, name)


def _node(name: str, stored: StoredObject | None) -> Node:
    if stored is None:
        return "CommonPrefixes", [("Prefix", name)]
    modified = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(stored.modified or 0))
    return "Contents", [
        ("Key", name),
        ("LastModified", modified),
        ("ETag", stored.etag or ""),
        ("Size", str(len(stored.data))),
        ("StorageClass", "STANDARD"),
    ]
