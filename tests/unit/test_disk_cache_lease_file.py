"""The file of the leases of a cache on disk: which one it is, and when it is open."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from obspec_utils.caches import DiskCache
from obspec_utils.caches.disk import _paths
from tests.unit._disk import FOLDER, descriptors, files, locks

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path, MIB)


@pytest.fixture
def leases(tmp_path: Path) -> Path:
    return tmp_path / FOLDER / "leases"


def test_a_folder_with_two_names_is_one(cache: DiskCache, tmp_path: Path) -> None:
    lease = cache.lease("a")
    (tmp_path / "link").symlink_to(tmp_path)
    assert DiskCache(tmp_path / "link", MIB).lease("a") is None
    (tmp_path / FOLDER).rename(tmp_path / "aside")
    moved = tmp_path / "moved"
    moved.mkdir()
    (tmp_path / "aside").rename(moved / FOLDER)
    assert DiskCache(moved, MIB).lease("a") is None
    assert cache.lease("a") is None  # it still uses the folder that was moved
    assert DiskCache(tmp_path, MIB).lease("a") is not None
    lease.release()
    assert DiskCache(moved, MIB).lease("a") is not None


def test_the_file_is_empty_and_its_user_s(cache: DiskCache, leases: Path) -> None:
    lease = cache.lease("a")
    found = leases.lstat()
    assert stat.S_ISREG(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_size == 0
    assert cache.size == 0
    lease.release()


def test_folders_that_are_not_in_use_take_no_descriptors(tmp_path: Path) -> None:
    held = DiskCache(tmp_path / "held", MIB).lease("a")
    before = descriptors()
    for number in range(20):
        DiskCache(tmp_path / str(number), MIB).lease("a").release()
    assert descriptors() <= before + 1
    assert DiskCache(tmp_path / "held", MIB).lease("a") is None
    held.release()


def test_a_folder_that_is_removed_is_made_again(cache: DiskCache, tmp_path: Path, leases: Path) -> None:
    old, other = cache.lease("a"), cache.lease("b")
    before = descriptors()
    for _ in range(5):
        shutil.rmtree(tmp_path)
        lease = cache.lease("a")
        assert lease is not None
        assert cache.lease("a") is None
    old.release()
    del old
    assert cache.lease("a") is None
    leases.unlink()
    assert cache.lease("a") is not None
    other.release()
    assert cache.lease("c") is not None
    assert descriptors() <= before + 2


def test_every_caller_has_it_where_its_file_is_a_folder(cache: DiskCache, tmp_path: Path, leases: Path) -> None:
    cache.put("a", b"value")
    (leases / "something").mkdir(parents=True)
    with pytest.warns(RuntimeWarning, match="leases is not a regular file of this user"):
        assert cache.lease("a") is not None
    assert cache.lease("a") is not None
    assert cache.get("a") == b"value"
    cache.clear()
    assert files(tmp_path) == []


@pytest.mark.parametrize("kind", ["a link", "a FIFO", "an empty folder"])
def test_what_has_the_place_of_its_file_is_replaced(cache: DiskCache, tmp_path: Path, leases: Path, kind: str) -> None:
    if kind == "a link":
        (tmp_path / "something").write_bytes(b"")
        leases.symlink_to(tmp_path / "something")
    elif kind == "a FIFO":
        os.mkfifo(leases)
    else:
        leases.mkdir()
    lease = cache.lease("a")
    assert DiskCache(tmp_path, MIB).lease("a") is None
    assert leases.is_file()
    assert not leases.is_symlink()
    lease.release()


def test_a_folder_that_stops_being_named_while_it_is_opened(
    cache: DiskCache, tmp_path: Path, leases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes to be found by the name of one that is open already: then it has two descriptors, and no lease ends."""
    elsewhere = DiskCache(tmp_path / "elsewhere", MIB)
    lease = elsewhere.lease("a")
    cache.lease("a").release()
    open_file = _paths.Folder.open

    def late(folder: _paths.Folder, name: str, flags: int) -> int:
        (tmp_path / "elsewhere" / FOLDER / "leases").rename(leases)
        return open_file(folder, name, flags)

    leases.unlink()
    monkeypatch.setattr(_paths.Folder, "open", late)
    assert cache.lease("a") is None
    monkeypatch.undo()
    assert locks(leases) == 1
    lease.release()
    before = descriptors()
    elsewhere.lease("a").release()
    assert descriptors() == before - 1
    assert cache.lease("a") is not None


def test_threads_of_a_process_that_use_different_folders_do_not_get_in_each_other_s_way(tmp_path: Path) -> None:
    """Files that nobody has a lease in are closed, but for those in which one is just taken."""
    wrong: list[object] = []

    def use(name: str) -> None:
        cache = DiskCache(tmp_path / name, MIB)
        for number in range(200):
            lease = cache.lease(str(number))
            if lease is None or cache.lease(str(number)) is not None:
                wrong.append(number)
            else:
                lease.release()

    threads = [threading.Thread(target=use, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
