"""Leases of the cache on disk, seen from one process."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
from typing import TYPE_CHECKING

import pytest

from obspec_utils.caches import DiskCache
from obspec_utils.caches.disk import _leases
from tests.unit._disk import FOLDER, descriptors, locks

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path, MIB)


@pytest.fixture
def leases(tmp_path: Path) -> Path:
    return tmp_path / FOLDER / "leases"


def test_one_at_a_time_has_the_lease_of_a_key(cache: DiskCache, tmp_path: Path, leases: Path) -> None:
    lease = cache.lease("a")
    other = cache.lease("b")
    assert cache.lease("a") is None
    assert DiskCache(tmp_path, MIB).lease("a") is None
    lease.release()
    lease.release()
    again = cache.lease("a")
    assert again is not None
    lease.release()  # an old one: it ends nothing
    del lease
    assert cache.lease("a") is None
    assert locks(leases) == 2
    again.release()
    other.release()
    assert locks(leases) == 0


def test_any_number_of_leases_takes_one_descriptor(cache: DiskCache, leases: Path) -> None:
    keys = [f"namespace/{path}/{number}" for path in "abcde" for number in range(1000)]
    before = descriptors()
    held = [cache.lease(key) for key in keys]
    assert None not in held
    assert descriptors() <= before + 1
    assert [key for key in keys if cache.lease(key) is not None] == []
    for lease in held[::2]:
        lease.release()
    again = {key: lease for key in keys if (lease := cache.lease(key)) is not None}
    assert list(again) == keys[::2]
    del held, again, lease
    assert locks(leases) == 0


def test_leases_of_neighbours_are_one_lock(cache: DiskCache, leases: Path) -> None:
    held = [cache.lease(f"namespace/path/{number}") for number in range(1000)]
    assert 1 <= locks(leases) <= 3  # by the length of the numbers
    for lease in held:
        lease.release()
    assert locks(leases) == 0


def test_each_key_has_an_offset_of_its_own() -> None:
    numbers = ["", *map(str, range(2000)), "00", "01", "001", "9" * 9, "9" * 10, "1" + "0" * 9, "8" * 5000]
    keys = [head + number for head in ["", "a", "a/", "b/", "a/1/", "a/1", "\udcff"] for number in numbers]
    assert len({_leases.lease_offset(key) for key in keys}) == len(set(keys))
    assert all(0 <= _leases.lease_offset(key) < 1 << 63 for key in keys)
    assert _leases.lease_offset("a/999") - _leases.lease_offset("a/100") == 899


def test_a_lease_that_is_dropped_ends(cache: DiskCache, leases: Path) -> None:
    lease = cache.lease("a")
    del lease
    assert locks(leases) == 0
    lease = cache.lease("a")
    circle = [lease]
    circle.append(circle)
    del lease, circle
    assert cache.lease("a") is None
    gc.collect()
    assert cache.lease("a") is not None


def test_a_lease_ends_wherever_it_is_dropped(cache: DiskCache, leases: Path) -> None:
    """As in a finalizer, while this very thread, or one that waits for it, is taking another one."""
    lease, other = cache.lease("a"), cache.lease("b")
    with _leases.lease_files._lock:
        lease.release()
        del other
    assert locks(leases) == 0


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("what", [fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_UN])
def test_a_lease_that_is_interrupted_ends(
    cache: DiskCache, leases: Path, monkeypatch: pytest.MonkeyPatch, what: int, when: str
) -> None:
    lockf, hits = fcntl.lockf, []

    def interrupted(file: int, operation: int, *where: int) -> None:
        hit = operation == what and not hits
        if hit:
            hits.append(operation)
        if not hit or when == "after":
            lockf(file, operation, *where)
        if hit:
            raise KeyboardInterrupt

    def use() -> None:
        cache.lease("a").release()

    monkeypatch.setattr(_leases.fcntl, "lockf", interrupted)
    with pytest.raises(KeyboardInterrupt):
        use()
    assert locks(leases) == 0
    assert cache.lease("a") is not None


def test_a_lease_that_two_threads_release_at_once_ends_once(cache: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second unlocking could be that of a lease which somebody has taken in between."""
    lockf, ends, meanwhile = fcntl.lockf, [], []
    lease = cache.lease("a")

    def slow(file: int, operation: int, *where: int) -> None:
        lockf(file, operation, *where)
        if operation == fcntl.LOCK_UN:
            ends.append(where)
            lease.release()
            meanwhile.append(cache.lease("a"))  # nobody of this process, until it is through

    monkeypatch.setattr(_leases.fcntl, "lockf", slow)
    lease.release()
    assert len(ends) == 1
    assert meanwhile == [None]
    monkeypatch.undo()
    assert cache.lease("a") is not None


def test_leases_are_taken_while_collection_is_off(cache: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    lockf, seen = fcntl.lockf, []
    monkeypatch.setattr(_leases.fcntl, "lockf", lambda *what: seen.append(gc.isenabled()) or lockf(*what))
    lease = cache.lease("a")
    assert seen == [False]
    assert gc.isenabled()
    lease.release()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EINVAL, errno.EIO])
def test_everybody_has_it_where_nothing_can_be_locked(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    lease = cache.lease("b")
    monkeypatch.setattr(_leases.fcntl, "lockf", fail)
    with pytest.warns(RuntimeWarning, match=os.strerror(number)) as told:
        leases = [lease, *(cache.lease("a") for _ in range(3))]
    assert len(told) == 1
    for each in leases:
        each.release()
    monkeypatch.undo()
    lease = cache.lease("a")
    assert cache.lease("a") is None


def test_another_process_s_lease_by_any_error_that_tells_of_one(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fail(*what: object) -> None:
        asked.append(what)
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(_leases.fcntl, "lockf", fail)
    monkeypatch.setattr(_leases, "_TAKEN", (errno.EAGAIN, errno.EACCES))
    assert cache.lease("a") is None
    assert len(asked) == 1  # what was not taken is not given back either
    monkeypatch.undo()
    assert cache.lease("a") is not None
