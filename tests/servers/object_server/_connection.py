"""One accepted socket: buffered reading, sending without copies, sleeping that notices a lost peer.

Plain sockets rather than asyncio streams: before Python 3.12 a stream copies what the kernel does
not take at once, which costs more than sending it.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.servers.object_server._http import Body

_RECEIVE = 64 << 10
_LONGEST_HEAD = 64 << 10
_TICK = 0.001


class ConnectionLostError(Exception):
    """The peer closed the connection, or the server is about to."""


class Connection:
    """The socket of one peer."""

    def __init__(self, peer: socket.socket, number: int) -> None:
        self.number = number
        self._socket = peer
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        peer.setblocking(False)  # ruff: ignore[FBT003] - the socket's own signature
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def read_head(self) -> bytes:
        """Everything up to the next blank line."""
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            piece = await self._loop.sock_recv(self._socket, _RECEIVE)
            self._received += piece
            if not piece or len(self._received) > _LONGEST_HEAD:
                raise ConnectionLostError
        head = bytes(self._received[:end])
        del self._received[: end + 4]
        return head

    async def read_body(self, length: int) -> bytearray:
        """Exactly `length` bytes, received into place."""
        body = bytearray(length)
        have = min(length, len(self._received))
        body[:have] = self._received[:have]
        del self._received[:have]
        with memoryview(body) as view:
            while have < length:
                count = await self._loop.sock_recv_into(self._socket, view[have:])
                if not count:
                    raise ConnectionLostError
                have += count
        return body

    async def send(self, data: Body) -> None:
        """Return when the kernel has taken everything."""
        await self._loop.sock_sendall(self._socket, data)

    async def sleep(self, seconds: float) -> None:
        """Sleep, unless the peer hangs up: a request nobody waits for is not in flight."""
        end = self._loop.time() + seconds
        hung_up = self._loop.create_future()
        self._loop.add_reader(self._socket, self._check_peer, hung_up)
        try:
            # The loop's timers are up to a tick late; what is left of the last one passes awake.
            done, _ = await asyncio.wait({hung_up}, timeout=max(0.0, seconds - _TICK))
            while not done and self._loop.time() < end:
                await asyncio.sleep(0)
        finally:
            self._loop.remove_reader(self._socket)
        if done:
            raise ConnectionLostError

    def _check_peer(self, hung_up: asyncio.Future[None]) -> None:
        try:
            piece = self._socket.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if piece:
            self._received += piece
        elif not hung_up.done():
            hung_up.set_result(None)

    def close(self) -> None:
        """Hang up at once, without waiting for the peer to read what was sent."""
        self._socket.close()
