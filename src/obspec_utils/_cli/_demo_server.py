"""A server of one object as slow as cloud storage, for the demo: a process of its own.

`python -m obspec_utils._cli._demo_server LATENCY BANDWIDTH [FILE]` prints its port and the size of the object, and ends
when its stdin closes. The object is the demo's, or a file.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from contextlib import ExitStack, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import cast

from obspec_utils._cli._demo_file import make_content

__all__ = ["LOG_PATH", "Server"]

LOG_PATH = "/-/log"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_PIECE = 64 << 10


class Server(ThreadingHTTPServer):
    """Serves one object at any path, and counts."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, content: bytes, latency: float, bandwidth: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = memoryview(content)
        self.latency = latency
        self.bandwidth = bandwidth
        self._lock = Lock()
        self._in_flight = self._most_in_flight = self._requests = self._bytes = 0

    def begin(self) -> None:
        """Count a request."""
        with self._lock:
            self._requests += 1
            self._in_flight += 1
            self._most_in_flight = max(self._most_in_flight, self._in_flight)

    def send(self, length: int) -> None:
        """Count bytes that are sent."""
        with self._lock:
            self._bytes += length

    def end(self) -> None:
        """Count the end of a request."""
        with self._lock:
            self._in_flight -= 1

    def take_log(self) -> dict[str, int]:
        """Return what was counted since the last time."""
        with self._lock:
            log = {"requests": self._requests, "bytes": self._bytes, "most_in_flight": self._most_in_flight}
            self._most_in_flight, self._requests, self._bytes = self._in_flight, 0, 0
            return log

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that close the connection before they have read a response."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def _counted(self) -> Server:
        return cast("Server", self.server)

    def do_GET(self) -> None:
        """Send a range of the object, at the server's pace."""
        if self.path == LOG_PATH:
            self._send(HTTPStatus.OK, memoryview(json.dumps(self._counted.take_log()).encode()))
        else:
            self._send_object()

    def do_HEAD(self) -> None:
        """Send the headers of the object."""
        self._send_object(with_body=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Print nothing."""

    def _send_object(self, *, with_body: bool = True) -> None:
        self._counted.begin()
        with ExitStack() as unfinished:
            unfinished.callback(self._counted.end)
            time.sleep(self._counted.latency)
            size = len(self._counted.content)
            span = self._range(size)
            if span is None:
                body, status, content_range = self._counted.content, HTTPStatus.OK, None
            else:
                body, status = self._counted.content[slice(*span)], HTTPStatus.PARTIAL_CONTENT
                content_range = f"bytes {span[0]}-{span[1] - 1}/{size}"
            if not with_body:
                unfinished.close()
            self._send_headers(status, len(body), content_range)
            if with_body:
                self._send_slowly(body, unfinished)

    def _range(self, size: int) -> tuple[int, int] | None:
        """Return the requested byte range, or None for the whole object."""
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        if match is None or not any(match.groups()):
            return None
        first, last = match.groups()
        if not first:
            return max(0, size - int(last)), size
        return int(first), min(int(last) + 1 if last else size, size)

    def _send(self, status: HTTPStatus, body: memoryview) -> None:
        self._send_headers(status, len(body), None)
        self.wfile.write(body)

    def _send_headers(self, status: HTTPStatus, length: int, content_range: str | None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", '"demo"')
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()

    def _send_slowly(self, body: memoryview, unfinished: ExitStack) -> None:
        begin, sent = time.perf_counter(), 0
        while sent < len(body):
            piece = body[sent : sent + _PIECE]
            sent += len(piece)
            self._counted.send(len(piece))
            if sent == len(body):  # before the client has all, and may send the next request
                unfinished.close()
            self.wfile.write(piece)
            ahead = sent / self._counted.bandwidth - (time.perf_counter() - begin)
            if ahead > 0:
                time.sleep(ahead)


def _main(latency: str, bandwidth: str, file: str | None = None) -> None:
    content = make_content() if file is None else Path(file).read_bytes()
    server = Server(content, float(latency), float(bandwidth))
    Thread(target=server.serve_forever, daemon=True).start()
    with suppress(BrokenPipeError):  # of a parent that has ended
        os.write(1, f"{server.server_port} {len(content)}\n".encode())
    while os.read(0, 4096):  # until the parent ends
        pass


if __name__ == "__main__":
    _main(*sys.argv[1:])
