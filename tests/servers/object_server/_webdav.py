"""The WebDAV methods that an HTTPStore uses to list and copy."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from itertools import starmap
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from tests.servers.object_server._http import Request, Response, http_date
from tests.servers.object_server._xml import Node, document, error

if TYPE_CHECKING:
    from tests.servers.object_server._objects import Objects, StoredObject

METHODS = frozenset({"PROPFIND", "MKCOL", "COPY", "MOVE"})


def answer_webdav(objects: Objects, request: Request) -> Response:
    """Answer one of METHODS; collections exist as soon as they are named."""
    if request.method == "PROPFIND":
        return _find(objects, replace(request, path=request.path.rstrip("/")))
    if request.method == "MKCOL":
        return Response(HTTPStatus.CREATED)
    target = unquote(urlsplit(request.headers["destination"]).path).removeprefix("/")
    source = objects.get(request.path)
    if source is None:
        return error(HTTPStatus.NOT_FOUND, request.path)
    if request.headers.get("overwrite") == "F" and objects.get(target) is not None:
        return error(HTTPStatus.PRECONDITION_FAILED, target)
    objects.put(target, source.data, source.attributes)
    if request.method == "MOVE":
        objects.delete(request.path)
    return Response(HTTPStatus.CREATED)


def _find(objects: Objects, request: Request) -> Response:
    found: dict[str, StoredObject | None] = {}
    if (itself := objects.get(request.path)) is not None:
        found[request.path] = itself
    for path, stored in objects.below(f"{request.path}/"):
        found.setdefault(f"{request.path}/", None)
        child, deeper, _ = path.removeprefix(f"{request.path}/").partition("/")
        if request.headers.get("depth") == "infinity" or not deeper:
            found[path] = stored
        else:
            found[f"{request.path}/{child}/"] = None
    if not found:
        return error(HTTPStatus.NOT_FOUND, request.path)
    children = list(starmap(_node, found.items()))
    body = document("multistatus", children, namespace="DAV:")
    return Response(HTTPStatus.MULTI_STATUS, {"Content-Type": "application/xml"}, body)


def _node(path: str, stored: StoredObject | None) -> Node:
    properties: list[Node] = [("resourcetype", [("collection", "")] if stored is None else "")]
    properties.append(("getlastmodified", http_date((stored and stored.modified) or 0)))
    if stored is not None:
        properties.append(("getcontentlength", str(len(stored.data))))
        properties.append(("getetag", stored.etag or ""))
    status: Node = ("status", "HTTP/1.1 200 OK")
    return "response", [("href", quote(f"/{path}")), ("propstat", [("prop", properties), status])]
