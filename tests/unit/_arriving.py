"""A store whose bodies arrive in two halves, the second one only when the first has been reported; and all loads."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from obspec_utils.readers import EagerStoreReader, open_reader, open_reader_async
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

__all__ = ["ASYNC", "CONTENT", "PART", "SIZE", "SYNC", "WAIT", "ArrivingStore", "Updates", "check_calls", "run"]

WAIT = 10
CONTENT = bytes(range(256)) * 400
PART = 10_240  # a tenth of it
SIZE = len(CONTENT)


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


class Updates:
    """A callback that remembers its calls, and where they came from; the first partial one lets the rest arrive."""

    def __init__(self, store: ArrivingStore, error: BaseException | None = None) -> None:
        self.store = store
        self.error = error
        self.calls: list[tuple[int, int | None]] = []
        self.threads: set[int] = set()
        self.tasks: set[object] = set()

    def __call__(self, done: int, total: int | None) -> None:
        self.calls.append((done, total))
        self.threads.add(threading.get_ident())
        try:
            self.tasks.add(asyncio.current_task())
        except RuntimeError:
            self.tasks.add(None)
        if 0 < done < SIZE:
            if self.error is not None:
                raise self.error
            self.store.reported.set()


async def in_parts(store: Any, updates: Any) -> None:
    result = await SplittingReadableStore(store, PART, progress=updates).get_async("o")
    assert await result.buffer_async() == CONTENT


async def iterated(store: Any, updates: Any) -> None:
    result = await SplittingReadableStore(store, PART, 10, progress=updates).get_async("o")
    assert b"".join([bytes(chunk) async for chunk in result]) == CONTENT


async def opened(store: Any, updates: Any) -> None:
    assert (await open_reader_async(store, "o", progress=updates)).read() == CONTENT


async def prefetched(store: Any, updates: Any) -> None:
    assert await CachingReadableStore(store).prefetch_async(["o"], progress=updates) == {}


SYNC: dict[str, Callable[[Any, Any], object]] = {
    "EagerStoreReader": lambda store, updates: EagerStoreReader(store, "o", PART, progress=updates),
    "open_reader": lambda store, updates: open_reader(store, "o", progress=updates),
    "buffer": lambda store, updates: SplittingReadableStore(store, PART, progress=updates).get("o").buffer(),
    "one part": lambda store, updates: SplittingReadableStore(store, progress=updates).get("o").buffer(),
    "iteration": lambda store, updates: list(SplittingReadableStore(store, PART, 10, progress=updates).get("o")),
    "prefetch": lambda store, updates: CachingReadableStore(store).prefetch(["o"], progress=updates),
    "prefetch blocks": lambda store, updates: CachingReadableStore(store, block_size=PART).prefetch(
        ["o"], progress=updates
    ),
    "prefetch parts": lambda store, updates: CachingReadableStore(SplittingReadableStore(store, PART)).prefetch(
        ["o"], progress=updates
    ),
}
ASYNC: dict[str, Callable[[Any, Any], Any]] = {
    "buffer_async": in_parts,
    "async iteration": iterated,
    "open_reader_async": opened,
    "prefetch_async": prefetched,
}


def run(name: str, store: Any, updates: Any) -> list[object]:
    """Load the object; return the tasks that may call back."""
    if name in SYNC:
        SYNC[name](store, updates)
        return [None]

    async def main() -> list[object]:
        try:
            await ASYNC[name](store, updates)
        finally:
            assert asyncio.all_tasks() == {asyncio.current_task()}
        return [asyncio.current_task()]

    return asyncio.run(main())


def check_calls(calls: list[tuple[int, int | None]], total: int = SIZE) -> None:
    assert calls == sorted(calls, key=lambda call: call[0])
    assert calls[-1] == (total, total)
    assert len(set(calls)) == len(calls)
    assert {known for _, known in calls} <= {total, None}
