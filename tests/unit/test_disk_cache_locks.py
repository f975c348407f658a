"""The lock of the counter of the cache on disk, seen from one process."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from obspec_utils.caches import DiskCache
from obspec_utils.caches.disk._eviction import _locked
from obspec_utils.caches.disk._paths import Folder, open_folder
from tests.unit._disk import FOLDER, descriptors, files

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return open_folder(str(tmp_path), make=True)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits, which take no time."""
    waited: list[float] = []
    now = time.monotonic()
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(time, "monotonic", lambda: now + sum(waited))
    return waited


@pytest.mark.usefixtures("clock")
def test_one_at_a_time_holds_the_lock(folder: Folder) -> None:
    with _locked(folder), pytest.raises(TimeoutError, match="locked by another process"), _locked(folder):
        pass
    with pytest.raises(KeyError), _locked(folder):
        raise KeyError
    with _locked(folder):
        pass


@pytest.mark.usefixtures("clock")
def test_a_removed_file_is_not_a_lock(folder: Folder) -> None:
    with _locked(folder) as first:
        folder.remove("counter")
        with _locked(folder) as second:
            assert os.fstat(first).st_ino != os.fstat(second).st_ino


@pytest.mark.usefixtures("clock")
def test_a_lock_that_is_released_is_not_kept_by_a_child_s_copy(folder: Folder) -> None:
    with _locked(folder) as file:
        copied = os.dup(file)  # as in a child forked meanwhile
    with _locked(folder):
        os.close(copied)


def test_locks_leave_no_descriptors(folder: Folder, clock: list[float]) -> None:
    before = descriptors()
    for error in (KeyboardInterrupt, None):
        with suppress(KeyboardInterrupt), _locked(folder):
            with suppress(TimeoutError), _locked(folder):
                pass
            if error:
                raise error
    assert clock
    assert descriptors() == before


def test_a_lock_that_is_never_released_is_waited_for_once(tmp_path: Path, clock: list[float]) -> None:
    cache = DiskCache(tmp_path, MIB)
    for key in "abcd":
        cache.put(key, b"value")
    lock = (tmp_path / FOLDER / "counter").open("r+b")
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.warns(RuntimeWarning, match=r"counter has been locked by another process for 2 s"):
        cache.put("a", b"new value")
    assert 2 <= sum(clock) < 2.1
    done = sum(clock)
    cache.put("e", b"value")
    cache.delete("b")
    assert [cache.get(key) for key in "abcde"] == [None, None, b"value", b"value", None]
    cache.clear()
    assert files(tmp_path) == []
    assert sum(clock) == done
    lock.close()
    clock.append(10)  # the circuit breaker closes
    cache.put("a", b"value")
    assert cache.get("a") == b"value"
