"""What a cache does on an event loop leaves the others their turns, and waits for nobody who may be waiting for it."""

from __future__ import annotations

import asyncio
import threading
import time
import tracemalloc
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from obstore.store import MemoryStore

from obspec_utils._io import backends, cache_threads, get_result
from obspec_utils._io.buffers import BufferList
from obspec_utils._io.cache_threads import CACHE_THREADS, Threads
from obspec_utils._io.get_result import slice_async
from obspec_utils._ranges import ByteRange
from obspec_utils.caches import DiskCache, MemoryCache
from obspec_utils.wrappers import CachingReadableStore
from obspec_utils.wrappers.caching import _assembly, _context
from tests.contracts._stores import OnlyGet
from tests.requests.test_cached_races import Gated
from tests.servers import random_bytes
from tests.unit._flights import WAIT, until

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 1000
SIZE = 10 * BLOCK
CONTENT = bytes(random_bytes(SIZE, 1))


@pytest.fixture
def below() -> MemoryStore:
    store = MemoryStore()
    store.put("object", CONTENT)
    return store


def over(below: Any, *caches: Any) -> CachingReadableStore[Any]:
    return CachingReadableStore(below, cache=list(caches), block_size=BLOCK, namespace="n")


async def test_a_thread_of_the_loop_s_own_may_wait_for_it(below: MemoryStore, tmp_path: Path) -> None:
    store, loop = over(below, MemoryCache(), DiskCache(tmp_path, 1 << 20)), asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))

    def wait() -> bytes:
        reading = asyncio.run_coroutine_threadsafe(store.get_range_async("object", start=0, end=10), loop)
        return bytes(reading.result(WAIT))

    assert await asyncio.to_thread(wait) == CONTENT[:10]


@pytest.mark.parametrize("first", ["another loop", "a loop that has ended"])
def test_a_task_does_not_wait_for_one_of_another_loop(below: MemoryStore, tmp_path: Path, first: str) -> None:
    """That loop may be stopped, or its thread be waiting for this very task."""
    gated = Gated(below)
    gated.hold()
    stores = [over(store, DiskCache(tmp_path, 1 << 20)) for store in (gated, below)]
    loop = asyncio.new_event_loop()
    reading = loop.create_task(stores[0].get_range_async("object", start=0, end=10))
    loop.run_until_complete(until_held(gated))
    if first == "a loop that has ended":
        loop.close()

    async def read() -> bytes:
        return bytes(await stores[1].get_range_async("object", start=0, end=10))

    begin = time.monotonic()
    assert asyncio.run(read()) == CONTENT[:10]
    assert time.monotonic() - begin < WAIT  # not the 30 s for which leases are waited for
    if not loop.is_closed():
        gated.opened.set()
        assert bytes(loop.run_until_complete(reading)) == CONTENT[:10]
        loop.close()
    else:
        reading.get_coro().close()


async def until_held(gated: Gated) -> None:
    await asyncio.wait_for(until(gated.held), WAIT)


def test_others_are_waited_for_30_seconds_in_all(below: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    class Taken:
        """A cache whose leases somebody has who never puts anything there."""

        def get(self, key: str) -> None:
            return None

        put = delete = clear = lambda *_: None

        def lease(self, key: str) -> None:
            return None

    now = [1000.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=sleep)
    monkeypatch.setattr(backends, "time", clock)
    monkeypatch.setattr(_context, "time", clock)
    assert bytes(over(below, Taken()).get_range("object", start=0, end=3000)) == CONTENT[:3000]
    assert 1030 <= now[0] < 1031


def test_the_result_of_a_huge_object_costs_no_more_than_that_of_a_large_one() -> None:
    class Huge(OnlyGet):
        def _meta(self, path: str) -> Any:
            return {**super()._meta(path), "size": 1 << 40}

        def _body(self, path: str, start: int, stop: int) -> bytes:
            return bytes(min(stop - start, 4096))

    below: Any = Huge({"object": b"x"})
    store: Any = CachingReadableStore(below, 1 << 20, block_size=64)
    assert len(store.get_range("object", start=0, end=10)) == 10
    tracemalloc.start()
    try:
        assert store.get("object").meta["size"] == 1 << 40
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("length", [50, 99, 100, 1000])
async def test_other_tasks_get_their_turns_while_ranges_are_joined(
    monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setattr(get_result, "YIELD_AFTER", 99)
    content = bytes(range(250)) * 4
    parts = BufferList([content[start : start + 10] for start in range(0, 1000, 10)])
    turns = await counted(slice_async(parts, ByteRange(0, length)))
    assert turns.result == content[:length]
    assert turns.count == (0 if length <= 99 else length // 100)


async def test_other_tasks_get_their_turns_while_blocks_are_made(
    below: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_assembly, "_COST_OF_BLOCK", 0)
    counts = []
    for step in (1 << 20, BLOCK):
        monkeypatch.setattr(_assembly, "YIELD_AFTER", step)
        turns = await counted(over(below, MemoryCache()).get_range_async("object", start=0, end=SIZE))
        assert turns.result == CONTENT
        counts.append(turns.count)
    assert counts == [0, 10]


async def counted(reading: Any) -> SimpleNamespace:
    """Await, and count how often others got a turn by `sleep(0)`."""
    slept: list[float] = []
    sleep = asyncio.sleep

    async def counting(seconds: float, *arguments: Any) -> Any:
        slept.append(seconds)
        return await sleep(seconds, *arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(asyncio, "sleep", counting)
        result = bytes(await reading)
    return SimpleNamespace(result=result, count=slept.count(0))


async def test_a_forked_child_has_threads_of_its_own() -> None:
    before = CACHE_THREADS._calls
    assert await CACHE_THREADS.call(threading.get_ident) != threading.get_ident()
    CACHE_THREADS._reset_after_fork()
    assert CACHE_THREADS._calls is not before
    assert await CACHE_THREADS.call(lambda: 5) == 5


async def test_what_no_thread_can_be_started_for_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = Threads()

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(cache_threads, "start_thread", refuse)
    assert await threads.call(threading.get_ident) == threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await threads.call(lambda: 1 // 0)


async def test_calls_beyond_the_most_threads_wait_for_one() -> None:
    threads = Threads()
    go_on = threading.Event()
    calls = [threads.call(go_on.wait, WAIT) for _ in range(cache_threads._MAX_THREADS)]
    waiting = threads.call(lambda: 5)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    go_on.set()
    assert await waiting == 5
    assert all(await asyncio.gather(*calls))


async def test_errors_of_calls_that_nobody_waits_for_are_ignored() -> None:
    threads = Threads(1)
    threads.submit(lambda: 1 // 0)
    assert await threads.call(lambda: 5) == 5


def test_a_task_that_waits_for_a_thread_takes_no_lock_in_the_thread_of_its_loop() -> None:
    """Ctrl-C there may leave the lock of a thread's future taken, and the thread could never set its result."""
    takers: list[int] = []

    class Watched(threading.Condition):
        def __enter__(self) -> bool:
            takers.append(threading.get_ident())
            return super().__enter__()

    future: Future[int] = Future()
    future._condition = Watched()
    started = threading.Event()

    async def wait() -> int:
        waiting = asyncio.ensure_future(backends.ASYNC.wait(future))
        await asyncio.sleep(0)
        started.set()
        result: int = await waiting
        return result

    setter = threading.Thread(target=lambda: started.wait(WAIT) and future.set_result(7))
    setter.start()
    assert asyncio.run(wait()) == 7
    setter.join()
    assert takers
    assert threading.get_ident() not in takers
