"""The private folder of the cache on disk: where it can be, and that it is opened once."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from obspec_utils.caches import DiskCache
from obspec_utils.caches.disk import _paths
from tests.unit._disk import FOLDER, unpickled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 1 << 20


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path, MIB)


def a_file(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def below_a_file(path: Path) -> Path:
    return a_file(path) / "below"


def a_link_to_nothing(path: Path) -> Path:
    path.symlink_to(path.parent / "missing")
    return path


def with_a_file_in_place_of_the_folder(path: Path) -> Path:
    path.mkdir()
    a_file(path / FOLDER)
    return path


def with_a_link_in_place_of_the_folder(path: Path) -> Path:
    DiskCache(path.with_name("theirs"), MIB).put("a", b"theirs")
    path.mkdir()
    (path / FOLDER).symlink_to(path.with_name("theirs") / FOLDER)
    return path


PLACES = {
    a_file: NotADirectoryError,
    below_a_file: NotADirectoryError,
    a_link_to_nothing: FileNotFoundError,
    with_a_file_in_place_of_the_folder: NotADirectoryError,
    with_a_link_in_place_of_the_folder: NotADirectoryError,
}


@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_cannot_be_used_is_an_error_at_construction(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    directory = place(tmp_path / "place")
    with pytest.raises(PLACES[place], match=rf"can't cache in {directory}: .*pass a directory") as caught:
        DiskCache(directory, MIB)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_cannot_be_used_is_only_warned_of_by_an_unpickled_cache(
    tmp_path: Path, place: Callable[[Path], Path]
) -> None:
    cache = unpickled(place(tmp_path / "place"))
    with pytest.warns(RuntimeWarning, match="can't be used, so nothing is kept there"):
        cache.put("a", b"value")
    assert (cache.get("a"), cache.size) == (None, 0)  # no further warning
    cache.lease("a").release()
    cache.delete("a")
    cache.clear()


def test_a_read_only_disk_is_an_error_at_construction(tmp_path: Path) -> None:
    command = ["mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    if not sys.platform.startswith("linux") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount file systems")
    try:
        DiskCache(tmp_path, MIB).put("a", b"value")
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)
        for directory in (tmp_path, tmp_path / "new"):
            with pytest.raises(OSError, match=r"Read-only file system.*; pass a directory") as caught:
                DiskCache(directory, MIB)
            assert caught.value.errno == errno.EROFS
        assert unpickled(tmp_path).get("a") == b"value"
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


@pytest.mark.parametrize("mode", [0o777, 0o755, 0o710, 0o500])
def test_a_folder_that_others_can_enter_is_closed_to_them(cache: DiskCache, tmp_path: Path, mode: int) -> None:
    cache.put("a", b"value")
    (tmp_path / FOLDER).chmod(mode)
    DiskCache(tmp_path, MIB)
    assert stat.S_IMODE((tmp_path / FOLDER).stat().st_mode) in (0o700, 0o700 | stat.S_ISGID)
    assert cache.get("a") == b"value"


def test_a_folder_that_is_replaced_by_name_stays_in_use(cache: DiskCache, tmp_path: Path) -> None:
    other = DiskCache(tmp_path / "other", MIB)
    other.put("a", b"other")
    cache.put("a", b"value")
    (tmp_path / FOLDER).rename(tmp_path / "aside")
    (tmp_path / "other" / FOLDER).rename(tmp_path / FOLDER)
    assert (cache.get("a"), other.get("a")) == (b"value", b"other")
    assert DiskCache(tmp_path, MIB).get("a") == b"other"
    cache.put("b", b"value")
    assert len(list((tmp_path / "aside").iterdir())) == 3


def test_a_forked_child_uses_the_folder_of_its_parent(cache: DiskCache) -> None:
    cache.put("a", b"value")
    folder = cache._opened

    def work() -> None:
        assert cache.get("a") == b"value"
        cache.put("b", b"of the child")
        assert cache._opened is folder

    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert cache.get("b") == b"of the child"


def test_one_folder_is_opened_once_by_any_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    caches = [DiskCache(directory, MIB) for directory in (tmp_path, tmp_path / "link", tmp_path)]
    assert len({cache._opened for cache in caches}) == 1
    assert isinstance(caches[0]._opened, _paths.Folder)
