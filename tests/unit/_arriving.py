"""A store whose bodies arrive in two halves, the second one only when the first has been reported."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["CONTENT", "PART", "WAIT", "ArrivingStore"]

WAIT = 10
CONTENT = bytes(range(256)) * 400
PART = 10_240  # a tenth of it


class Chunks:
    """The chunks of a body, for threads and tasks."""

    def __init__(self, store: ArrivingStore, body: bytes) -> None:
        self.store = store
        middle, rest = len(body) // 2, -(-len(body) // 20)
        self.first = body[:middle]
        self.others = [body[start : start + rest] for start in range(middle, len(body), rest)]

    def __iter__(self) -> Iterator[bytes]:
        yield self.first
        assert self.store.reported.wait(WAIT)
        yield from self.rest()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.first
        while not self.store.reported.is_set():
            await asyncio.sleep(0.001)
        for chunk in self.rest():
            yield chunk

    def rest(self) -> Iterator[bytes]:
        if self.store.errors:
            raise self.store.errors.pop()
        for chunk in self.others:
            self.store.late += 1
            yield chunk


class ArrivingStore:
    """A store of one object, "o", and of an empty one, "empty".

    Attributes
    ----------
    late
        How many chunks were sent after the first halves.
    errors
        What breaks the next bodies after their first halves.
    """

    def __init__(self, *, streams: bool = True) -> None:
        self.streams = streams
        self.reported = threading.Event()
        self.requests: list[tuple[int, int]] = []
        self.late = 0
        self.errors: list[Exception] = []

    def get(self, path: str, *, options: Any = None) -> Any:
        if path == "missing":
            raise FileNotFoundError(path)
        content = b"" if path == "empty" else CONTENT
        start, stop = (options or {}).get("range", (0, len(content)))
        stop = min(stop, len(content))
        self.requests.append((start, stop))
        meta = {"path": path, "size": len(content), "e_tag": '"1"', "last_modified": None, "version": None}
        body = content[start:stop]

        async def buffer_async() -> bytes:
            return body

        result = SimpleNamespace(
            meta=meta, range=(start, stop), attributes={}, buffer=lambda: body, buffer_async=buffer_async
        )
        if self.streams:
            result.stream = lambda min_chunk_size: Chunks(self, body)
        return result

    async def get_async(self, path: str, *, options: Any = None) -> Any:
        return self.get(path, options=options)
