"""Which answer a request gets."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from tests.servers.object_server._http import Request, Response
from tests.servers.object_server._listing import list_objects
from tests.servers.object_server._read import read_object
from tests.servers.object_server._webdav import METHODS, answer_webdav
from tests.servers.object_server._write import Uploads, delete_objects, put_object
from tests.servers.object_server._xml import error

if TYPE_CHECKING:
    from tests.servers.object_server._objects import Objects


class Router:
    """Answers requests over the objects; holds the uploads under way."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._uploads = Uploads()

    def answer(self, request: Request, effects: frozenset[str]) -> Response:
        """Return the response; never does I/O."""
        if request.method in METHODS:
            return answer_webdav(self._objects, request)
        if not request.key:
            return self._answer_bucket(request)
        if "uploads" in request.query or "uploadId" in request.query:
            return self._uploads.answer(self._objects, request)
        return self._answer_object(request, effects)

    def _answer_bucket(self, request: Request) -> Response:
        if request.method == "GET" and "list-type" in request.query:
            return list_objects(self._objects, request)
        if request.method == "POST" and "delete" in request.query:
            return delete_objects(self._objects, request)
        if request.method in ("PUT", "HEAD"):
            return Response(HTTPStatus.OK)
        return error(HTTPStatus.METHOD_NOT_ALLOWED, request.path)

    def _answer_object(self, request: Request, effects: frozenset[str]) -> Response:
        if request.method in ("GET", "HEAD"):
            return read_object(self._objects, request, effects)
        if request.method == "PUT":
            return put_object(self._objects, request)
        if request.method == "DELETE":
            if not self._objects.delete(request.path):
                return error(HTTPStatus.NOT_FOUND, request.path)
            return Response(HTTPStatus.NO_CONTENT)
        return error(HTTPStatus.METHOD_NOT_ALLOWED, request.path)
