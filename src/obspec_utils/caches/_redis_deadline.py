"""A deadline for a whole command to a Redis server, which a server that drips one byte at a time cannot outlast.

A socket's own timeout starts anew with each byte that arrives. Here the sockets that redis-py connects are wrapped, and
each wait is cut to what is left of the command that the calling thread carries out.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from typing_extensions import Buffer

__all__ = ["DeadlineConnection", "deadline"]

# How many waits a command has time for, with connecting, TLS and login.
_WAITS = 5
# A slow link is granted one wait more for each of these that it carries.
_MIB = 1024 * 1024
# What is sent at a time: little enough that the slowest link that is granted the time carries it within one wait.
_SENT_AT_ONCE = 256 * 1024


class _Command(threading.local):
    """What is left to the command that this thread carries out; without limits between commands."""

    wait = 0.0
    end = float("inf")
    size = float("inf")

    def on_evict(self) -> float:
        """Return for how many seconds it may go on."""
        on_evict = self.end - time.monotonic()
        if on_evict <= 0:
            msg = "the whole command took too long"
            raise TimeoutError(msg)
        return on_evict

    def moved(self, size: int) -> None:
        """Take note of bytes that were sent or received."""
        self.end += self.wait * size / _MIB

    def received(self, size: int) -> None:
        """Take note of bytes that were received."""
        self.moved(size)
        self.size -= size
        if self.size < 0:
            msg = "the reply is larger than any that makes sense"
            raise OSError(msg)


_command = _Command()


@contextmanager
def deadline(wait: float, size: int) -> Iterator[None]:
    """Have the commands inside end in time, in this thread.

    Parameters
    ----------
    wait
        For how many seconds the server may be waited for at a time. All takes five times that at most, and once more
        for each MiB that moves.
    size
        The most bytes that may be received.
    """
    before = _command.wait, _command.end, _command.size
    _command.wait, _command.end, _command.size = wait, time.monotonic() + _WAITS * wait, size
    try:
        yield
    finally:
        _command.wait, _command.end, _command.size = before


class _Socket:
    """A socket that waits no longer than the command may take; all that is not here is the socket's own."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._timeout = sock.gettimeout()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the socket has it
        return getattr(self._sock, name)

    def settimeout(self, timeout: float | None) -> None:
        self._timeout = timeout
        self._sock.settimeout(timeout)

    def recv(self, *args: Any) -> bytes:  # noqa: ANN401 - as the socket takes them
        self._limit_wait()
        received = self._sock.recv(*args)
        _command.received(len(received))
        return received

    def recv_into(self, *args: Any) -> int:  # noqa: ANN401 - as the socket takes them
        self._limit_wait()
        size = self._sock.recv_into(*args)
        _command.received(size)
        return size

    def sendall(self, data: Buffer) -> None:
        unsent = memoryview(data).cast("B")
        while unsent:
            self._limit_wait()
            size = self._sock.send(unsent[:_SENT_AT_ONCE])
            _command.moved(size)
            unsent = unsent[size:]

    def _limit_wait(self) -> None:
        if self._timeout != 0:  # it does not wait
            on_evict = _command.on_evict()
            self._sock.settimeout(on_evict if self._timeout is None else min(on_evict, self._timeout))


class DeadlineConnection:
    """What a connection class of redis-py has to inherit from, before its own base, to keep deadlines."""

    def _connect(self) -> _Socket:
        return _Socket(super()._connect())  # type: ignore[misc]
