"""Which objects a cache keeps: the ones used last, never more bytes than it may."""

from __future__ import annotations

import pytest
from obstore.store import MemoryStore

from obspec_utils.wrappers import CachingReadableStore

_USES = {
    "get": lambda store, path: store.get(path),
    "range": lambda store, path: store.get(path, options={"range": (0, 5)}),
    "get_range": lambda store, path: store.get_range(path, start=0, length=5),
    "get_ranges": lambda store, path: store.get_ranges(path, starts=[0], ends=[5]),
    "head": lambda store, path: store.head(path),
}


@pytest.fixture
def store():
    memory = MemoryStore()
    for name in "abcdef":
        memory.put(name, name.encode() * 100)
    memory.put("large", bytes(251))
    memory.put("full", bytes(250))
    memory.put("empty", b"")
    return CachingReadableStore(memory, max_size=250)


def test_the_object_not_used_for_longest_goes_first(store):
    for path in "abc":
        store.get(path)
    assert store.cached_paths == ["b", "c"]
    store.get("b")
    store.get("d")
    assert store.cached_paths == ["b", "d"]
    assert store.cache_size == 200


@pytest.mark.parametrize("use", _USES)
def test_every_hit_counts_as_a_use(store, use):
    store.get("a")
    store.get("b")
    _USES[use](store, "a")
    assert store.cached_paths == ["b", "a"]


def test_an_object_as_large_as_the_budget_is_kept_alone(store):
    store.get("a")
    store.get("full")
    assert store.cached_paths == ["full"]
    assert store.cache_size == 250


def test_an_object_larger_than_the_budget_drops_no_other(store):
    store.get("a")
    assert len(bytes(store.get("large").buffer())) == 251
    assert store.cached_paths == ["a"]


def test_empty_objects_are_kept(store):
    store.get("empty")
    store.get("a")
    assert store.cached_paths == ["empty", "a"]
    assert store.cache_size == 100


def test_the_budget_holds_after_every_call(store):
    for number in range(300):
        path = ["a", "b", "large", "c", "full", "d", "empty", "e", "f"][number * 7 % 9]
        list(_USES.values())[number % 4](store, path) if path != "empty" else store.get(path)
        assert store.cache_size <= 250
        assert store.cache_size == sum(store._store.head(path)["size"] for path in store.cached_paths)


def test_clearing_forgets_everything(store):
    store.get("a")
    store.clear_cache()
    assert store.cached_paths == []
    assert store.cache_size == 0
    assert bytes(store.get("a").buffer()) == b"a" * 100


def test_the_context_manager_gives_the_store_and_clears_it(store):
    with store as entered:
        assert entered is store
        store.get("a")
        assert store.cached_paths == ["a"]
    assert store.cached_paths == []
    assert bytes(store.get("b").buffer()) == b"b" * 100


def test_the_context_manager_clears_after_an_error(store):
    store.get("a")
    with pytest.raises(KeyError), store:
        raise KeyError
    assert store.cached_paths == []


def test_a_result_outlives_its_eviction(store):
    result = store.get("a")
    store.get("full")
    assert store.cached_paths == ["full"]
    assert bytes(result.buffer()) == b"a" * 100


def test_one_object_has_one_entry_however_it_is_spelt(store):
    for path in ("a", "/a", "a/", "/a/"):
        assert bytes(store.get(path).buffer()) == b"a" * 100
    assert store.cached_paths == ["a"]
    assert store.cache_size == 100


def test_a_path_is_cached_only_as_a_whole(store):
    store.put("folder/a", b"other")
    store.get("folder/a")
    store.get("a")
    assert store.cached_paths == ["folder/a", "a"]
    assert bytes(store.get("folder/a").buffer()) == b"other"
