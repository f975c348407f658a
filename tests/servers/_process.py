"""The parent's side of a server process: start it, learn its port, make sure that it ends."""

from __future__ import annotations

import atexit
import http.client
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).resolve().parents[2]

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_REQUEST_SECONDS = 60.0


class ServerUnavailable(RuntimeError):  # ruff: ignore[N818] - reads as a state, as tests report it
    """A server cannot run here; the message says what is missing."""


class ServerProcess:
    """A Python module run as a server that ends when its stdin closes.

    Parameters
    ----------
    module
        Module to run; it must print `{"port": …}` on stdout.
    arguments
        Its command line.
    environment
        Variables it gets beside this process's own.
    """

    def __init__(self, module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=REPOSITORY,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # An interrupt from the terminal is the parent's to handle.
            start_new_session=True,
        )
        self._owner = os.getpid()
        self.pid = self._process.pid
        atexit.register(self.stop)
        try:
            self.port = self._read_port(module)
        except BaseException:
            self.stop()
            raise

    def _read_port(self, module: str) -> int:
        stdout = self._process.stdout
        assert stdout is not None
        # A server that hangs before it listens must not hang the tests.
        watchdog = threading.Timer(_START_SECONDS, self._process.kill)
        watchdog.start()
        try:
            line = stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            msg = f"{module} ended with {self._process.wait()} before it listened"
            raise ServerUnavailable(msg)
        return int(json.loads(line)["port"])

    @property
    def url(self) -> str:
        """Base URL without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the process and wait for it; harmless when repeated, and in a forked child."""
        if os.getpid() != self._owner:
            return
        atexit.unregister(self.stop)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            # Not terminated at once: a server that supervises another must get to end it.
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class RunningServer:
    """Base of the clients: a server at `url`, stopped with this object if it owns the process.

    Parameters
    ----------
    url
        Where it listens, without a trailing slash.
    process
        The process to stop; None for a server that somebody else started.
    """

    def __init__(self, url: str, process: ServerProcess | None = None) -> None:
        self.url = url
        self.process = process

    def stop(self) -> None:
        """End the process, if this object owns it; harmless when repeated."""
        if self.process is not None:
            self.process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def send(
    url: str,
    method: str,
    target: str,
    body: bytes | bytearray | memoryview = b"",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Send one request without any store; return status and body of the response."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_REQUEST_SECONDS)
    try:
        length = {"Content-Length": str(memoryview(body).nbytes)}
        connection.request(method, target, body, {**length, **(headers or {})})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
