"""Accepting connections and serving each until it ends."""

from __future__ import annotations

import asyncio
import itertools
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.servers.object_server._connection import Connection, ConnectionLostError
from tests.servers.object_server._control import PREFIX, answer_control
from tests.servers.object_server._exchange import Exchange, State
from tests.servers.object_server._http import parse_head

if TYPE_CHECKING:
    from tests.servers.object_server._http import Request

_BACKLOG = 256


class Server:
    """Serves all connections that a listening socket accepts."""

    def __init__(self) -> None:
        self._state = State()
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, listener: socket.socket) -> None:
        """Accept connections for ever."""
        loop = asyncio.get_running_loop()
        for number in itertools.count(1):
            peer, _ = await loop.sock_accept(listener)
            task = asyncio.create_task(self._serve(Connection(peer, number)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: Connection) -> None:
        try:
            while True:
                request = parse_head(await connection.read_head())
                if request.headers.get("expect", "").lower() == "100-continue":
                    await connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                if request.path.startswith(PREFIX):
                    await self._control(connection, request)
                else:
                    await Exchange(self._state, connection, request).run()
                if request.headers.get("connection", "").lower() == "close":
                    return
        except (ConnectionLostError, OSError):
            pass
        finally:
            connection.close()

    async def _control(self, connection: Connection, request: Request) -> None:
        body = await connection.read_body(request.content_length)
        response = answer_control(self._state, replace(request, body=body))
        await connection.send(response.head())
        await connection.send(response.body)


def listen(port: int) -> socket.socket:
    """Return a listening socket on the loopback interface; port 0 picks a free one."""
    listener = socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)
    listener.setblocking(False)  # ruff: ignore[FBT003] - the socket's own signature
    return listener
