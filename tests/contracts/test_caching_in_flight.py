"""A change made while an object is being fetched keeps the fetched bytes out of the cache."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from obstore.store import MemoryStore

from obspec_utils.wrappers import CachingReadableStore
from tests.contracts._stacks import CACHING_STACKS, build, layers

pytestmark = pytest.mark.timeout(30)
_WAIT = 20
_OLD, _NEW = b"old" * 10, b"newer" * 10


class _Gated:
    """A MemoryStore whose first get, once it has its answer, waits at a gate."""

    def __init__(self):
        self._memory = MemoryStore()
        self._waits = True
        self.reached = threading.Event()
        self.open = threading.Event()

    def __getattr__(self, name):
        return getattr(self._memory, name)

    def _is_first(self):
        waits, self._waits = self._waits, False
        return waits

    def get(self, path, *, options=None):
        result = self._memory.get(path, options=options)
        if self._is_first():
            self.reached.set()
            assert self.open.wait(_WAIT)
        return result

    async def get_async(self, path, *, options=None):
        result = await self._memory.get_async(path, options=options)
        if self._is_first():
            self.reached.set()
            while not self.open.is_set():
                await asyncio.sleep(0.001)
        return result


_CHANGES = {
    "put": ("put", ("object", _NEW)),
    "delete": ("delete", (["object", "other"],)),
    "copy": ("copy", ("other", "object")),
    "rename to": ("rename", ("other", "object")),
    "rename from": ("rename", ("object", "elsewhere")),
    "failing put": ("put", ("object", object())),
    "clear_cache": ("clear_cache", ()),
}
_KEEPS_NOTHING = pytest.mark.parametrize("change", _CHANGES)
_STACKS = pytest.mark.parametrize("stack", [stack for stack in CACHING_STACKS if stack.startswith("caching")])


@pytest.fixture
def gated():
    gated = _Gated()
    gated._memory.put("object", _OLD)
    gated._memory.put("other", _NEW)
    yield gated
    gated.open.set()


def _clear(store):
    while hasattr(store, "_store"):
        if isinstance(store, CachingReadableStore):
            store.clear_cache()
        store = store._store


def _apply(store, change):
    method, arguments = _CHANGES[change]
    try:
        if method == "clear_cache":  # of one cache only: those below it are cleared by themselves
            _clear(store)
            return
        getattr(store, method)(*arguments)
    except ValueError:
        assert change == "failing put"


async def _apply_async(store, change):
    method, arguments = _CHANGES[change]
    try:
        if method == "clear_cache":
            _clear(store)
        else:
            await getattr(store, f"{method}_async")(*arguments)
    except ValueError:
        assert change == "failing put"


def _outcome(store):
    try:
        return bytes(store.get("object").buffer())
    except FileNotFoundError:
        return None


def _check_nothing_stale(store, gated):
    for layer in layers(store, gated):
        if isinstance(layer, CachingReadableStore):
            assert layer.cached_paths == []
            assert layer.cache_size == 0
    assert _outcome(store) == _outcome(gated._memory)


@_STACKS
@_KEEPS_NOTHING
def test_a_change_during_a_fetch_keeps_its_bytes_from_being_kept(gated, stack, change):
    store = build(stack, gated)
    with ThreadPoolExecutor() as pool:
        fetched = pool.submit(lambda: bytes(store.get("object").buffer()))
        assert gated.reached.wait(_WAIT)
        _apply(store, change)
        gated.open.set()
        assert fetched.result(_WAIT) == _OLD
    _check_nothing_stale(store, gated)


@_STACKS
@_KEEPS_NOTHING
async def test_an_async_change_during_a_fetch_keeps_its_bytes_from_being_kept(gated, stack, change):
    store = build(stack, gated)

    async def fetch():
        return bytes(await (await store.get_async("object")).buffer_async())

    fetched = asyncio.create_task(fetch())
    while not gated.reached.is_set():
        await asyncio.sleep(0.001)
    await _apply_async(store, change)
    gated.open.set()
    assert await fetched == _OLD
    _check_nothing_stale(store, gated)


@_KEEPS_NOTHING
async def test_a_sync_change_during_an_async_fetch_keeps_its_bytes_from_being_kept(gated, change):
    store = CachingReadableStore(gated)
    fetched = asyncio.create_task(store.get_range_async("object", start=0, length=3))
    while not gated.reached.is_set():
        await asyncio.sleep(0.001)
    _apply(store, change)
    gated.open.set()
    await fetched
    _check_nothing_stale(store, gated)


def test_a_get_after_a_put_does_not_wait_for_the_fetch_before_it(gated):
    store = CachingReadableStore(gated)
    with ThreadPoolExecutor() as pool:
        before = pool.submit(store.get_range, "object", start=0, length=3)
        assert gated.reached.wait(_WAIT)
        store.put("object", _NEW)
        after = pool.submit(lambda: bytes(store.get("object").buffer()))
        assert after.result(_WAIT) == _NEW
        gated.open.set()
        assert bytes(before.result(_WAIT)) == _OLD[:3]
    assert bytes(store.get("object").buffer()) == _NEW
    assert store.cache_size == len(_NEW)


async def test_a_task_after_a_put_does_not_wait_for_the_fetch_before_it(gated):
    store = CachingReadableStore(gated)
    before = asyncio.create_task(store.get_range_async("object", start=0, length=3))
    while not gated.reached.is_set():
        await asyncio.sleep(0.001)
    await store.put_async("object", _NEW)
    async with asyncio.timeout(_WAIT):
        assert bytes(await store.get_range_async("object", start=0, length=5)) == _NEW[:5]
    gated.open.set()
    assert bytes(await before) == _OLD[:3]
    assert bytes(store.get("object").buffer()) == _NEW


class _ReadInPut(_Gated):
    """A store that is read through a cache while it puts, before the object is another one."""

    cached = None

    def put(self, path, content):
        assert bytes(self.cached.get(path).buffer()) == _OLD
        return self._memory.put(path, content)

    async def put_async(self, path, content):
        assert bytes(await (await self.cached.get_async(path)).buffer_async()) == _OLD
        return await self._memory.put_async(path, content)


async def test_what_is_read_during_a_put_is_not_kept():
    store = _ReadInPut()
    store.open.set()
    store.cached = CachingReadableStore(store)
    store._memory.put("object", _OLD)
    store.cached.put("object", _NEW)
    assert bytes(store.cached.get("object").buffer()) == _NEW
    store._memory.put("object", _OLD)
    store.cached.clear_cache()
    await store.cached.put_async("object", _NEW)
    assert bytes(store.cached.get("object").buffer()) == _NEW


def test_a_put_of_another_object_lets_a_fetch_be_kept(gated):
    store = CachingReadableStore(gated)
    with ThreadPoolExecutor() as pool:
        fetched = pool.submit(store.get_range, "object", start=0, length=3)
        assert gated.reached.wait(_WAIT)
        store.put("other", _NEW)
        gated.open.set()
        assert bytes(fetched.result(_WAIT)) == _OLD[:3]
    assert store.cached_paths == ["object"]
