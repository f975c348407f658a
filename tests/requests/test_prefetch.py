"""Warming a cache, and what it tells of itself."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils.caches import DiskCache, MemoryCache
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

if TYPE_CHECKING:
    from pathlib import Path

    from ._ways import Async, Sync
    from .conftest import Remote

BLOCK = 64 * 1024
SIZE = 10 * BLOCK
PATHS = [f"many/{number}" for number in range(12)]


@pytest.mark.parametrize("block_size", [None, BLOCK, "auto"])
def test_objects_are_fetched_side_by_side(remote: Remote, call: Sync | Async, block_size: Any) -> None:
    contents = {path: remote.put(path, SIZE, seed) for seed, path in enumerate(PATHS)}
    store = CachingReadableStore(remote.store, block_size=block_size)
    remote.server.configure(latency=0.1, gather=6)
    assert call.prefetch(store, [*PATHS, *PATHS], max_concurrent_requests=6) == {}
    assert remote.server.most_in_flight() == 6
    assert sum(request.sent for request in remote.log()) == len(PATHS) * SIZE
    asked = len(remote.log())
    assert {path: call.get(store, path) for path in PATHS} == contents
    assert len(remote.log()) == asked
    info = store.cache_info()
    assert (info.bytes_fetched, info.bytes_served) == (len(PATHS) * SIZE, len(PATHS) * SIZE)


@pytest.mark.parametrize("most", [1, 4, 18])
def test_parts_of_one_object_count_too(remote: Remote, call: Sync | Async, most: int) -> None:
    content = remote.put("object", SIZE)
    below = SplittingReadableStore(remote.store, request_size=BLOCK, max_concurrent_requests=8)
    store = CachingReadableStore(below, block_size=BLOCK)
    remote.server.configure(latency=0.1, gather=min(most, 7))
    assert call.prefetch(store, ["object"], max_concurrent_requests=most) == {}
    # The first request has been answered when the other nine are made.
    assert min(most, 7) <= remote.server.most_in_flight() <= min(most, 8)
    assert call.get(store, "object") == content


@pytest.mark.parametrize("block_size", [None, BLOCK])
def test_what_failed_is_told_path_by_path(remote: Remote, call: Sync | Async, block_size: Any) -> None:
    for path, size in (("small", BLOCK), ("large", SIZE)):
        remote.put(path, size)
    store = CachingReadableStore(remote.store, 2 * BLOCK, block_size=block_size)
    failed = call.prefetch(store, ["small", "missing", "large"])
    assert set(failed) == {"missing", "large"}
    assert isinstance(failed["missing"], FileNotFoundError)
    assert isinstance(failed["large"], ValueError)
    assert str(failed["large"]).startswith("'large' was not cached: it exceeds the max_size of every cache")
    assert store.cached_paths == ["small"]


def test_an_object_larger_than_a_window_is_prefetched_in_windows(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, SIZE, block_size=BLOCK)
    assert store._blocks.window == SIZE // 2
    assert call.prefetch(store, ["object"]) == {}
    assert sum(request.sent for request in remote.log()) == SIZE
    assert call.get(store, "object") == content
    assert store.cache_info().misses == 10


def test_wrong_paths_and_numbers_are_refused(remote: Remote, call: Sync | Async) -> None:
    store = CachingReadableStore(remote.store)
    with pytest.raises(TypeError, match=r"paths must be an iterable of str, such as \['object'\]"):
        call.prefetch(store, "object")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_concurrent_requests must be positive, got 0"):
        call.prefetch(store, ["object"], max_concurrent_requests=0)
    assert call.prefetch(store, []) == {}


def test_the_numbers_to_look_at(remote: Remote, call: Sync | Async, tmp_path: Path) -> None:
    remote.put("object", SIZE)
    memory, disk = MemoryCache(4 * BLOCK), DiskCache(tmp_path / "<cache>", 10**8)
    store = CachingReadableStore(remote.store, block_size=BLOCK, cache=[memory, disk], max_age=0)
    for start in (0, BLOCK, 0, 3 * BLOCK):
        call.get_range(store, "object", start, start + 10)
    call.get_range(store, "object", 0, 5 * BLOCK)
    info = store.cache_info()
    assert (info.hits, info.misses, info.joined, info.revalidations, info.evictions) == (4, 5, 0, 4, 1)
    assert (info.bytes_fetched, info.bytes_served, info.bytes_kept) == (5 * BLOCK, 5 * BLOCK + 40, 4 * BLOCK)
    assert [tier.name for tier in info.tiers] == [repr(memory), repr(disk)]
    assert [(tier.hits, tier.misses) for tier in info.tiers] == [(4, 5), (0, 5)]
    assert (info.tiers[0].size, info.tiers[0].max_size) == (4 * BLOCK, 4 * BLOCK)
    assert 5 * BLOCK < info.tiers[1].size < 6 * BLOCK  # type: ignore[operator]
    assert info.requests == len(remote.log())
    assert f"hits=4, misses=5, joined=0, evictions=1, requests={info.requests}, revalidations=4" in repr(info)
    assert "bytes fetched  320 KiB" in str(info)
    shown = store._repr_html_()
    assert shown == info._repr_html_()
    assert "<th>bytes fetched</th><td>320 KiB</td>" in shown
    assert "&lt;cache&gt;" in shown
    other = pickle.loads(pickle.dumps(store))
    assert other.cache_info().hits == 0


@pytest.mark.parametrize("block_size", [None, BLOCK])
def test_what_others_have_put_out_of_memory_is_told(remote: Remote, call: Sync | Async, block_size: Any) -> None:
    paths = PATHS[:4]
    for path in paths:
        remote.put(path, BLOCK)
    store = CachingReadableStore(remote.store, 2 * BLOCK + 10, block_size=block_size)
    failed = call.prefetch(store, paths)
    assert set(failed) | set(store.cached_paths) == set(paths)
    assert len(failed) == len(store.cached_paths) == 2
    assert all("evicted from memory by other objects" in str(error) for error in failed.values())
    asked = len(remote.log())
    for path in store.cached_paths:
        call.get(store, path)
    assert len(remote.log()) == asked


def test_shared_caches_are_not_asked_whether_they_have_kept_it(
    remote: Remote, call: Sync | Async, tmp_path: Path
) -> None:
    remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, cache=[MemoryCache(BLOCK), DiskCache(tmp_path, 10 * SIZE)])
    assert call.prefetch(store, ["object"]) == {}
    assert store.cached_paths == []
