"""The cache: a hard budget, least recently used first, whatever threads do."""

from __future__ import annotations

import random
import threading

from hypothesis import given
from hypothesis import strategies as st

from obspec_utils.caches import MemoryCache
from obspec_utils.caches._lru import LruCache

steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 6), st.integers(0, 12)),
        st.tuples(st.just("get"), st.integers(0, 6), st.just(0)),
        st.tuples(st.just("delete"), st.integers(0, 6), st.just(0)),
        st.tuples(st.just("clear"), st.just(0), st.just(0)),
    ),
    min_size=20,  # fewer seldom evict anything
    max_size=40,
)


class Model:
    """The same, written for clarity: a list in the order of use."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, int]] = []

    def step(self, action: str, key: int, size: int) -> None:
        kept = [entry for entry in self.entries if entry[0] != key]
        if action == "get":
            self.entries = kept + [entry for entry in self.entries if entry[0] == key]
        elif action == "clear":
            self.entries = []
        else:
            self.entries = kept
            if action == "put" and size <= 10:
                while sum(entry[1] for entry in self.entries) + size > 10:
                    self.entries.pop(0)
                self.entries.append((key, size))


@given(steps)
def test_it_keeps_what_a_plain_model_keeps(steps: list[tuple[str, int, int]]) -> None:
    cache: LruCache[int, str] = LruCache(10)
    model = Model()
    for action, key, size in steps:
        if action == "put":
            cache.put(key, f"value {key}", size)
        elif action == "get":
            found = cache.get(key)
            assert found == (f"value {key}" if key in [entry[0] for entry in model.entries] else None)
        elif action == "delete":
            cache.delete(key)
        else:
            cache.clear()
        model.step(action, key, size)
        assert cache.keys() == [entry[0] for entry in model.entries]
        assert cache.size == sum(entry[1] for entry in model.entries) <= 10


def test_threads_never_see_it_over_budget_nor_another_key_s_value() -> None:
    cache: LruCache[int, int] = LruCache(100)
    wrong: list[object] = []

    def use(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(5000):
            key = rng.randrange(30)
            found = cache.get(key)
            if found not in (None, key) or cache.size > 100:
                wrong.append((key, found, cache.size))
            cache.put(key, key, rng.randrange(1, 20))
            if key == 0:
                cache.delete(rng.randrange(30))

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert cache.size == sum(size for _, size in cache.entries.values())


def test_a_forked_child_starts_anew_only_if_a_change_was_under_way() -> None:
    cache: LruCache[int, str] = LruCache(10)
    cache.put(1, "one", 1)
    cache._reset_after_fork()
    assert cache.get(1) == "one"
    cache._lock.acquire()  # as if by a thread the child does not have
    cache._reset_after_fork()
    assert (cache.get(1), cache.size) == (None, 0)
    cache.put(1, "one", 1)
    assert cache.get(1) == "one"


def test_the_overhead_of_many_entries_counts_against_the_budget() -> None:
    cache: LruCache[int, str] = LruCache(100, overhead=10)
    for number in range(2000):
        cache.put(number, "", 0)
    assert (len(cache.keys()), cache.size, cache.evictions) == (1024 + 10, 0, 2000 - 1034)
    assert (cache.get(0), cache.get(1999)) == (None, "")
    cache.put(2000, "large", 100)
    assert (len(cache.keys()), cache.size) == (1024, 100)
    cache.put(2001, "", 0)
    assert (len(cache.keys()), cache.peek(2000)) == (1024, "large")


def test_the_budget_alone_bounds_the_number_of_small_objects() -> None:
    cache = MemoryCache()
    for number in range(100_000):
        cache.put(str(number), b"small")
    assert (cache.size, cache.evictions) == (500_000, 0)
    cache.put("large", bytes(cache.max_size - 10_000))
    assert cache.get("large") is not None
    assert len(cache.values.keys()) <= 1024 + 5
