"""What a caching store compares: its revalidation, its blocks, and what it shares with others."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils._version import CHECK_VERSION
from obspec_utils.caches import DiskCache, MemoryCache, RedisCache
from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.readers import EagerStoreReader
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.redis_server import RedisServer

    from ._ways import Async, Sync
    from .conftest import Remote

BLOCK = 64 * 1024
SIZE = 10 * BLOCK


@pytest.fixture(params=[None, BLOCK], ids=str)
def block_size(request: pytest.FixtureRequest) -> Any:
    return request.param


def age(store: CachingReadableStore) -> None:
    """Make what a store has validated too old."""
    known = store._entries.find("object")
    assert known is not None
    known.validated_at -= 1000


@pytest.mark.parametrize(("fault", "check_version"), [("vary_etag", "date"), ("vary_last_modified", "etag")])
def test_what_is_cached_of_a_server_whose_validators_vary(
    remote: Remote, call: Sync | Async, block_size: Any, fault: Any, check_version: Any
) -> None:
    content = remote.put("object", SIZE)
    remote.server.add_fault(fault)
    below = SplittingReadableStore(remote.store, request_size=BLOCK, check_version=check_version)
    store = CachingReadableStore(below, block_size=block_size, check_version=check_version)
    assert call.get_range(store, "object", 0, BLOCK) == content[:BLOCK]
    assert call.get_range(store, "object", 0, 3 * BLOCK) == content[: 3 * BLOCK]
    assert call.get(store, "object") == content
    assert sum(request.sent for request in remote.log()) == SIZE


@pytest.mark.parametrize(("fault", "check_version"), [("vary_etag", "date"), ("vary_last_modified", "etag")])
def test_the_condition_is_what_is_compared(
    remote: Remote, call: Sync | Async, block_size: Any, fault: Any, check_version: Any
) -> None:
    """A server whose ETags vary never answers 304 to If-None-Match, but does to If-Modified-Since."""
    content = remote.put("object", SIZE)
    remote.server.add_fault(fault)
    store = CachingReadableStore(remote.store, block_size=block_size, max_age=0, check_version=check_version)
    assert call.get(store, "object") == content
    remote.server.clear()
    for _ in range(2):
        assert call.get(store, "object") == content
        assert remote.statuses() == [304]
    new = remote.put("object", SIZE, seed=2)
    assert call.get_range(store, "object", 5, 50) == new[5:50]
    assert call.get(store, "object") == new
    assert store.cache_size == SIZE


@pytest.mark.parametrize("check_version", ["auto", "etag"])
def test_by_etag_such_a_server_is_fetched_again(remote: Remote, call: Sync | Async, check_version: Any) -> None:
    content = remote.put("object", SIZE)
    remote.server.add_fault("vary_etag")
    store = CachingReadableStore(remote.store, max_age=0, check_version=check_version)
    for _ in range(2):
        assert call.get(store, "object") == content
        assert remote.statuses() == [200]


def test_by_size_alone_objects_are_cached_whole_and_fetched_again(
    remote: Remote, call: Sync | Async, block_size: Any, tmp_path: Path
) -> None:
    content = remote.put("object", SIZE)
    remote.server.add_fault("refuse_conditions", status=400)  # which a conditional request would show
    caches = [MemoryCache(10 * SIZE), DiskCache(tmp_path, 10**8)]
    store = CachingReadableStore(remote.store, block_size=block_size, cache=caches, max_age=60, check_version="size")
    assert call.get(store, "object") == content
    assert call.get_range(store, "object", 5 * BLOCK, 7 * BLOCK) == content[5 * BLOCK : 7 * BLOCK]
    assert len(remote.statuses()) == 1
    assert caches[1].size == 0
    new = remote.put("object", SIZE, seed=2)
    age(store)
    assert call.get(store, "object") == new
    assert {200, 206} >= set(remote.statuses())


@pytest.mark.parametrize("kind", ["disk", "redis"])
def test_shared_caches_keep_versions_apart_by_what_is_compared(
    remote: Remote, call: Sync | Async, kind: str, tmp_path: Path, redis_server: RedisServer
) -> None:
    cache = DiskCache(tmp_path, 10**8) if kind == "disk" else RedisCache(redis_server.url)
    remote.server.add_fault("vary_etag")
    old = remote.put("object", SIZE)
    store = CachingReadableStore(
        remote.store, block_size=BLOCK, cache=cache, namespace="n", max_age=0, check_version="date"
    )
    assert call.get_range(store, "object", 0, 2 * BLOCK) == old[: 2 * BLOCK]
    remote.server.clear()
    another = copy.copy(store)
    assert call.get_range(another, "object", 0, 2 * BLOCK) == old[: 2 * BLOCK]
    assert remote.statuses() == [304]  # the blocks are shared
    new = remote.put("object", SIZE, seed=2)
    assert call.get_range(another, "object", BLOCK, 3 * BLOCK) == new[BLOCK : 3 * BLOCK]
    assert call.get_range(store, "object", 0, 3 * BLOCK) == new[: 3 * BLOCK]


def test_stores_that_compare_different_things_share_nothing(remote: Remote, call: Sync | Async, tmp_path: Path) -> None:
    """A version that one store validated by its date may have another ETag by then."""
    content = remote.put("object", SIZE)
    cache = DiskCache(tmp_path, 10**8)
    for check_version in CHECK_VERSION:
        for sent in (SIZE, SIZE if check_version == "size" else 0):
            store = CachingReadableStore(remote.store, cache=cache, namespace="n", check_version=check_version)
            assert call.get(store, "object") == content
            assert sum(request.sent for request in remote.log()) == sent
            remote.server.clear()


def test_stores_that_compare_sizes_do_not_vouch_for_each_other(
    remote: Remote, call: Sync | Async, tmp_path: Path
) -> None:
    remote.put("object", SIZE)
    caches = [MemoryCache(10 * SIZE), DiskCache(tmp_path, 10**8)]
    one = CachingReadableStore(remote.store, cache=caches, max_age=60, check_version="size")
    other = copy.copy(one)
    call.get(one, "object")
    call.get(other, "object")
    new = remote.put("object", SIZE, seed=2)
    age(one)
    age(other)
    assert call.get(one, "object") == new
    assert call.get(other, "object") == new


def test_a_reader_over_a_cache_needs_the_option_itself(remote: Remote) -> None:
    content = remote.put("object", SIZE)
    remote.server.add_fault("vary_etag")
    # What is larger than the cache passes through, with the ETag of that response.
    store = CachingReadableStore(remote.store, BLOCK, block_size=BLOCK, check_version="date")
    with pytest.raises(ObjectChangedError, match="check_version='date'"):
        EagerStoreReader(store, "object", request_size=4 * BLOCK).read()
    assert EagerStoreReader(store, "object", request_size=4 * BLOCK, check_version="date").read() == content
