"""What a cache knows of objects does not grow with the number of objects it has seen."""

from __future__ import annotations

import gc
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils.wrappers import CachingReadableStore
from obspec_utils.wrappers.caching import _entries
from obspec_utils.wrappers.caching._entries import Entry, EntryTable
from tests.contracts._stores import OnlyGet

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT = bytes(range(100))


@pytest.fixture(params=[None, 50])
def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Any]:
    monkeypatch.setattr(_entries, "_MAX_EMPTY", 20)
    below: Any = OnlyGet({str(number): CONTENT for number in range(1000)})
    return lambda size: CachingReadableStore(below, size, block_size=request.param)


def test_versions_of_which_nothing_is_in_memory_are_few(made: Callable[[int], Any]) -> None:
    store = made(1000)
    for number in range(1000):
        store.get_range(str(number), start=0, end=100)
    assert len(store.cached_paths) == 10
    assert len(store._entries._entries) <= 21
    assert list(store._entries._entries)[-1] == "999"


def test_no_object_that_is_in_memory_is_forgotten_for_that(made: Callable[[int], Any]) -> None:
    store = made(30_000)
    asked = store._store.requests
    for number in range(290):
        store.get_range(str(number), start=0, end=100)
    for number in range(290, 1000):
        store.get_range(str(number), start=0, end=100)
        for hot in range(10):
            store.get_range(str(hot), start=0, end=100)
    assert len(asked) == 1000  # the hot ones, too, once
    assert len(store.cached_paths) == 300
    assert len(store._entries._entries) <= 300 * 4 // 3 + 21


@pytest.mark.parametrize(("block_size", "most"), [(64, 700), (None, 2200)])
def test_what_a_value_takes_beyond_its_bytes(block_size: int | None, most: int) -> None:
    many = 2000
    large, small = bytes(64 * (many + 1)), bytes(64)
    below: Any = OnlyGet({"large": large, **{str(number): small for number in range(many + 1)}})
    store: Any = CachingReadableStore(below, block_size=block_size)

    def read(number: int) -> None:
        if block_size is None:
            store.get_range(str(number), start=0, end=64)
        else:
            store.get_range("large", start=64 * number, end=64 * number + 64)

    def take() -> int:
        read(many)  # once, for what is made by the first read
        below.requests.clear()
        gc.collect()
        tracemalloc.start()
        try:
            for number in range(many):
                read(number)
                below.requests.clear()
            gc.collect()
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    # Not in the main thread, whose misses have a thread each: what measures coverage keeps something of all threads.
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(take).result()
    assert store.cache_size == 64 * (many + 1)
    assert 64 < taken / many < 64 + most


@pytest.mark.parametrize("e_tag", ["tag", None])
def test_only_what_can_be_compared_is_the_same_version(e_tag: str | None) -> None:
    meta: Any = {"path": "object", "size": 10, "e_tag": e_tag, "last_modified": None, "version": None}
    index, first, second = EntryTable(None), Entry(meta, {}, 10, 1.0), Entry(meta, {}, 10, 2.0)
    assert index.put("object", first) is first
    current = index.put("object", second)
    assert current is index.find("object") is (second if e_tag is None else first)
    assert (first.is_current, second.is_current) == ((False, True) if e_tag is None else (True, False))
    assert first.validated_at == (1.0 if e_tag is None else 2.0)
