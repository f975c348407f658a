"""Caches that a store shares with others: what it keeps there, when, and what it makes of their failures."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from obspec_utils.caches import Cache, MemoryCache
from tests.contracts._stores import Versions
from tests.unit._tiers import CONTENT, Broken, DictCache, Over


def test_what_one_store_has_put_there_another_one_finds() -> None:
    over, shared = Over(), DictCache()
    assert bytes(over.store(MemoryCache(), shared).get_range("object", start=300, end=800)) == CONTENT[300:800]
    assert over.asked() > 0
    assert shared.blocks() == sorted([CONTENT[256:512], CONTENT[512:768], CONTENT[768:1024]])
    other = over.store(MemoryCache(), shared)
    assert bytes(other.get_range("object", start=300, end=800)) == CONTENT[300:800]
    assert over.asked() == 0
    assert bytes(other.get_range("object", start=0, end=800)) == CONTENT[:800]
    assert over.asked() == 1


def test_stores_with_other_blocks_do_not_take_each_other_s() -> None:
    over, shared = Over(), DictCache()
    # Block 2 of both has 224 bytes: the last of the object in one store, some in the middle in the other.
    over.store(shared, block_size=400).get_range("object", start=0, end=1024)
    assert bytes(over.store(shared, block_size=224).get_range("object", start=448, end=672)) == CONTENT[448:672]


def test_tiers_are_looked_up_in_order_and_filled_on_the_way_back() -> None:
    over, near, far = Over(), DictCache(), DictCache()
    over.store(far).get_range("object", start=0, end=256)
    over.asked()
    store = over.store(MemoryCache(), near, far)
    store.get_range("object", start=0, end=256)
    assert over.asked() == 0
    assert near.blocks() == far.blocks() == [CONTENT[:256]]
    far.log.clear()
    near.log.clear()
    store.get_range("object", start=0, end=256)
    assert near.log == far.log == []
    store.clear_cache()
    over.store(near, far).get_range("object", start=0, end=256)
    assert far.log == []
    info = store.cache_info()
    assert [(tier.hits, tier.misses) for tier in info.tiers] == [(1, 1), (0, 1), (1, 0)]
    assert (info.hits, info.misses, info.bytes_fetched) == (2, 0, 0)


def test_values_larger_than_a_tier_takes_are_not_offered_to_it() -> None:
    over, small, large = Over(), DictCache(255), DictCache()
    store = over.store(small, large)
    store.get_range("object", start=0, end=300)
    assert small.blocks() == []
    assert len(large.blocks()) == 2


@pytest.mark.parametrize("block_size", [None, 256, "auto"])
def test_without_a_memory_tier_nothing_is_kept_in_the_process(block_size: Any) -> None:
    over, shared = Over(block_size=block_size), DictCache()
    store = over.store(shared)
    for _ in range(2):
        assert bytes(store.get("object").buffer()) == CONTENT
    assert over.asked() == 1
    assert (store.cache_size, store.cached_paths) == (0, [])


@pytest.mark.parametrize("versions", [Versions(e_tag=False, last_modified=False)])
def test_objects_without_a_version_are_never_shared(versions: Versions) -> None:
    shared = DictCache()
    over = Over(versions)
    over.origin._meta = lambda path: {"path": path, "size": 1024, "e_tag": None, "last_modified": None, "version": None}  # type: ignore[method-assign]
    store = over.store(MemoryCache(), shared)
    assert bytes(store.get_range("object", start=0, end=10)) == CONTENT[:10]
    assert shared.values == {}
    asked = over.asked()
    assert bytes(store.get_range("object", start=0, end=10)) == CONTENT[:10]
    assert (asked, over.asked()) == (2, 0)  # all of it, as blocks of two versions could not be told apart


@pytest.mark.parametrize("block_size", [None, 256])
def test_metadata_is_found_in_a_shared_cache(block_size: Any) -> None:
    over, shared = Over(block_size=block_size), DictCache()
    over.store(shared).get_range("object", start=0, end=10)
    over.asked()
    store = over.store(MemoryCache(), shared)
    assert store.head("object") == over.origin._meta("object")
    assert over.asked() == 0
    with pytest.raises(AttributeError):  # too old: to be asked for, of a store that can't tell
        over.store(shared, max_age=0).head("object")


def test_many_blocks_may_be_more_than_the_largest_value_of_a_cache() -> None:
    over, shared = Over(), DictCache(300)
    store = over.store(MemoryCache(100), shared)
    assert bytes(store.get("object").buffer()) == CONTENT
    assert len(shared.blocks()) == 4
    over.asked()
    assert bytes(over.store(shared).get("object").buffer()) == CONTENT
    assert over.asked() == 0


def test_dates_tell_versions_where_there_are_no_etags() -> None:
    shared = DictCache()
    over = Over(Versions(e_tag=False))
    over.store(shared).get_range("object", start=0, end=256)
    over.asked()
    over.store(shared).get_range("object", start=0, end=256)
    assert over.asked() == 0
    over.origin.replace("object", CONTENT[::-1])
    store = over.store(shared, max_age=0)
    assert bytes(store.get_range("object", start=0, end=256)) == CONTENT[::-1][:256]


@pytest.mark.parametrize("block_size", [None, 256])
def test_a_cache_that_fails_is_none_and_is_warned_of_once(block_size: Any) -> None:
    over = Over(block_size=block_size)
    store = over.store(MemoryCache(), Broken())
    with pytest.warns(RuntimeWarning, match="Broken object .* can't be used.*ConnectionError") as warned:
        assert bytes(store.get_range("object", start=0, end=300)) == CONTENT[:300]
    assert len(warned) == 1
    assert bytes(store.get("other").buffer()) == CONTENT[::-1]


@pytest.mark.parametrize("value", [b"", b"short", CONTENT, b"{}", b'{"meta": 1}', b"\xff\xfe", b"[]", b"null"])
def test_values_that_can_t_be_right_are_not_used(value: bytes) -> None:
    over, shared = Over(), DictCache()
    over.store(shared).get_range("object", start=0, end=256)
    shared.values = dict.fromkeys(shared.values, value)
    assert bytes(over.store(shared).get_range("object", start=0, end=256)) == CONTENT[:256]
    assert over.asked() == 2
    assert shared.blocks() == [CONTENT[:256]]


def test_a_version_is_trusted_for_an_hour_if_others_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    over, shared = Over(), DictCache()
    store = over.store(MemoryCache(), shared)
    store.get_range("object", start=0, end=256)
    over.origin.replace("object", CONTENT[::-1])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3500)
    assert bytes(over.store(MemoryCache(), shared).get_range("object", start=0, end=256)) == CONTENT[:256]
    assert bytes(store.get_range("object", start=0, end=256)) == CONTENT[:256]
    over.asked()
    monkeypatch.setattr(time, "time", lambda: now + 3700)
    assert bytes(store.get_range("object", start=0, end=256)) == CONTENT[::-1][:256]
    assert over.asked() == 1
    assert bytes(over.store(shared).get_range("object", start=0, end=256)) == CONTENT[::-1][:256]
    assert over.asked() == 0


def test_what_another_process_checked_lately_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    over, shared = Over(max_age=100), DictCache()
    first, second = over.store(MemoryCache(), shared), over.store(MemoryCache(), shared)
    for store in (first, second):
        store.get_range("object", start=0, end=256)
    over.asked()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 101)
    first.get_range("object", start=0, end=256)
    assert over.asked() == 1
    second.get_range("object", start=0, end=256)
    assert over.asked() == 0


def test_stores_of_other_namespaces_never_see_each_other_s_bytes() -> None:
    shared = DictCache()
    first, second = Over(), Over(namespace="there")
    second.origin.objects["object"] = CONTENT[::-1]  # the same path, size and ETag
    for over, content in ((first, CONTENT), (second, CONTENT[::-1])):
        for _ in range(2):
            assert bytes(over.store(shared).get_range("object", start=0, end=256)) == content[:256]


def test_one_memory_cache_for_two_stores_is_one_budget_and_no_shared_bytes() -> None:
    memory = MemoryCache(600)
    first, second = Over(), Over()
    second.origin.objects["object"] = CONTENT[::-1]
    stores = [over.store(memory) for over in (first, second)]
    assert bytes(stores[0].get_range("object", start=0, end=256)) == CONTENT[:256]
    assert bytes(stores[1].get_range("object", start=0, end=256)) == CONTENT[::-1][:256]
    assert memory.size == stores[0].cache_size == 512
    assert [store.cached_paths for store in stores] == [["object"], ["object"]]
    stores[0].clear_cache()
    assert memory.size == 256
    memory.put("mine", b"x" * 400)
    assert memory.size == 400
    assert stores[1].cached_paths == []


def test_a_cache_of_a_user_s_own_is_one_by_its_methods() -> None:
    assert isinstance(DictCache(), Cache)
    assert not isinstance({}, Cache)


async def test_a_shared_cache_is_never_called_on_the_event_loop_s_thread() -> None:
    over, shared = Over(), DictCache()
    store = over.store(MemoryCache(), shared)
    for path in ("object", "other"):
        await store.get_range_async(path, start=0, end=300)
        await (await store.get_async(path)).buffer_async()
    store.clear_cache()
    await store.get_range_async("object", start=0, end=300)
    assert shared.log
    assert threading.get_ident() not in shared.threads
