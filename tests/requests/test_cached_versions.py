"""How long a cached version is trusted, and what is asked then: counted at the server."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from obstore.store import LocalStore, MemoryStore

from obspec_utils.caches import DiskCache, MemoryCache
from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore
from tests.servers import random_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from ._ways import Async, Sync
    from .conftest import Remote

BLOCK = 64 * 1024
SIZE = 10 * BLOCK
KINDS = [None, BLOCK, "auto"]


@pytest.fixture(params=KINDS, ids=str)
def block_size(request: pytest.FixtureRequest) -> Any:
    return request.param


def answers(remote: Remote) -> list[tuple[int, int]]:
    """Return status and body bytes of each answer since the last clear."""
    found = [(request.status, request.sent if request.status != 304 else 0) for request in remote.log()]
    remote.server.clear()
    return found


def test_by_default_a_version_is_trusted_until_it_is_cleared(
    remote: Remote, call: Sync | Async, block_size: Any
) -> None:
    old = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=block_size)
    assert call.get(store, "object") == old
    new = remote.put("object", SIZE, seed=2)
    assert call.get(store, "object") == old
    assert call.head(store, "object")["size"] == SIZE
    assert answers(remote) == []
    store.clear_cache()
    assert call.get(store, "object") == new


@pytest.mark.parametrize("tag", ["strong", "weak", "none"])
def test_an_old_version_costs_one_conditional_request(
    remote: Remote, call: Sync | Async, block_size: Any, tag: str
) -> None:
    if tag != "strong":
        remote.server.add_fault("weak_etag" if tag == "weak" else "no_etag")
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=block_size, max_age=0)
    assert call.get_range(store, "object", 5, 50) == content[5:50]
    answers(remote)
    for _ in range(3):
        assert call.get_range(store, "object", 5, 50) == content[5:50]
        assert answers(remote) == [(304, 0)]
    assert store.cache_info().revalidations == 3


def test_a_new_version_drops_all_of_the_old_one(remote: Remote, call: Sync | Async, block_size: Any) -> None:
    remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=block_size, max_age=timedelta(0))
    call.get(store, "object")
    new = remote.put("object", SIZE - 1000, seed=2)
    assert call.get_range(store, "object", 5, 50) == new[5:50]
    assert len(answers(remote)) == 1
    assert store.cache_size == (BLOCK if block_size == BLOCK else len(new))
    assert call.get(store, "object") == new
    remote.server.add_fault("delete", "bucket/object", times=1)
    with pytest.raises(FileNotFoundError):
        call.get(store, "object")
    assert store.cached_paths == []


def test_within_its_age_a_version_is_not_asked_for(remote: Remote, call: Sync | Async, block_size: Any) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=block_size, max_age=timedelta(hours=1))
    assert call.get(store, "object") == content
    answers(remote)
    assert call.get(store, "object") == content
    assert call.head(store, "object")["size"] == SIZE
    assert answers(remote) == []
    known = store._entries.find("object")
    assert known is not None
    known.validated_at -= 3601
    assert call.get(store, "object", if_match=known.meta["e_tag"]) == content
    assert answers(remote)[0][0] in {200, 206}  # a conditional request of the user's own passes through
    assert call.get(store, "object") == content
    assert answers(remote) == [(304, 0)]


def test_without_any_version_what_is_old_is_fetched_again(remote: Remote, call: Sync | Async) -> None:
    remote.server.add_fault("no_etag")
    remote.server.add_fault("no_last_modified")
    remote.put("object", SIZE)
    store = CachingReadableStore(remote.server.http_store("bucket"), block_size=BLOCK, max_age=0)
    call.get_range(store, "object", 0, 10)
    new = remote.put("object", SIZE, seed=2)
    assert call.get_range(store, "object", 0, 10) == new[:10]


def test_a_version_checked_before_a_read_began_is_too_old_for_it(remote: Remote, block_size: Any) -> None:
    """With max_age=0, an answer is never older than the call, whoever else is asking at that time."""
    remote.put("object", SIZE, seed=0)
    store = CachingReadableStore(remote.store, block_size=block_size, max_age=0)
    store.get("object").buffer()
    remote.server.configure(latency=0.02)
    versions = [random_bytes(SIZE, seed)[:20] for seed in range(40)]
    latest = 0
    wrong: list[tuple[int, int]] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            least = latest
            found = versions.index(bytes(store.get_range("object", start=0, end=20)))
            if found < least:
                wrong.append((found, least))

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read) for _ in range(6)]
        for seed in range(1, 40):
            remote.server.put_random("bucket/object", SIZE, seed)
            latest = seed
        stop.set()
        for reader in readers:
            reader.result(10)
    assert wrong == []


def test_blocks_of_two_versions_are_never_mixed(remote: Remote, call: Sync | Async) -> None:
    old = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    assert call.get_range(store, "object", 0, 3 * BLOCK) == old[: 3 * BLOCK]
    new = remote.put("object", SIZE, seed=2)
    assert call.get_range(store, "object", 0, 3 * BLOCK) == old[: 3 * BLOCK]  # trusted until evicted
    assert call.get_range(store, "object", 2 * BLOCK, 5 * BLOCK) == new[2 * BLOCK : 5 * BLOCK]
    assert call.get_range(store, "object", 0, 3 * BLOCK) == new[: 3 * BLOCK]
    assert call.get(store, "object") == new


def test_an_object_replaced_between_the_requests_of_a_read_is_read_anew(remote: Remote, call: Sync | Async) -> None:
    old, new = bytes(remote.put("object", SIZE)), bytes(random_bytes(SIZE, 9))
    store = CachingReadableStore(
        SplittingReadableStore(remote.store, request_size=BLOCK, max_concurrent_requests=2), block_size=BLOCK
    )
    remote.server.add_fault("replace", "bucket/object", skip=2, times=1, data=new)
    found = call.get_range(store, "object", 0, SIZE)
    assert found in {old, new}
    assert call.get_range(store, "object", 0, SIZE) == new
    assert store.cache_size == SIZE


def test_an_object_replaced_again_and_again_is_answered_by_the_store(remote: Remote, call: Sync | Async) -> None:
    remote.put("object", SIZE)
    below = SplittingReadableStore(remote.store, request_size=BLOCK, max_concurrent_requests=1)
    store = CachingReadableStore(below, block_size=BLOCK)
    for number in range(8):
        remote.server.add_fault("replace", "bucket/object", skip=number, times=1, data=random_bytes(SIZE, number + 50))
    versions = [random_bytes(SIZE, number + 50) for number in range(8)]
    assert call.get_range(store, "object", 0, SIZE) in versions


def test_a_lazy_result_stays_with_its_version(remote: Remote, call: Sync | Async) -> None:
    remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, SIZE, block_size=BLOCK)
    result = store.get("object")
    remote.put("object", SIZE, seed=2)
    with pytest.raises(ObjectChangedError, match="'object' changed"):
        result.buffer()
    assert call.get(store, "object") == random_bytes(SIZE, 2)


@pytest.mark.parametrize("shared", [False, True])
def test_what_is_changed_through_the_store_is_forgotten_at_once(
    tmp_path: Path,
    call: Sync | Async,
    block_size: Any,
    shared: bool,  # noqa: FBT001
) -> None:
    (tmp_path / "data").mkdir()
    caches = [MemoryCache(10 * SIZE), *([DiskCache(tmp_path / "cache", 10**8)] if shared else [])]
    store = CachingReadableStore(LocalStore(tmp_path / "data"), block_size=block_size, cache=caches)
    for content in (b"a" * SIZE, b"b" * SIZE, b"c" * 10, b"d" * SIZE):
        store.put("object", content)
        os.utime(tmp_path / "data" / "object", (10**9, 10**9 + content[0]))
        assert call.get_range(store, "object", 1, 9) == content[1:9]
        assert call.get(store, "object") == content
        assert call.head(store, "object")["size"] == len(content)
    store.delete("object")
    with pytest.raises(FileNotFoundError):
        call.get(store, "object")


def test_clearing_has_shared_versions_checked_again(remote: Remote, call: Sync | Async, tmp_path: Path) -> None:
    remote.put("object", SIZE)
    caches = [MemoryCache(10 * SIZE), DiskCache(tmp_path, 10**8)]
    store = CachingReadableStore(remote.store, block_size=BLOCK, cache=caches)
    call.get(store, "object")
    answers(remote)
    store.clear_cache()
    call.get(store, "object")
    assert answers(remote) == [(304, 0)]  # the bytes are on disk
    new = remote.put("object", SIZE, seed=2)
    store.clear_cache()
    assert call.get(store, "object") == new


def test_a_memory_store_is_revalidated_too(call: Sync | Async, block_size: Any) -> None:
    below = MemoryStore()
    store = CachingReadableStore(below, block_size=block_size, max_age=0)
    for number in range(5):
        content = bytes([number]) * SIZE
        below.put("object", content)
        for _ in range(2):
            assert call.get_range(store, "object", 1, SIZE) == content[1:]
