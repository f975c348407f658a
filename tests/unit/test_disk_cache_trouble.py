"""The cache on disk where nothing can be written or read: no error, one warning, and what can be done is done."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING

import pytest

from obspec_utils.caches import DiskCache
from obspec_utils.caches.disk import _cache, _eviction
from tests.unit._disk import FOLDER, files, temporaries

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


def test_a_full_disk_evicts_nothing_is_warned_of_once_and_used_again_later(cache: DiskCache, disk: Path) -> None:
    with pytest.warns(RuntimeWarning, match=r"DiskCache\('.*', 67108864\) can't be used, .*No space left on device"):
        cache.put("b", bytes(2 * MIB))
    cache.put("c", b"not tried now")
    cache._breaker._open_until = 0
    cache.put("b", bytes(2 * MIB))  # no second warning
    assert [cache.get(key) for key in "abc"] == [b"value", None, None]
    assert (len(files(disk)), cache.evictions) == (1, 0)
    cache._breaker._open_until = 0
    cache.put("c", b"there is room for this")
    assert cache.get("c") == b"there is room for this"


def test_a_value_that_the_disk_has_no_room_for_evicts_nothing_though_the_budget_is_exceeded(disk: Path) -> None:
    cache = DiskCache(disk, 900_000)
    for number in range(8):
        cache.put(str(number), bytes(100_000))
    (disk / "others").write_bytes(bytes(120_000))
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        cache.put("new", bytes(200_000))
    assert all(cache.get(str(number)) is not None for number in range(8))
    assert (cache.evictions, len(files(disk))) == (0, 8)


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


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE])
@pytest.mark.parametrize("step", ["read", "write", "lock", "scan"])
def test_any_other_error_is_only_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, step: str
) -> None:
    cache = DiskCache(tmp_path, MIB)
    cache.put("a", b"value")
    name, module = {
        "read": ("_read", _cache),
        "write": ("_write", _cache),
        "lock": ("_locked", _eviction),
        "scan": ("scan", _eviction),
    }[step]
    monkeypatch.setattr(module, name, fails(number))
    (tmp_path / FOLDER / "counter").unlink()  # so that a scan is due
    with pytest.warns(RuntimeWarning, match=os.strerror(number)) as told:
        use(cache)
    assert len(told) == 1
    monkeypatch.undo()
    cache._breaker._open_until = 0
    cache.put("b", b"value")
    assert cache.get("b") == b"value"
    assert temporaries(tmp_path) == []


def test_what_could_not_be_kept_does_not_leave_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = DiskCache(tmp_path, MIB)
    cache.put("a", b"old")
    cache.put("b", b"old")
    monkeypatch.setattr(_cache, "_write", fails(errno.ENOSPC))
    with pytest.warns(RuntimeWarning, match="No space left"):
        cache.put("a", b"new")
    cache.put("b", b"new")  # not tried
    assert (cache.get("a"), cache.get("b")) == (None, None)
    assert files(tmp_path) == []


def test_ctrl_c_in_a_put_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    cache = DiskCache(tmp_path, MIB)
    for module, name in ((_cache, "_write"), (_eviction, "_evict"), (_eviction.os, "utime")):
        monkeypatch.setattr(module, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            cache.put("a", b"value")
        monkeypatch.undo()
        assert temporaries(tmp_path) == []
    cache.put("a", b"value")
    assert cache.get("a") == b"value"
