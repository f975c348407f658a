"""Leases and locks of the cache on disk, seen from one process."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from obspec_utils.caches import _disk_budget, _disk_lock
from obspec_utils.caches._disk import DiskCache
from tests.unit._disk import age, files, leases

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path, MIB)


def test_one_at_a_time_has_the_lease_of_a_key(cache: DiskCache, tmp_path: Path) -> None:
    lease = cache.lease("a")
    other = cache.lease("b")
    assert cache.lease("a") is None
    assert DiskCache(tmp_path, MIB).lease("a") is None
    lease.release()
    lease.release()
    again = cache.lease("a")
    assert again is not None
    lease.release()  # an old one: it ends nothing
    assert cache.lease("a") is None
    again.release()
    other.release()
    assert leases(tmp_path) == []


def test_threads_agree_on_who_has_it(cache: DiskCache, tmp_path: Path) -> None:
    inside, most, taken = [], [], []

    def take() -> None:
        for _ in range(300):
            lease = cache.lease("a")
            if lease is not None:
                inside.append(1)
                most.append(len(inside))
                inside.pop()
                taken.append(1)
                lease.release()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert max(most) == 1
    assert len(taken) > 10
    assert leases(tmp_path) == []


def test_a_lease_that_is_dropped_ends(cache: DiskCache, tmp_path: Path) -> None:
    lease = cache.lease("a")
    del lease
    assert len(leases(tmp_path)) == 1  # as after a kill: empty, and free
    again = cache.lease("a")
    again.release()
    assert leases(tmp_path) == []


def test_leases_without_a_holder_are_removed_when_room_is_made(cache: DiskCache, tmp_path: Path) -> None:
    held, dropped = cache.lease("a"), cache.lease("b")
    del dropped
    assert len(leases(tmp_path)) == 2
    age(tmp_path)
    for number in range(30):
        cache.put(str(number), bytes(100_000))
    assert len(leases(tmp_path)) == 1
    assert cache.lease("a") is None
    held.release()


def test_who_makes_room_does_not_get_in_the_way_of_who_is_about_to_take_a_lease(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, tries = _disk_lock.Held.lock, []

    def slow(held: _disk_lock.Held) -> bool:
        if "leases" in held.path:
            tries.append(held.path)
            if len(tries) == 1:  # its file is there, but not locked yet
                other = threading.Thread(target=make_room)
                other.start()
                other.join(30)
        return lock(held)

    def make_room() -> None:
        with cache._budget.locked() as ledger:
            ledger._look()

    cache.put("b", b"value")
    monkeypatch.setattr(_disk_lock.Held, "lock", slow)
    lease = cache.lease("a")
    assert lease is not None
    assert len(tries) == 1  # nobody else has had it
    lease.release()


def test_a_file_that_was_removed_before_it_was_locked_is_not_the_lease(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cache.lease("a")
    lock, later = _disk_lock.Held.lock, []

    def slow(held: _disk_lock.Held) -> bool:
        if not later:
            later.append(None)
            first.release()  # between the opening of its file and the locking
            later[0] = cache.lease("a")
        return lock(held)

    monkeypatch.setattr(_disk_lock.Held, "lock", slow)
    assert cache.lease("a") is None
    assert later[0] is not None
    later[0].release()


def test_a_lease_does_not_remove_another_one_s_file(cache: DiskCache, tmp_path: Path) -> None:
    lease = cache.lease("a")
    leases(tmp_path)[0].unlink()
    other = cache.lease("a")
    lease.release()
    assert cache.lease("a") is None
    other.release()


def test_a_file_that_is_always_removed_before_it_is_locked_is_given_up(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_disk_lock.Held, "is_named", lambda held: False)
    assert cache.lease("a") is None


def test_a_copy_in_a_forked_child_ends_nothing(cache: DiskCache) -> None:
    lease = cache.lease("a")
    held = lease._held
    copied = _disk_lock.Held(held.path, os.dup(held.file))  # as the child's
    copied._reset_after_fork()
    copied._reset_after_fork()
    copied.remove()
    assert cache.lease("a") is None
    lease.release()


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
