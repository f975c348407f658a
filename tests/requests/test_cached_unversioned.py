"""Objects that tell neither an ETag nor a date: what a cache keeps of them is never of two versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils.caches import MemoryCache
from obspec_utils.wrappers import CachingReadableStore
from tests.servers import ObjectServer, random_bytes

if TYPE_CHECKING:
    from ._ways import Async, Sync

BLOCK = 16 * 1024
SIZE = 10 * BLOCK
OLD, NEW = (bytes(random_bytes(SIZE, seed)) for seed in (1, 2))


@pytest.fixture(params=[None, BLOCK, "auto"], ids=str)
def block_size(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def server(object_server: ObjectServer) -> ObjectServer:
    object_server.add_fault("no_etag")
    object_server.add_fault("no_last_modified")
    object_server.put("bucket/object", OLD)
    return object_server


def over(server: ObjectServer, **options: Any) -> CachingReadableStore[Any]:
    return CachingReadableStore(server.http_store("bucket"), **options)


def test_what_is_read_later_is_of_the_same_version(server: ObjectServer, call: Sync | Async, block_size: Any) -> None:
    store = over(server, block_size=block_size)
    assert call.get_range(store, "object", 0, 10) == OLD[:10]
    server.put("bucket/object", NEW)
    assert call.get(store, "object") == OLD
    assert call.get_range(store, "object", BLOCK - 5, 3 * BLOCK) == OLD[BLOCK - 5 : 3 * BLOCK]
    store.clear_cache()
    assert call.get(store, "object") == NEW


def test_what_is_checked_again_is_fetched_again(server: ObjectServer, call: Sync | Async, block_size: Any) -> None:
    store = over(server, block_size=block_size, max_age=60)
    result = store.get("object")
    server.put("bucket/object", NEW)
    assert bytes(result.buffer()) == OLD
    assert call.get(store, "object") == OLD
    known = store._entries.find("object")
    assert known is not None
    known.validated_at -= 61
    assert call.get_range(store, "object", 0, 10) == NEW[:10]
    assert call.get_range(store, "object", BLOCK, SIZE) == NEW[BLOCK:]
    assert call.get(store, "object") == NEW
    assert store.cache_size == SIZE


@pytest.mark.parametrize("max_size", [BLOCK, SIZE - 1])
def test_ranges_of_one_that_is_too_large_are_of_one_answer(
    server: ObjectServer, call: Sync | Async, max_size: int
) -> None:
    store = over(server, max_size=max_size, block_size=BLOCK)
    server.clear()
    found = call.get_ranges(store, "object", [5, 8 * BLOCK], [25, 9 * BLOCK])
    assert found == [OLD[5:25], OLD[8 * BLOCK : 9 * BLOCK]]
    assert [(it.start, it.stop) for it in server.log()][-1] == (5, 9 * BLOCK)
    assert store.cache_size == 0


def test_a_large_one_is_not_read_by_windows(
    server: ObjectServer, call: Sync | Async, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("obspec_utils.wrappers.caching._origin._WINDOW", 2 * BLOCK)
    store = CachingReadableStore(server.http_store("bucket"), cache=MemoryCache(2 * SIZE), block_size=BLOCK)
    result = store.get("object")
    server.put("bucket/object", NEW)
    assert bytes(result.buffer()) == OLD
    assert call.get(store, "object") == OLD
