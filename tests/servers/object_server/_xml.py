"""Building and reading the small XML documents of S3 and WebDAV."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tests.servers.object_server._http import Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.servers.object_server._http import Body

S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
Node = tuple[str, "str | Sequence[Node]"]

_S3_CODES = {
    403: "AccessDenied",
    404: "NoSuchKey",
    405: "MethodNotAllowed",
    412: "PreconditionFailed",
    416: "InvalidRange",
    429: "SlowDown",
    500: "InternalError",
    503: "SlowDown",
}


def document(name: str, children: Sequence[Node], namespace: str = S3_NAMESPACE) -> bytes:
    """Serialize nested `(name, text or children)` pairs."""
    root = ET.Element(name, xmlns=namespace)
    _append(root, children)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _append(parent: ET.Element, children: Sequence[Node]) -> None:
    for name, content in children:
        element = ET.SubElement(parent, name)
        if isinstance(content, str):
            element.text = content
        else:
            _append(element, content)


def texts(body: Body, name: str) -> list[str]:
    """Texts of all elements of that name, whatever their namespace."""
    root = ET.fromstring(bytes(body))
    return [element.text or "" for element in root.iter() if element.tag.split("}")[-1] == name]


def xml_response(name: str, children: Sequence[Node], headers: dict[str, str]) -> Response:
    """Return a 200 response with an S3 document."""
    body = document(name, children)
    return Response(HTTPStatus.OK, {"Content-Type": "application/xml", **headers}, body)


def error(status: int, path: str, code: str | None = None, **headers: str) -> Response:
    """Return an S3 error; the code follows from the status unless given."""
    code = code or _S3_CODES.get(status, "InvalidRequest")
    children = [("Code", code), ("Message", f"{code}: {path}"), ("Resource", f"/{path}")]
    body = document("Error", children)
    return Response(status, {"Content-Type": "application/xml", **headers}, body)
