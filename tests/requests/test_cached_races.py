"""What threads, tasks and writers do to one cached object at the same time, one step after the other."""

from __future__ import annotations

import asyncio
import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils._io.backends import SyncBackend
from obspec_utils.caches import DiskCache, MemoryCache
from obspec_utils.wrappers import CachingReadableStore
from tests.servers import random_bytes
from tests.unit._flights import WAIT, until

from ._ways import Async, Sync

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Remote

BLOCK = 16 * 1024
SIZE = 10 * BLOCK


class Gated:
    """A store one of whose answers, which is there already, is held back until a test lets it through."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._skip = -1
        self.held = threading.Event()
        self.opened = threading.Event()

    def hold(self, *, skip: int = 0) -> None:
        """Hold back the next answer to a get, or a later one."""
        self._skip = skip
        self.held, self.opened = threading.Event(), threading.Event()

    def _holds(self) -> bool:
        self._skip -= 1
        return self._skip == -1

    def get(self, path: str, *, options: Any = None) -> Any:
        answer = self._store.get(path, options=options)
        if self._holds():
            self.held.set()
            assert self.opened.wait(WAIT)
        return answer

    async def get_async(self, path: str, *, options: Any = None) -> Any:
        answer = await self._store.get_async(path, options=options)
        if self._holds():
            self.held.set()
            await asyncio.wait_for(until(self.opened), WAIT)
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture
def gated(remote: Remote) -> Gated:
    return Gated(remote.store)


@pytest.fixture(params=[None, BLOCK, "auto"], ids=str)
def block_size(request: pytest.FixtureRequest) -> Any:
    return request.param


def shared(store: Any, folder: Path, block_size: Any) -> CachingReadableStore:
    caches = [MemoryCache(10 * SIZE), DiskCache(folder, 100 * SIZE)]
    return CachingReadableStore(store, block_size=block_size, cache=caches, namespace="here")


def asked(remote: Remote) -> int:
    """Return how many requests there were since this was called last."""
    count = len(remote.log())
    remote.server.clear()
    return count


def replace_before_each(remote: Remote, requests: range) -> list[bytes]:
    """Have the object replaced just before some requests are answered; return all that it will have been."""
    contents = [random_bytes(SIZE, seed) for seed in range(100, 100 + len(requests))]
    for skip, content in zip(requests, contents, strict=True):
        remote.server.add_fault("replace", "bucket/object", skip=skip, times=1, data=content)
    return contents


@pytest.mark.parametrize(("block_size", "before"), [(None, 0), (BLOCK, 0), (BLOCK, 10), ("auto", 0)])
async def test_a_call_on_a_loop_does_not_wait_for_what_its_own_task_has_leased(
    remote: Remote, gated: Gated, tmp_path: Path, block_size: Any, before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = remote.put("object", SIZE)
    store = shared(gated, tmp_path, block_size)
    if before:  # the version is known: what is leased is a block
        store.get_range("object", start=SIZE - before, end=SIZE)
        asked(remote)

    async def wait(*_: object) -> None:
        pytest.fail("a thread waits for a task")

    monkeypatch.setattr(SyncBackend, "sleep", wait)
    gated.hold()
    task = asyncio.create_task(store.get_range_async("object", start=5, end=50))
    await until(gated.held)
    assert bytes(store.get_range("object", start=5, end=50)) == content[5:50]
    gated.opened.set()
    assert bytes(await task) == content[5:50]
    assert asked(remote) == 2
    assert bytes(copy.copy(store).get_range("object", start=5, end=50)) == content[5:50]
    assert asked(remote) == 0


def ranges(call: Sync | Async, store: CachingReadableStore, spans: list[tuple[int, int]]) -> list[bytes]:
    """Get ranges that a bare store asks for one by one, so that they can be of several versions."""
    starts, ends = zip(*spans, strict=True)
    if isinstance(call, Sync):
        return [bytes(it) for it in store.get_ranges("object", starts=starts, ends=ends, coalesce=0)]

    async def run() -> list[bytes]:
        return [bytes(it) for it in await store.get_ranges_async("object", starts=starts, ends=ends, coalesce=0)]

    return asyncio.run(run())


@pytest.mark.parametrize("skip", range(5))
def test_ranges_that_are_more_than_the_cache_holds_are_of_one_version(
    remote: Remote, call: Sync | Async, skip: int
) -> None:
    contents = [remote.put("object", SIZE), *replace_before_each(remote, range(skip, skip + 1))]
    store = CachingReadableStore(remote.store, 2 * BLOCK, block_size=BLOCK)
    spans = [(0, BLOCK), (3 * BLOCK, 5 * BLOCK), (7 * BLOCK + 5, SIZE)]
    for _ in range(2):  # of an unknown version, and of a known one
        assert ranges(call, store, spans) in [[it[start:end] for start, end in spans] for it in contents]
    assert store.cache_size <= 2 * BLOCK


@pytest.mark.parametrize("folder", [None, "cache"])
def test_ranges_of_what_is_replaced_again_and_again_are_of_one_version(
    remote: Remote, call: Sync | Async, tmp_path: Path, folder: str | None
) -> None:
    remote.put("object", SIZE)
    contents = replace_before_each(remote, range(40))
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    if folder is not None:
        store = shared(remote.store, tmp_path / folder, BLOCK)
    spans = [(5, 50), (5 * BLOCK, 5 * BLOCK + 50)]
    assert ranges(call, store, spans) in [[it[start:end] for start, end in spans] for it in contents]
    assert asked(remote) < 40


def test_once_a_new_version_was_answered_the_old_one_is_not(remote: Remote, call: Sync | Async, tmp_path: Path) -> None:
    """A shared cache still tells of the old version, and may be trusted for an hour; but not by who knows better."""
    remote.put("object", SIZE)
    store = shared(remote.store, tmp_path, BLOCK)
    call.get_range(store, "object", 0, 10)
    new = remote.put("object", SIZE, seed=2)
    for number, requests in [(1, 2), (0, 1), (1, 0), (2, 1), (0, 0), (2, 0)]:
        start = number * BLOCK
        assert call.get_range(store, "object", start, start + 10) == new[start : start + 10]
        assert asked(remote) == requests


def test_what_is_put_during_a_fetch_is_what_others_find(
    remote: Remote, gated: Gated, call: Sync | Async, tmp_path: Path, block_size: Any
) -> None:
    old, new = bytes(remote.put("object", SIZE)), bytes(random_bytes(SIZE, 2))
    store = shared(gated, tmp_path, block_size)
    gated.hold()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(call.get_range, store, "object", 5, 50)
        assert gated.held.wait(WAIT)
        store.put("object", new, use_multipart=False)
        gated.opened.set()
        assert reading.result(WAIT) in {old[5:50], new[5:50]}
    assert call.get_range(copy.copy(store), "object", 5, 50) == new[5:50]
    assert call.get_range(store, "object", 5, 50) == new[5:50]


def test_what_is_put_during_a_fetch_leaves_nothing_of_the_old_version(
    remote: Remote, gated: Gated, call: Sync | Async
) -> None:
    old, new = bytes(remote.put("object", SIZE)), bytes(random_bytes(SIZE, 2))
    store = CachingReadableStore(gated, block_size=BLOCK)  # type: ignore[type-var]
    gated.hold()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(call.get_range, store, "object", 5, 3 * BLOCK)
        assert gated.held.wait(WAIT)
        store.put("object", new, use_multipart=False)
        gated.opened.set()
        assert reading.result(WAIT) in {old[5 : 3 * BLOCK], new[5 : 3 * BLOCK]}
    assert (store.cache_size, store.cached_paths) == (0, [])
    assert call.get_range(store, "object", 5, 50) == new[5:50]


def test_who_finds_out_a_version_at_the_same_time_keeps_what_others_keep(
    remote: Remote, gated: Gated, call: Sync | Async
) -> None:
    """A loop, and a thread or another loop: neither waits for the other, and both read from the same cache."""
    content = remote.put("object", SIZE)
    store = CachingReadableStore(gated, block_size=BLOCK)  # type: ignore[type-var]
    gated.hold()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(Async().get_range, store, "object", 5 * BLOCK, 5 * BLOCK + 10)
        assert gated.held.wait(WAIT)
        assert call.get_range(store, "object", 0, 10) == content[:10]
        gated.opened.set()
        assert held.result(WAIT) == content[5 * BLOCK : 5 * BLOCK + 10]
    assert store.cache_size == 2 * BLOCK
    assert asked(remote) == 2
    for start in (0, 5 * BLOCK):
        assert call.get_range(store, "object", start, start + 10) == content[start : start + 10]
    assert asked(remote) == 0
