"""Who may fetch what several processes want: leases are given back, and no thread waits for a task's."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from obspec_utils._io.backends import AsyncBackend
from obspec_utils.wrappers import CachingReadableStore
from tests.contracts._stores import OnlyGet
from tests.unit._flights import WAIT, until_true

CONTENT = bytes(range(200))


class Lease:
    def __init__(self, cache: Leasing, key: str) -> None:
        self.cache, self.key = cache, key

    def release(self) -> None:
        self.cache.held.remove(self.key)


class Leasing:
    """A cache with leases, which can be held up."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.held: list[str] = []
        self.asked = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    def put(self, key: str, value: Any) -> None:
        self.values[key] = bytes(value)

    def delete(self, key: str) -> None:
        self.values.pop(key, None)

    def clear(self) -> None:
        self.values.clear()

    def lease(self, key: str) -> Lease | None:
        if key in self.held:
            return None
        self.held.append(key)
        self.asked.set()
        assert self.go.wait(WAIT)
        return Lease(self, key)


class Failing(OnlyGet):
    """A store whose first answers are errors, of requests with headers or of bodies."""

    failures = 1

    def _body(self, path: str, start: int, stop: int) -> bytes:
        if self.failures:
            self.failures -= 1
            raise PermissionError(path)
        return super()._body(path, start, stop)


def over(store: Any, cache: Leasing, **options: Any) -> CachingReadableStore:
    return CachingReadableStore(store, cache=cache, namespace="here", **{"block_size": 50, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("block_size", [None, 50])
def test_all_leases_are_given_back(block_size: Any) -> None:
    cache = Leasing()
    store = over(OnlyGet({"object": CONTENT}), cache, block_size=block_size)
    assert bytes(store.get_range("object", start=40, end=160)) == CONTENT[40:160]
    assert cache.held == []


@pytest.mark.parametrize("block_size", [None, 50])
@pytest.mark.parametrize("failures", [1, 2])
def test_leases_are_given_back_after_an_error(block_size: Any, failures: int) -> None:
    cache, below = Leasing(), Failing({"object": CONTENT})
    below.failures = failures
    store = over(below, cache, block_size=block_size)
    for _ in range(failures):
        with pytest.raises(PermissionError):
            store.get_range("object", start=0, end=10)
        assert cache.held == []
    assert bytes(store.get_range("object", start=0, end=10)) == CONTENT[:10]


async def test_a_task_cancelled_while_a_lease_is_taken_for_it_gives_it_back() -> None:
    cache = Leasing()
    cache.go.clear()
    store = over(OnlyGet({"object": CONTENT}), cache)
    task = asyncio.create_task(store.get_range_async("object", start=0, end=10))
    await until_true(cache.asked.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    cache.go.set()
    await until_true(lambda: not cache.held)
    assert bytes(await store.get_range_async("object", start=0, end=10)) == CONTENT[:10]


async def test_a_thread_does_not_wait_for_a_lease_of_a_task() -> None:
    """The thread may be the one that the task's event loop runs in, as here."""
    cache, started = Leasing(), asyncio.Event()

    class Gated(OnlyGet):
        async def get_async(self, path: str, *, options: Any = None) -> Any:
            started.set()
            await release.wait()
            return await super().get_async(path, options=options)

    release = asyncio.Event()
    below = Gated({"object": CONTENT})
    task = asyncio.create_task(over(below, cache).get_range_async("object", start=0, end=10))
    await started.wait()
    assert cache.held
    assert bytes(over(below, cache).get_range("object", start=0, end=10)) == CONTENT[:10]
    release.set()
    assert bytes(await task) == CONTENT[:10]
    assert cache.held == []


@pytest.mark.parametrize("end", ["interrupted", "in a closed loop"])
def test_the_next_caller_releases_the_lease_of_a_task_that_can_t(end: str) -> None:
    class Stuck(OnlyGet):
        async def get_async(self, path: str, *, options: Any = None) -> Any:
            await asyncio.sleep(0)
            if end == "interrupted":
                raise KeyboardInterrupt
            return await asyncio.get_running_loop().create_future()

    cache, loop = Leasing(), asyncio.new_event_loop()
    below = Stuck({"object": CONTENT})
    store = over(below, cache)
    task = loop.create_task(store.get_range_async("object", start=0, end=10))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AsyncBackend, "leave", lambda *_: None)  # as where Ctrl-C hits again in what would release it
        with contextlib.suppress(KeyboardInterrupt):
            loop.run_until_complete(asyncio.wait([task], timeout=0.05))
        loop.close()
    assert cache.held
    assert bytes(store.get_range("object", start=0, end=10)) == CONTENT[:10]
    assert cache.held == []
    if end == "interrupted":
        assert isinstance(task.exception(), KeyboardInterrupt)
    else:
        task._log_destroy_pending = False  # type: ignore[attr-defined] # this is what the test is about
