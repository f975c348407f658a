"""The lock of the counter of the cache on disk, seen from one process."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from obspec_utils.caches import DiskCache
from obspec_utils.caches.disk._eviction import FileLock
from tests.unit._disk import FOLDER, files

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "lock"
    path.touch()
    return path


def opened(path: Path) -> FileLock:
    return FileLock(os.open(path, os.O_RDWR))


def test_one_at_a_time_holds_a_file(path: Path) -> None:
    lock, other = opened(path), opened(path)
    assert lock.acquire()
    assert not other.acquire()
    lock.release()
    lock.release()
    assert other.acquire()
    lock.release()  # an old one: it ends nothing
    assert not opened(path).acquire()
    del other
    assert opened(path).acquire()


def test_a_copy_in_a_forked_child_ends_nothing(path: Path) -> None:
    lock = opened(path)
    assert lock.acquire()
    copied = FileLock(os.dup(lock.file))  # as the child's
    copied._reset_after_fork()
    copied._reset_after_fork()
    copied.release()
    assert not opened(path).acquire()


def test_a_lock_that_is_released_is_not_kept_by_a_child_s_copy(path: Path) -> None:
    lock = opened(path)
    assert lock.acquire()
    copied = os.dup(lock.file)  # as in a child that has not yet closed it
    lock.release()
    assert opened(path).acquire()
    os.close(copied)


def test_a_lock_that_is_never_released_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = DiskCache(tmp_path, MIB)
    for key in "abcd":
        cache.put(key, b"value")
    waited: list[float] = []
    now = time.monotonic()
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(time, "monotonic", lambda: now + sum(waited))
    lock = opened(tmp_path / FOLDER / "counter")
    assert lock.acquire()
    with pytest.warns(RuntimeWarning, match=r"counter has been locked by another process for 2 s"):
        cache.put("a", b"new value")
    assert 2 <= sum(waited) < 2.1
    done = sum(waited)
    cache.put("e", b"value")
    cache.delete("b")
    assert [cache.get(key) for key in "abcde"] == [None, None, b"value", b"value", None]
    cache.clear()
    assert files(tmp_path) == []
    assert sum(waited) == done
    lock.release()
    waited.append(10)  # the circuit breaker closes
    cache.put("a", b"value")
    assert cache.get("a") == b"value"
