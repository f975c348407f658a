"""Web servers in a thread of the test: one of aiohttp with handlers of the test, and one that sends given bytes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

if TYPE_CHECKING:
    import ssl

__all__ = ["RawServer", "Seen", "WebServer", "serve_bytes"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Seen:
    """A request: its method, its path and query as they were sent, and its headers by their names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    connection: int


def _port(connection: Any) -> int:
    """Return the port of the client, which tells its connections apart."""
    return int(connection.get_extra_info("peername")[1])


class _Threaded:
    """A server in a thread of its own, on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._call(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def sent(self) -> list[str]:
        """Return the requests so far, each as its method and target, and forget them."""
        sent = [f"{seen.method} {seen.target}" for seen in self.requests]
        self.requests.clear()
        return sent

    async def _start(self) -> int:
        raise NotImplementedError

    async def _stop(self) -> None:
        raise NotImplementedError


class WebServer(_Threaded):
    """A server of aiohttp, with TLS if it gets a context. `handler` answers every request."""

    def __init__(self, handler: Handler, context: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.handler = handler
        self._context = context

    @property
    def url(self) -> str:
        return super().url if self._context is None else f"https://127.0.0.1:{self.port}"

    async def _start(self) -> int:
        server = web.Server(self._handle)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._context)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def _stop(self) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append(Seen(request.method, request.raw_path, headers, _port(request.transport)))
        return await self.handler(request)  # type: ignore[arg-type]


class RawServer(_Threaded):
    """A server that sends what `respond` returns, pieces one after the other, and closes the connection."""

    def __init__(self, respond: Callable[[Seen], bytes | list[bytes]]) -> None:
        super().__init__()
        self.respond = respond

    async def _start(self) -> int:
        self._server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _stop(self) -> None:
        self._server.close()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            method, target, _ = first.split(" ")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            seen = Seen(method, target, headers, _port(writer))
            self.requests.append(seen)
            response = self.respond(seen)
            for number, piece in enumerate([response] if isinstance(response, bytes) else response):
                await asyncio.sleep(0.005 if number else 0)  # so that it arrives alone
                writer.write(piece)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def serve_bytes(data: bytes, *, headers: dict[str, str] | None = None, ranges: bool = True) -> Handler:
    """Return a handler that serves `data` at every path, or the range of it that is asked for."""
    common = {"ETag": '"1"', "Content-Type": "application/octet-stream", **(headers or {})}

    async def handle(request: web.Request) -> web.StreamResponse:
        span = request.http_range
        if not ranges or (span.start is None and span.stop is None):
            return web.Response(body=data, headers=common)
        start, stop, _ = span.indices(len(data))
        if start >= stop:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
        tell = {**common, "Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}
        return web.Response(status=206, body=data[start:stop], headers=tell)

    return handle
