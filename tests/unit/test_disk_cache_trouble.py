"""The cache on disk where nothing can be written or read: no error, one warning, and what can be done is done."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
import warnings
from typing import TYPE_CHECKING

import pytest

from obspec_utils.caches import _disk, _disk_budget, _disk_folder, _disk_lock
from obspec_utils.caches._disk import DiskCache
from tests.unit._disk import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20


def mount(*arguments: object) -> bool:
    try:
        command = ["mount", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    if not sys.platform.startswith("linux") or not mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path):
        pytest.skip("this user may not mount file systems")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


@pytest.fixture
def cache(disk: Path) -> DiskCache:
    cache = DiskCache(disk, 64 * MIB)
    cache.put("a", b"value")
    return cache


def use(cache: DiskCache) -> None:
    cache.get("a")
    cache.put("b", b"value")
    assert cache.size >= 0
    cache.lease("a").release()
    cache.delete("a")
    cache.clear()
    cache.delete("a")


def fails(number: int):
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_full_disk_is_warned_of_once_and_used_again_later(cache: DiskCache, disk: Path) -> None:
    with pytest.warns(RuntimeWarning, match=r"DiskCache\('.*', 67108864\) can't be used, .*No space left on device"):
        cache.put("b", bytes(2 * MIB))
    cache.put("c", b"not tried now")
    cache._trouble._until = 0
    cache.put("b", bytes(2 * MIB))  # no second warning
    assert [cache.get(key) for key in "abc"] == [b"value", None, None]
    assert len(files(disk)) == 1
    cache._trouble._until = 0
    cache.put("c", b"there is room for this")
    assert cache.get("c") == b"there is room for this"


def test_a_disk_on_which_not_even_the_count_can_be_kept(disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"), (disk / "filling").open("wb", buffering=0) as filling:
        while True:
            filling.write(bytes(4096))
    cache = DiskCache(disk, 64 * MIB)
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        cache.put("a", bytes(10_000))
    assert cache.get("a") is None
    cache.lease("a").release()
    cache.delete("a")
    cache.clear()


def test_a_read_only_disk_is_read_from(cache: DiskCache, disk: Path) -> None:
    before = files(disk)[0].stat().st_mtime_ns
    assert mount("-o", "remount,ro", disk)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert cache.get("a") == b"value"
        cache.put("b", b"value")
        lease = cache.lease("b")
        assert cache.lease("b") is not None
        lease.release()
        cache.delete("a")
        cache.clear()
        cache.put("a", b"value")
    assert [(warning.category, "Read-only file system" in str(warning.message)) for warning in told] == [
        (RuntimeWarning, True)
    ]
    assert cache.get("a") == b"value"
    assert files(disk)[0].stat().st_mtime_ns == before


def test_a_directory_that_cannot_be_made_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing" / "missing")
    for path in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "nowhere"):
        cache = DiskCache(path, MIB)
        with pytest.warns(RuntimeWarning, match="can't be used"):
            cache.put("a", b"value")
        assert cache.get("a") is None
        assert cache.lease("a") is not None
        assert cache.size == 0
        cache.delete("a")
        cache.clear()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE])
@pytest.mark.parametrize("step", ["read", "write", "lock", "survey"])
def test_any_other_error_is_only_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, step: str
) -> None:
    cache = DiskCache(tmp_path, MIB)
    cache.put("a", b"value")
    name, module = {
        "read": ("read_value", _disk),
        "write": ("write_value", _disk),
        "lock": ("hold", _disk_lock),
        "survey": ("survey", _disk_budget),
    }[step]
    monkeypatch.setattr(module, name, fails(number))
    (tmp_path / "obspec-utils-1" / "budget").unlink()  # so that somebody looks
    with pytest.warns(RuntimeWarning, match=os.strerror(number)) as told:
        use(cache)
    assert len(told) == 1
    monkeypatch.undo()
    cache._trouble._until = 0
    cache.put("b", b"value")
    assert cache.get("b") == b"value"


def test_what_could_not_be_kept_does_not_leave_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = DiskCache(tmp_path, MIB)
    cache.put("a", b"old")
    cache.put("b", b"old")
    monkeypatch.setattr(_disk, "write_value", fails(errno.ENOSPC))
    with pytest.warns(RuntimeWarning, match="No space left"):
        cache.put("a", b"new")
    cache.put("b", b"new")  # not tried
    assert (cache.get("a"), cache.get("b")) == (None, None)
    assert files(tmp_path) == []


@pytest.mark.parametrize("kind", ["a link", "a file", "another user's"])
def test_a_folder_that_is_not_ours_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    folder = tmp_path / "obspec-utils-1"
    DiskCache(tmp_path, MIB).put("a", b"theirs")
    (theirs,) = files(tmp_path)
    if kind == "another user's":
        uid = os.geteuid()
        monkeypatch.setattr(_disk_folder.os, "geteuid", lambda: uid + 1)
        match = rf"PermissionError: {folder} belongs to user {uid}, not to {uid + 1}"
    else:
        folder.rename(tmp_path / "theirs")
        theirs = tmp_path / "theirs" / theirs.relative_to(folder)
        if kind == "a link":
            folder.symlink_to(tmp_path / "theirs")
        else:
            folder.write_bytes(b"")
        match = rf"PermissionError: {folder} is {kind}, not a folder"
    before = {path: path.read_bytes() for path in [theirs, theirs.parents[1] / "budget"]}
    cache = DiskCache(tmp_path, MIB)
    with pytest.warns(RuntimeWarning, match=match):
        assert cache.get("a") is None
    cache._trouble._until = 0
    cache.put("a", b"ours")
    cache._trouble._until = time.monotonic() + 60
    cache.put("a", b"ours")
    cache.delete("a")
    cache.clear()
    assert cache.lease("a") is not None
    assert {path: path.read_bytes() for path in before} == before


def test_a_link_in_place_of_a_value_is_not_followed(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, MIB)
    cache.put("a", b"value")
    (path,) = files(tmp_path)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.warns(RuntimeWarning, match="symbolic link"):
        assert cache.get("a") is None
