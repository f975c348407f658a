"""HTTP/1.1 messages as values: parsing a request head, formatting a response head. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

Body = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `path` is percent-decoded and has no leading slash."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Body = b""

    @property
    def bucket(self) -> str:
        """First segment of the path."""
        return self.path.partition("/")[0]

    @property
    def key(self) -> str:
        """Everything behind the bucket; empty for a request about the bucket itself."""
        return self.path.partition("/")[2]

    @property
    def content_length(self) -> int:
        """Bytes of body that follow the head."""
        return int(self.headers.get("content-length", "0"))


@dataclass(frozen=True, slots=True)
class Response:
    """One response; `content_length` is told apart from the body because HEAD sends none."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Body = b""
    content_length: int | None = None

    def head(self) -> bytes:
        """Status line and headers, ready to send."""
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        # 204 and 304 have no body by definition and must not announce one.
        if self.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            length = len(self.body) if self.content_length is None else self.content_length
            lines.append(f"Content-Length: {length}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def parse_head(head: bytes) -> Request:
    """Parse everything before the blank line."""
    request_line, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = request_line.split(" ")
    raw_path, _, raw_query = target.partition("?")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    query = dict(parse_qsl(raw_query, keep_blank_values=True))
    return Request(method, unquote(raw_path).removeprefix("/"), query, headers)


def http_date(seconds: float) -> str:
    """Format seconds since the epoch as an HTTP date."""
    return formatdate(int(seconds), usegmt=True)


def parse_http_date(text: str) -> float | None:
    """Seconds since the epoch, or None for a date that cannot be read (to be ignored)."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None
