"""The cache on disk, in one process: what it keeps, for whom, and where."""

from __future__ import annotations

import array
import copy
import gc
import os
import pickle
import random
import shutil
import stat
import threading
from pathlib import Path

import pytest
from obstore import Bytes

from obspec_utils.caches import _disk, _disk_lock, _disk_value
from obspec_utils.caches._disk import DiskCache
from obspec_utils.caches._protocol import Cache, LeasingCache
from tests.unit._disk import files

MIB = 1 << 20
KEYS = ["", "a", "a/b?c=1", "é\udcff", "x" * 5000]


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path, 16 * MIB)


def test_it_is_a_cache_with_leases(cache: DiskCache) -> None:
    assert isinstance(cache, Cache)
    assert isinstance(cache, LeasingCache)


@pytest.mark.parametrize("key", KEYS)
def test_a_value_is_there_until_it_is_deleted(cache: DiskCache, key: str) -> None:
    assert cache.get(key) is None
    cache.put(key, b"value")
    cache.put(key + "2", b"another")
    assert cache.get(key) == b"value"
    cache.put(key, b"new value")
    assert DiskCache(cache.directory, cache.max_size).get(key) == b"new value"
    cache.delete(key)
    cache.delete(key)
    assert (cache.get(key), cache.get(key + "2")) == (None, b"another")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        bytearray(b"abc"),
        memoryview(Bytes(b"abc")),
        Bytes(b""),
        array.array("d", [1.5, 2.5]),
        array.array("d"),
        memoryview(b"abcdef")[::2],
        memoryview(b"abcdef").cast("B", (2, 3)),
    ],
)
def test_values_are_buffers_of_any_kind(cache: DiskCache, value: object) -> None:
    cache.put("a", value)
    assert cache.get("a") == memoryview(value).tobytes()


def test_a_put_and_a_delete_leave_the_count_as_it_was(cache: DiskCache) -> None:
    assert cache.size == 0
    cache.put("a", bytes(10_000))
    kept = cache.size
    assert kept > 10_000
    cache.put("b", bytes(MIB))
    cache.put("b", b"small now")
    cache.delete("b")
    cache.delete("b")
    cache.put("a", bytes(10_000))
    assert cache.size - kept in (0, 4096)  # the folder of b stays
    cache.clear()
    assert cache.size == 0
    assert files(Path(cache.directory)) == []
    assert cache.evictions == 0


def test_what_is_given_is_checked_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="max_size must be positive, got 0"):
        DiskCache(tmp_path, 0)
    with pytest.raises(TypeError, match="directory must be a str or a path, got 5"):
        DiskCache(5, 100)
    with pytest.raises(TypeError, match="directory must be a str or a path, got b'x'"):
        DiskCache(b"x", 100)
    for path in ("", "a\0b"):
        with pytest.raises(ValueError, match="directory must be a path, got "):
            DiskCache(path, 100)
    cache = DiskCache(tmp_path / "a" / "b", 1e6)
    assert (cache.max_size, cache.size, cache.get("a")) == (10**6, 0, None)
    cache.delete("a")
    cache.clear()
    assert list(tmp_path.iterdir()) == []


def test_a_platform_without_file_locks_is_told_what_to_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_disk_lock, "SUPPORTED", False)
    with pytest.raises(NotImplementedError, match="Use MemoryCache"):
        DiskCache(tmp_path, 100)


def test_copies_and_pickles_use_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cache = DiskCache("here", MIB)
    cache.put("a", b"value")
    monkeypatch.chdir("/")
    assert repr(cache) == f"DiskCache('{tmp_path}/here', 1048576)"
    for other in (pickle.loads(pickle.dumps(cache)), copy.copy(cache), copy.deepcopy(cache)):
        assert (repr(other), other.get("a")) == (repr(cache), b"value")


@pytest.mark.parametrize("umask", [0, 0o777])
def test_only_the_user_can_read_what_is_kept(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        cache = DiskCache(tmp_path / "new", MIB)
        cache.put("a", b"value")
        held = cache.lease("a")
        writing = cache._begin(cache._path(b"b"), 5000)
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "new", *(tmp_path / "new").rglob("*")]}
    assert len(modes) == 8
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items()), modes
    held.release()
    writing.close()


def test_the_user_s_directory_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    DiskCache(tmp_path, MIB).put("a", b"value")
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["obspec-utils-1"]


def test_a_directory_that_is_removed_is_made_again(cache: DiskCache, tmp_path: Path) -> None:
    cache.put("a", b"value")
    shutil.rmtree(tmp_path)
    assert cache.get("a") is None
    cache.delete("a")
    cache.clear()
    cache.put("a", b"value")
    assert cache.get("a") == b"value"
    shutil.rmtree(tmp_path)
    lease = cache.lease("a")
    assert cache.lease("a") is None
    shutil.rmtree(tmp_path)
    lease.release()


def test_a_directory_that_is_removed_during_a_put(
    cache: DiskCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*what: object) -> None:
        monkeypatch.setattr(_disk, "write_value", _disk_value.write_value)
        shutil.rmtree(tmp_path)
        _disk_value.write_value(*what)

    monkeypatch.setattr(_disk, "write_value", write)
    cache.put("a", b"value")
    assert cache.get("a") == b"value"


def test_locks_are_waited_for_while_collection_is_off(cache: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    wait, seen = _disk_lock.wait, []
    monkeypatch.setattr(_disk_lock, "wait", lambda *what: seen.append(gc.isenabled()) or wait(*what))
    cache.put("a", b"value")
    cache.delete("a")
    cache.clear()
    assert seen == [False] * len(seen)
    assert len(seen) >= 4
    assert gc.isenabled()


def test_threads_share_it(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 300_000)
    wrong: list[object] = []

    def use(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(80):
            key = rng.randrange(60)
            found = cache.get(str(key))
            if found not in (None, bytes([key]) * (key * 300)):
                wrong.append(key)
            cache.put(str(key), bytes([key]) * (key * 300))
            if key == 0:
                cache.delete(str(rng.randrange(60)))

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        cache.get("1")
        if cache.size > 300_000:
            wrong.append(cache.size)
    assert wrong == []
    assert cache.evictions > 0
    counted = cache.size
    (tmp_path / "obspec-utils-1" / "budget").unlink()
    assert counted == cache.size
    assert all("." not in path.name for path in files(tmp_path))
