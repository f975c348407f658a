"""What goes wrong in the middle of a cached read: eviction, cancelling, others who find out the same."""

from __future__ import annotations

import asyncio
import copy
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from obstore.store import MemoryStore

from obspec_utils._io.backends import SyncBackend
from obspec_utils.caches import DiskCache, MemoryCache
from obspec_utils.wrappers import CachingReadableStore, RequestTrace, TracingReadableStore
from obspec_utils.wrappers.caching._blocks import BlockLoader
from obspec_utils.wrappers.caching._entries import BlockKey
from tests.requests.test_cached_races import Gated
from tests.servers import random_bytes
from tests.unit._flights import WAIT, until, until_true

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 1000
SIZE = 10 * BLOCK
CONTENT = bytes(random_bytes(SIZE, 1))


class Leases:
    """A cache of a user's own that holds a put or a lease back, and knows who has leased what."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.leased: set[str] = set()
        self.holding = ""
        self.held, self.opened = threading.Event(), threading.Event()

    def _hold(self, what: str) -> None:
        if self.holding == what:
            self.holding = ""
            self.held.set()
            assert self.opened.wait(WAIT)

    def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    def put(self, key: str, value: Any) -> None:
        if not bytes(value).startswith(b"{"):
            self._hold("put")
        self.values[key] = bytes(value)

    def delete(self, key: str) -> None:
        self.values.pop(key, None)

    def clear(self) -> None:
        self.values.clear()

    def lease(self, key: str) -> Any:
        if key in self.leased:
            return None
        self.leased.add(key)
        self._hold("lease of a block" if key.count("/") > 2 else "lease")
        return _Lease(self.leased, key)


class _Lease:
    def __init__(self, leased: set[str], key: str) -> None:
        self.leased, self.key = leased, key

    def release(self) -> None:
        self.leased.discard(self.key)


@pytest.fixture
def below() -> MemoryStore:
    store = MemoryStore()
    store.put("object", CONTENT)
    return store


def over(below: Any, *caches: Any, **options: Any) -> CachingReadableStore:
    return CachingReadableStore(
        below, cache=[MemoryCache(), *caches], **{"block_size": BLOCK, "namespace": "n", **options}
    )


def test_a_block_that_leaves_between_the_claim_and_the_fetch_is_fetched_too(
    below: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = over(below, max_age=0)
    store.get_range("object", start=BLOCK, end=2 * BLOCK)
    claim = BlockLoader.claim

    def evicting(blocks: BlockLoader, call: Any, entry: Any, ranges: Any) -> Any:
        claimed = claim(blocks, call, entry, ranges)
        store._entries.memory.values.delete(BlockKey(entry, 1))  # type: ignore[union-attr] # as another thread's put
        return claimed

    monkeypatch.setattr(BlockLoader, "claim", evicting)
    assert bytes(store.get_range("object", start=0, end=3 * BLOCK)) == CONTENT[: 3 * BLOCK]
    monkeypatch.undo()
    for start in range(0, 3 * BLOCK, BLOCK):
        assert bytes(store.get_range("object", start=start, end=start + BLOCK)) == CONTENT[start : start + BLOCK]


def test_the_second_to_find_out_a_version_does_not_publish_it_after_a_put(below: MemoryStore) -> None:
    gated, shared = Gated(below), Leases()
    store = over(gated, shared)
    gated.hold()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(lambda: asyncio.run(store.get_range_async("object", start=5 * BLOCK, end=5 * BLOCK + 5)))
        assert gated.held.wait(WAIT)
        store.get_range("object", start=0, end=5)
        shared.holding = "put"
        gated.opened.set()
        assert shared.held.wait(WAIT)
        store.put("object", CONTENT[::-1])
        shared.opened.set()
        reading.result(WAIT)
    assert bytes(copy.copy(store).get_range("object", start=0, end=5)) == CONTENT[::-1][:5]


async def test_leases_of_the_same_key_in_two_caches_are_told_apart(
    below: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gated = Gated(below)
    store = over(gated, DiskCache(tmp_path / "one", 10**7))
    other = over(below, DiskCache(tmp_path / "other", 10**7))

    async def wait(*_: object) -> None:
        pytest.fail("a thread waits for a task")

    monkeypatch.setattr(SyncBackend, "sleep", wait)
    gated.hold()
    task = asyncio.create_task(store.get_range_async("object", start=0, end=5))
    await until(gated.held)
    await other.get_range_async("object", start=0, end=5)
    assert bytes(store.get_range("object", start=0, end=5)) == CONTENT[:5]
    gated.opened.set()
    await task


@pytest.mark.parametrize("holding", ["lease", "lease of a block", "put"])
@pytest.mark.parametrize("block_size", [None, BLOCK])
async def test_a_cancelled_task_gives_back_its_leases(below: MemoryStore, holding: str, block_size: Any) -> None:
    shared = Leases()
    store = over(below, shared, block_size=block_size)
    shared.holding = holding
    task = asyncio.create_task(store.get_range_async("object", start=0, end=5))
    await until(shared.held)
    task.cancel()
    await asyncio.sleep(0)
    shared.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_true(lambda: not shared.leased)


def test_a_response_is_read_once_though_its_blocks_are_leased_one_after_the_other(below: MemoryStore) -> None:
    class RefusesOnce(Leases):
        refused = False

        def lease(self, key: str) -> Any:
            if key.endswith("/1") and not self.refused:
                self.refused = True
                return None
            return super().lease(key)

    trace = RequestTrace()
    store = over(TracingReadableStore(below, trace), RefusesOnce())
    assert bytes(store.get_range("object", start=0, end=3 * BLOCK)) == CONTENT[: 3 * BLOCK]
    assert [(record.start, record.length) for record in trace.requests] == [(0, 3 * BLOCK), (BLOCK, BLOCK)]


def test_two_who_revalidate_a_version_at_once_both_give_back_their_leases(below: MemoryStore) -> None:
    shared = Leases()
    store = over(below, shared, max_age=0)
    store.get_range("object", start=0, end=5)
    shared.holding = "put"
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(lambda: asyncio.run(store.get_range_async("object", start=5 * BLOCK, end=5 * BLOCK + 5)))
        assert shared.held.wait(WAIT)
        store.get_range("object", start=0, end=5)
        shared.opened.set()
        reading.result(WAIT)
    assert shared.leased == set()


async def test_an_answer_that_a_cancelled_read_has_offered_is_let_go(
    object_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("obspec_utils.wrappers.caching._origin._WINDOW", 2 * BLOCK)
    content = os.urandom(SIZE)
    object_server.put("bucket/object", content)
    gated = Gated(object_server.s3_store("bucket"))
    store = CachingReadableStore(gated, block_size=BLOCK)
    result = await store.get_async("object")
    gated.hold()
    leading = asyncio.create_task(store.get_range_async("object", start=0, end=2 * BLOCK))
    await until(gated.held)
    joining = asyncio.create_task(result.buffer_async())
    await asyncio.sleep(0.01)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    gated.opened.set()
    assert bytes(await leading) == content[: 2 * BLOCK]
    assert result._body.response is None  # type: ignore[union-attr]
