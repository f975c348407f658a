"""Locked files of the cache on disk, seen from one process."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from obspec_utils.caches import _disk_budget, _disk_lock
from obspec_utils.caches._disk import DiskCache
from tests.unit._disk import files

MIB = 1 << 20


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path, MIB)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lock")


def test_one_at_a_time_holds_a_file(path: str) -> None:
    held = _disk_lock.hold(path)
    assert _disk_lock.hold(path) is None
    held.close()
    held.close()
    again = _disk_lock.hold(path)
    assert again is not None
    held.close()  # an old one: it ends nothing
    assert _disk_lock.hold(path) is None
    del again
    last = _disk_lock.hold(path)
    last.remove()
    assert not Path(path).exists()


def test_a_file_that_was_removed_before_it_was_locked_is_not_held(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _disk_lock.hold(path)
    lock, later = _disk_lock.Held.lock, []

    def slow(held: _disk_lock.Held) -> bool:
        if not later:
            later.append(None)
            first.remove()  # between the opening of the file and the locking
            later[0] = _disk_lock.hold(path)
        return lock(held)

    monkeypatch.setattr(_disk_lock.Held, "lock", slow)
    assert _disk_lock.hold(path) is None
    assert later[0] is not None
    later[0].close()


def test_who_holds_a_file_does_not_remove_another_one_of_that_name(path: str) -> None:
    held = _disk_lock.hold(path)
    Path(path).unlink()
    other = _disk_lock.hold(path)
    held.remove()
    assert _disk_lock.hold(path) is None
    assert Path(path).exists()
    other.close()


def test_a_file_that_is_always_removed_before_it_is_locked_is_given_up(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_disk_lock.Held, "is_named", lambda held: False)
    assert _disk_lock.hold(path) is None


def test_a_copy_in_a_forked_child_ends_nothing(path: str) -> None:
    held = _disk_lock.hold(path)
    copied = _disk_lock.Held(held.path, os.dup(held.file))  # as the child's
    copied._reset_after_fork()
    copied._reset_after_fork()
    copied.remove()
    assert _disk_lock.hold(path) is None
    held.close()


def test_a_lock_that_is_given_back_is_not_kept_by_a_child_s_copy(tmp_path: Path) -> None:
    held = _disk_lock.hold(str(tmp_path / "lock"))
    copied = os.dup(held.file)  # as in a child that has not yet closed it
    held.close()
    again = _disk_lock.hold(str(tmp_path / "lock"))
    assert again is not None
    again.close()
    os.close(copied)


def test_a_lock_that_is_never_given_back_is_waited_for_once(
    cache: DiskCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in "abcd":
        cache.put(key, b"value")
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(_disk_budget, "_PATIENCE", 0.1)
    held = _disk_lock.hold(str(tmp_path / "obspec-utils-1" / "budget"))
    cache.put("a", b"new value")
    assert waited
    waited.clear()
    cache.put("e", b"value")
    cache.delete("b")
    assert [cache.get(key) for key in "abcde"] == [None, None, b"value", b"value", None]
    cache.clear()
    assert files(tmp_path) == []
    assert waited == []
    held.close()
    cache.put("a", b"value")
    assert cache.get("a") == b"value"


def test_a_value_whose_lock_is_lost_before_it_gets_its_name_is_not_kept(
    cache: DiskCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.put("a", b"old value")
    wait, calls = _disk_lock.wait, []
    monkeypatch.setattr(
        _disk_lock, "wait", lambda *what: calls.append(what) or (wait(*what) if len(calls) == 1 else None)
    )
    cache.put("a", b"new value")
    assert len(calls) == 2
    assert files(tmp_path) == []
