"""What read-ahead of a block cache does to other callers, processes and shared caches."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils.caches import DiskCache, MemoryCache
from obspec_utils.wrappers import CachingReadableStore
from tests.contracts._stores import OnlyGet
from tests.unit._flights import WAIT, wait_for
from tests.unit._tiers import DictCache

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 16
COUNT = 100
CONTENT = random.Random(1).randbytes(COUNT * BLOCK)
UNLIMITED = 10**9


class Gated(OnlyGet):
    """A store that holds back the answer for one block."""

    def __init__(self, held: int) -> None:
        super().__init__({"object": CONTENT})
        self.held = held
        self.asked = threading.Event()
        self.go = threading.Event()

    def _body(self, path: str, start: int, stop: int) -> bytes:
        body = super()._body(path, start, stop)
        if start <= self.held * BLOCK < stop:
            self.asked.set()
            assert self.go.wait(WAIT)
        return body


def block(store: CachingReadableStore, number: int) -> None:
    """Read a few bytes of a block."""
    start = number * BLOCK + 3
    assert bytes(store.get_range("object", start=start, length=5)) == CONTENT[start : start + 5]


def fetched(store: OnlyGet) -> list[tuple[int, int]]:
    """Return the blocks of each request since the last call."""
    spans = [(start // BLOCK, -(-stop // BLOCK)) for _, (start, stop) in store.requests]
    store.requests.clear()
    return spans


# Other callers.


def test_a_block_that_is_read_ahead_is_waited_for_not_requested() -> None:
    below = Gated(3)
    store = CachingReadableStore(below, block_size=BLOCK)
    block(store, 0)
    block(store, 1)
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(block, store, 2)
        assert below.asked.wait(WAIT)
        other = pool.submit(block, store, 3)
        (claim,) = set(store._entries.in_flight._claims.values())
        wait_for(lambda: claim._future is not None and claim._future._condition._waiters)
        below.go.set()
        leader.result(WAIT)
        other.result(WAIT)
    assert fetched(below) == [(0, 1), (1, 2), (2, 4)]


def test_a_block_that_another_caller_fetches_is_neither_waited_for_nor_requested_ahead() -> None:
    below = Gated(3)
    store = CachingReadableStore(below, block_size=BLOCK)
    block(store, 0)
    block(store, 1)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(block, store, 3)
        assert below.asked.wait(WAIT)
        block(store, 2)
        below.go.set()
        other.result(WAIT)
    assert fetched(below) == [(0, 1), (1, 2), (3, 4), (2, 3)]


def test_blocks_that_were_waited_for_are_counted_beside_those_ahead() -> None:
    below = Gated(3)
    store = CachingReadableStore(below, block_size=BLOCK)
    block(store, 0)
    block(store, 1)
    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(block, store, 2)
        assert below.asked.wait(WAIT)
        reader = pool.submit(store.get_range, "object", start=4 * BLOCK - 2, length=4)
        wait_for(lambda: len(below.requests) == 4)
        below.go.set()
        other.result(WAIT)
        assert bytes(reader.result(WAIT)) == CONTENT[4 * BLOCK - 2 : 4 * BLOCK + 2]
    assert fetched(below) == [(0, 1), (1, 2), (2, 4), (4, 8)]
    info = store.cache_info()
    assert (info.hits, info.joined, info.misses) == (0, 1, 8)


async def test_a_task_that_waits_for_a_block_ahead_fetches_it_if_the_other_is_cancelled() -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    class Held(OnlyGet):
        async def get_async(self, path: str, *, options: Any = None) -> Any:
            if options["range"][1] == 4 * BLOCK:
                asked.set()
                await go.wait()
            return await super().get_async(path, options=options)

    below = Held({"object": CONTENT})
    store = CachingReadableStore(below, block_size=BLOCK)
    for number in (0, 1):
        await store.get_range_async("object", start=number * BLOCK, length=5)
    leader = asyncio.create_task(store.get_range_async("object", start=2 * BLOCK, length=5))
    await asked.wait()
    other = asyncio.create_task(store.get_range_async("object", start=3 * BLOCK, length=5))
    await asyncio.sleep(0)
    leader.cancel()
    go.set()
    assert bytes(await other) == CONTENT[3 * BLOCK : 3 * BLOCK + 5]
    assert leader.cancelled()
    assert fetched(below) == [(0, 1), (1, 2), (3, 4)]
    assert store._entries.in_flight._claims == {}


@pytest.mark.parametrize("change", ["clear", "replace"])
def test_blocks_ahead_that_were_invalidated_meanwhile_are_not_kept(change: str) -> None:
    below = Gated(3)
    store = CachingReadableStore(below, block_size=BLOCK)
    block(store, 0)
    block(store, 1)
    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(block, store, 2)
        assert below.asked.wait(WAIT)
        store.clear_cache()
        below.go.set()
        leader.result(WAIT)
    assert store.cache_size == 0
    if change == "replace":
        below.replace("object", CONTENT[::-1])
        assert bytes(store.get_range("object", start=3 * BLOCK, length=5)) == CONTENT[::-1][3 * BLOCK : 3 * BLOCK + 5]
    else:
        block(store, 3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_forked_during_read_ahead_reads_on() -> None:
    below = Gated(3)
    store = CachingReadableStore(below, block_size=BLOCK)
    block(store, 0)
    block(store, 1)
    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(block, store, 2)
        assert below.asked.wait(WAIT)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there are threads is the point
            child = os.fork()
        if not child:
            below.go = threading.Event()
            below.go.set()
            for number in range(COUNT):
                block(store, number)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        below.go.set()
        leader.result(WAIT)


# Errors.


class Refusing(OnlyGet):
    """A store that refuses every range with a certain block in it."""

    refused = 5

    def _body(self, path: str, start: int, stop: int) -> bytes:
        body = super()._body(path, start, stop)
        if start <= self.refused * BLOCK < stop:
            raise PermissionError(path)
        return body


def test_an_error_ahead_is_raised_by_the_read_that_meets_it_and_leaves_nothing() -> None:
    below = Refusing({"object": CONTENT})
    store = CachingReadableStore(below, block_size=BLOCK)
    for number in range(5):
        block(store, number)
    assert fetched(below) == [(0, 1), (1, 2), (2, 4), (4, 8), (4, 5)]
    assert store._entries.in_flight._claims == {}
    with pytest.raises(PermissionError):
        block(store, 5)
    assert fetched(below) == [(5, 6)]
    below.refused = -1
    for number in range(5, 12):
        block(store, number)
    assert fetched(below) == [(5, 6), (6, 7), (7, 9), (9, 13)]


# Shared caches.


class Leased(DictCache):
    """A cache in which other processes have leased all keys but the first of each call."""

    def lease(self, key: str) -> Any:
        raise NotImplementedError

    def lease_many(self, keys: list[str]) -> tuple[list[str], Any]:
        return keys[:1], self

    def release(self) -> None:
        pass


def test_blocks_ahead_that_another_process_fetches_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("obspec_utils.wrappers.caching._context.RequestContext.wait", None)  # would fail
    below = OnlyGet({"object": CONTENT})
    store = CachingReadableStore(below, block_size=BLOCK, cache=[MemoryCache(), Leased()], namespace="here")
    for number in range(3):
        block(store, number)
    assert fetched(below) == [(0, 1), (1, 2), (2, 3)]


def test_blocks_ahead_are_put_into_shared_caches_and_found_there(tmp_path: Path) -> None:
    below = OnlyGet({"object": CONTENT})
    for expected in ([(0, 1), (1, 2), (2, 4), (4, 8), (8, 16)], []):
        cache = [MemoryCache(), DiskCache(tmp_path, 10**6)]
        store = CachingReadableStore(below, block_size=BLOCK, cache=cache, namespace="here")
        for number in range(9):
            block(store, number)
        assert fetched(below) == expected
    assert store.cache_info().tiers[1].hits == 16


def test_a_store_without_a_memory_cache_reads_ahead_into_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("obspec_utils.wrappers.caching._config._MAX_AHEAD", 8 * BLOCK)
    below = OnlyGet({"object": CONTENT})
    store = CachingReadableStore(below, block_size=BLOCK, cache=DictCache(), namespace="here")
    for number in range(COUNT):
        block(store, number)
    requests = fetched(below)
    assert sum(stop - start for start, stop in requests) == COUNT
    assert len(requests) < 40


@pytest.mark.parametrize(
    ("max_sizes", "blocks"), [((UNLIMITED, 32 * BLOCK), 4), ((32 * BLOCK, UNLIMITED), 4), ((10**6, 10**6), 16)]
)
def test_the_smallest_cache_limits_a_step(tmp_path: Path, max_sizes: tuple[int, int], blocks: int) -> None:
    below = OnlyGet({"object": CONTENT})
    memory, disk = max_sizes
    cache = [MemoryCache(memory), DiskCache(tmp_path, disk)]
    store = CachingReadableStore(below, block_size=BLOCK, cache=cache, namespace="here")
    for number in range(20):
        block(store, number)
    assert max(stop - start for start, stop in fetched(below)) == blocks


def test_a_step_has_a_limit_that_is_independent_of_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("obspec_utils.wrappers.caching._config._MAX_AHEAD", 4 * BLOCK)
    below = OnlyGet({"object": CONTENT})
    store = CachingReadableStore(below, UNLIMITED, block_size=BLOCK)
    for number in range(20):
        block(store, number)
    assert max(stop - start for start, stop in fetched(below)) == 4
