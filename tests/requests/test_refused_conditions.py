"""Services that refuse conditional requests: revalidated without a condition, once that is noticed."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError

from obspec_utils.caches import DiskCache, MemoryCache
from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.readers import ParallelStoreReader
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import ObjectServer

    from ._ways import Async, Sync
    from .conftest import Remote

BLOCK = 64 * 1024
SIZE = 10 * BLOCK


@pytest.fixture(params=[None, BLOCK], ids=str)
def block_size(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("status", [400, 403, 501])
def test_a_refused_condition_is_left_out_from_then_on(
    remote: Remote, call: Sync | Async, block_size: Any, status: int
) -> None:
    remote.server.add_fault("refuse_conditions", status=status)
    content = remote.put("object", SIZE)
    other = remote.put("other", SIZE, seed=2)
    store = CachingReadableStore(remote.store, block_size=block_size, max_age=0)
    assert call.get_range(store, "object", 5, 50) == content[5:50]
    found = 200 if block_size is None else 206
    assert remote.statuses() == [found]
    assert call.get_range(store, "object", 5, 50) == content[5:50]
    # The first request of a range is retried once, unless the error is final.
    refused = [status] * (1 if block_size is None or status == 403 else 2)
    assert remote.statuses() == [*refused, found]
    assert call.get_range(store, "object", 5, 50) == content[5:50]
    assert remote.statuses() == [found]
    for _ in range(2):  # noticed for the store, not for each object
        assert call.get_range(store, "other", 5, 50) == other[5:50]
        assert remote.statuses() == [found]
    new = remote.put("object", SIZE, seed=3)
    assert call.get_range(store, "object", 5, 50) == new[5:50]
    assert remote.statuses() == [found]
    assert store.cache_info().revalidations == 4


@pytest.mark.parametrize("remote", ["http"], indirect=True)  # an S3Store needs ETags
def test_a_refused_date_is_left_out_too(remote: Remote, call: Sync | Async, block_size: Any) -> None:
    remote.server.add_fault("no_etag")
    remote.server.add_fault("refuse_conditions", status=403)
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=block_size, max_age=0)
    call.get(store, "object")
    for expected in (2, 1):
        remote.server.clear()
        assert call.get(store, "object") == content
        assert len(remote.statuses()) == expected


def test_what_is_cached_stays(remote: Remote, call: Sync | Async) -> None:
    remote.server.add_fault("refuse_conditions", status=403)
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK, max_age=0)
    assert call.get(store, "object") == content
    remote.server.clear()
    assert call.get_range(store, "object", 5 * BLOCK, 9 * BLOCK) == content[5 * BLOCK : 9 * BLOCK]
    assert len(remote.statuses()) == 2  # refused, and the one that is not conditional
    assert call.get_range(store, "object", 5 * BLOCK, 9 * BLOCK) == content[5 * BLOCK : 9 * BLOCK]
    assert remote.statuses() == [206]
    assert store.cache_info().misses == SIZE // BLOCK


def test_a_missing_permission_is_an_error_each_time(remote: Remote, call: Sync | Async, block_size: Any) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=block_size, max_age=0)
    call.get_range(store, "object", 5, 50)
    remote.server.add_fault("status", status=403)
    for _ in range(2):
        remote.server.clear()
        with pytest.raises(PermissionDeniedError):
            call.get_range(store, "object", 5, 50)
        assert remote.statuses() == [403, 403]
    remote.server.clear_faults()
    assert call.get_range(store, "object", 5, 50) == content[5:50]
    assert remote.statuses() == [304]  # nothing was noticed


@pytest.mark.parametrize("status", [404, 500, 503])
def test_other_errors_are_those_of_the_conditional_request(remote: Remote, call: Sync | Async, status: int) -> None:
    remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, max_age=0)
    call.get(store, "object")
    remote.server.clear()
    remote.server.add_fault("status", status=status)
    with pytest.raises((GenericError, FileNotFoundError)):
        call.get(store, "object")
    assert remote.statuses() == [status]


def test_through_parts_and_with_a_shared_cache(remote: Remote, call: Sync | Async, tmp_path: Path) -> None:
    remote.server.add_fault("refuse_conditions", status=501)
    content = remote.put("object", SIZE)
    caches = [MemoryCache(10 * SIZE), DiskCache(tmp_path, 10**8)]
    below = SplittingReadableStore(remote.store, request_size=BLOCK)
    store = CachingReadableStore(below, block_size=BLOCK, cache=caches, max_age=0)
    assert call.get(store, "object") == content
    remote.server.clear()
    for refused in (2, 0):
        assert call.get(store, "object") == content
        found = remote.statuses()
        assert found[:refused] == [501] * refused
        assert found[refused:] == [206]
    for another in (
        copy.copy(store),
        pickle.loads(pickle.dumps(store)),
    ):  # which notice it themselves, with bytes on disk
        assert call.get(another, "object") == content
        assert remote.statuses() == [501, 501, 206]


@pytest.mark.parametrize("status", [400, 403, 501])
def test_a_condition_refused_over_aiohttp_is_left_out_from_then_on(object_server: ObjectServer, status: int) -> None:
    object_server.put("bucket/object", b"x" * 1000)
    object_server.add_fault("refuse_conditions", status=status)
    store = CachingReadableStore(object_server.aiohttp_store("bucket"), max_age=0)
    for count in (1, 3, 4):  # the first revalidation is refused, and sent again
        assert bytes(store.get_range("object", start=0, length=10)) == b"x" * 10
        assert len(object_server.log()) == count


def test_etags_that_vary_are_not_compared_over_aiohttp(object_server: ObjectServer) -> None:
    content = bytes(range(250)) * 4000
    object_server.put("bucket/object", content)
    object_server.add_fault("vary_etag")
    store = object_server.aiohttp_store("bucket")
    for options in ({}, {"check_version": "date"}):
        with ParallelStoreReader(store, "object", 1000, **options) as file:
            assert file.read(10) == content[:10]
            file.seek(500_000)
            if options:
                assert file.read(10) == content[500_000:500_010]
            else:
                with pytest.raises(ObjectChangedError, match="check_version"):
                    file.read(10)
