"""Where read-ahead of the block cache ends: switched off, copied, failing, of another version, in shared caches."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
from obstore.exceptions import PermissionDeniedError

from obspec_utils.caches import DiskCache, MemoryCache
from obspec_utils.wrappers import CachingReadableStore

from ._sequences import BLOCK, SIZE, STEP, blocks, read

if TYPE_CHECKING:
    from pathlib import Path

    from ._ways import Async, Sync
    from .conftest import Remote


def test_read_ahead_can_be_switched_off(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK, read_ahead=False)
    read(call, store, content, range(0, SIZE, STEP))
    assert remote.ranges() == blocks(*range(42))
    remote.server.clear()
    read(call, copy.copy(store), content, range(0, SIZE, STEP))
    assert remote.ranges() == blocks(*range(42))


def test_copies_begin_anew(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    read(call, store, content, range(0, 4 * BLOCK, BLOCK))
    remote.server.clear()
    read(call, copy.copy(store), content, [4 * BLOCK])
    assert remote.ranges() == blocks(4, 5)
    store.clear_cache()
    remote.server.clear()
    read(call, store, content, [4 * BLOCK])
    assert remote.ranges() == blocks(4, 5)


def test_a_request_that_fails_ahead_fails_no_read(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    read(call, store, content, range(0, 4 * BLOCK, BLOCK))
    remote.server.add_fault("status", status=403, covers=6 * BLOCK + 5, times=None)
    remote.server.clear()
    read(call, store, content, [4 * BLOCK])
    assert remote.ranges() == [*blocks(4, 5), *blocks(4, 8)]
    read(call, store, content, [5 * BLOCK])
    with pytest.raises(PermissionDeniedError):
        call.get_range(store, "object", 6 * BLOCK, 7 * BLOCK)
    remote.server.clear_faults()
    remote.server.clear()
    read(call, store, content, range(6 * BLOCK, SIZE, STEP))
    assert sum(request.sent for request in remote.log()) == SIZE - 6 * BLOCK


def test_a_response_read_before_a_failure_ahead_is_not_read_again(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    remote.server.add_fault("refuse_conditions", status=501, times=None)
    store = CachingReadableStore(remote.store, block_size=BLOCK, max_age=0)
    read(call, store, content, range(0, 4 * BLOCK, BLOCK))
    remote.server.add_fault("status", status=403, covers=6 * BLOCK + 5, times=None)
    remote.server.clear()
    read(call, store, content, [4 * BLOCK])
    assert remote.ranges() == [*blocks(4, 5) * 2, *blocks(5, 8)]


def test_a_missing_object_is_requested_once(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    read(call, store, content, range(0, 4 * BLOCK, BLOCK))
    remote.server.add_fault("delete", times=1)
    remote.server.clear()
    with pytest.raises(FileNotFoundError):
        call.get_range(store, "object", 4 * BLOCK, 5 * BLOCK)
    assert len(remote.log()) == 1


def test_a_changed_object_is_read_in_its_new_version(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    read(call, store, content, range(0, 4 * BLOCK, BLOCK))
    changed = remote.put("object", SIZE, seed=2)
    read(call, store, changed, [4 * BLOCK])
    assert remote.ranges() == [*blocks(4, 5), *blocks(4, 8)]
    read(call, store, changed, range(4 * BLOCK, SIZE, STEP))
    read(call, store, changed, range(0, SIZE, STEP))


def test_revalidation_does_not_end_a_sequence(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK, max_age=0)
    read(call, store, content, range(0, SIZE, BLOCK))
    assert sum(request.sent for request in remote.log() if request.status == 206) == SIZE
    assert len([request for request in remote.log() if request.status == 206]) == 7


def test_stores_that_share_a_disk_fetch_once(remote: Remote, call: Sync | Async, tmp_path: Path) -> None:
    content = remote.put("object", SIZE)
    for _ in range(2):
        caches = [MemoryCache(), DiskCache(tmp_path, 10**9)]
        store = CachingReadableStore(remote.store, block_size=BLOCK, cache=caches, namespace="here")
        read(call, store, content, range(0, SIZE, STEP))
        assert remote.ranges() == blocks(0, 1, 2, 4, 8, 16, 32, 41)
    assert store.cache_info().bytes_fetched == 0
