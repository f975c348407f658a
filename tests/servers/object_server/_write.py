"""PUT, copy, DELETE, multi-object delete and multipart uploads."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tests.servers.object_server._conditions import failed_write_condition
from tests.servers.object_server._http import Request, Response
from tests.servers.object_server._ranges import resolve_range
from tests.servers.object_server._xml import error, texts, xml_response

if TYPE_CHECKING:
    from tests.servers.object_server._http import Body
    from tests.servers.object_server._objects import Objects, StoredObject

_ATTRIBUTES = {
    "cache-control": "Cache-Control",
    "content-disposition": "Content-Disposition",
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
    "content-type": "Content-Type",
}
_METADATA_PREFIX = "x-amz-meta-"


def put_object(objects: Objects, request: Request) -> Response:
    """Store the body, or a copy of another object."""
    failed = failed_write_condition(request.headers, objects.get(request.path))
    if failed is not None:
        return error(failed, request.path)
    if "x-amz-copy-source" in request.headers:
        return _copy(objects, request)
    stored = objects.put(request.path, request.body, attributes(request))
    return Response(HTTPStatus.OK, _identity(stored))


def delete_objects(objects: Objects, request: Request) -> Response:
    """Answer a multi-object delete; as in S3, missing keys count as deleted."""
    deleted = []
    for key in texts(request.body, "Key"):
        objects.delete(f"{request.bucket}/{key}")
        deleted.append(("Deleted", [("Key", key)]))
    return xml_response("DeleteResult", deleted, {})


def attributes(request: Request) -> tuple[tuple[str, str], ...]:
    """Return the headers kept with the object and sent with every read of it."""
    known = [(_ATTRIBUTES[name], text) for name, text in request.headers.items() if name in _ATTRIBUTES]
    own = [item for item in request.headers.items() if item[0].startswith(_METADATA_PREFIX)]
    return tuple(known + own)


def _identity(stored: StoredObject) -> dict[str, str]:
    return {"ETag": stored.etag or "", "x-amz-version-id": stored.version}


def _copy_source(objects: Objects, request: Request) -> StoredObject | None:
    source, _, version = request.headers["x-amz-copy-source"].partition("?versionId=")
    return objects.get(unquote(source).removeprefix("/"), version or None)


def _copy(objects: Objects, request: Request) -> Response:
    source = _copy_source(objects, request)
    if source is None:
        return error(HTTPStatus.NOT_FOUND, request.path)
    stored = objects.put(request.path, source.data, source.attributes)
    return xml_response("CopyObjectResult", [("ETag", stored.etag or "")], _identity(stored))


@dataclass(slots=True)
class _Upload:
    attributes: tuple[tuple[str, str], ...]
    parts: dict[int, Body] = field(default_factory=dict)


class Uploads:
    """Multipart uploads under way."""

    def __init__(self) -> None:
        self._uploads: dict[str, _Upload] = {}
        self._numbers = itertools.count(1)

    def answer(self, objects: Objects, request: Request) -> Response:
        """Answer any request with `uploads` or `uploadId` in its query."""
        if "uploads" in request.query:
            return self._create(request)
        upload = self._uploads.get(request.query["uploadId"])
        if upload is None:
            return error(HTTPStatus.NOT_FOUND, request.path, "NoSuchUpload")
        if request.method == "PUT":
            return self._add_part(objects, request, upload)
        if request.method == "POST":
            return self._complete(objects, request, upload)
        del self._uploads[request.query["uploadId"]]
        return Response(HTTPStatus.NO_CONTENT)

    def _create(self, request: Request) -> Response:
        identity = f"upload-{next(self._numbers)}"
        self._uploads[identity] = _Upload(attributes(request))
        children = [("Bucket", request.bucket), ("Key", request.key), ("UploadId", identity)]
        return xml_response("InitiateMultipartUploadResult", children, {})

    def _add_part(self, objects: Objects, request: Request, upload: _Upload) -> Response:
        number = int(request.query["partNumber"])
        etag = f'"part-{number}"'
        if "x-amz-copy-source" not in request.headers:
            upload.parts[number] = request.body
            return Response(HTTPStatus.OK, {"ETag": etag})
        source = _copy_source(objects, request)
        if source is None:
            return error(HTTPStatus.NOT_FOUND, request.path)
        span = resolve_range(request.headers.get("x-amz-copy-source-range"), len(source.data))
        upload.parts[number] = source.data[slice(*span)] if span else source.data
        return xml_response("CopyPartResult", [("ETag", etag)], {})

    def _complete(self, objects: Objects, request: Request, upload: _Upload) -> Response:
        failed = failed_write_condition(request.headers, objects.get(request.path))
        if failed is not None:
            return error(failed, request.path)
        numbers = [int(number) for number in texts(request.body, "PartNumber")]
        data = b"".join(upload.parts[number] for number in numbers)
        stored = objects.put(request.path, data, upload.attributes)
        del self._uploads[request.query["uploadId"]]
        children = [("Key", request.key), ("ETag", stored.etag or "")]
        return xml_response("CompleteMultipartUploadResult", children, _identity(stored))
