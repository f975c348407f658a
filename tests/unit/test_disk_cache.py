"""The cache on disk, in one process: what it keeps, for whom, and where."""

from __future__ import annotations

import array
import copy
import fcntl
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

from obspec_utils.caches import DiskCache
from obspec_utils.caches._protocol import Cache, LeasingCache
from obspec_utils.caches.disk import _cache, _paths
from tests.unit._disk import BLOCK, FOLDER, counted, descriptors, files, occupied, temporaries

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


def test_the_size_is_that_of_all_values(cache: DiskCache) -> None:
    assert cache.size == 0
    cache.put("a", bytes(10_000))
    assert cache.size == 3 * BLOCK
    cache.put("b", bytes(MIB))
    cache.put("b", b"small now")
    assert cache.size == 4 * BLOCK
    cache.delete("b")
    cache.delete("b")
    cache.put("a", bytes(10_000))
    assert cache.size == 3 * BLOCK
    cache.clear()
    assert cache.size == 0
    assert files(Path(cache.directory)) == []
    assert cache.evictions == 0


def test_what_is_given_is_checked_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="max_size must be positive, got 0"):
        DiskCache(tmp_path / "new", 0)
    with pytest.raises(TypeError, match="directory must be a str or a path, got 5"):
        DiskCache(5, 100)
    with pytest.raises(TypeError, match="directory must be a str or a path, got b'x'"):
        DiskCache(b"x", 100)
    for path in ("", "a\0b"):
        with pytest.raises(ValueError, match="directory must be the path of a local folder, got "):
            DiskCache(path, 100)
    assert list(tmp_path.iterdir()) == []


def test_the_directory_is_made_at_construction(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "a" / "b", 1e6)
    assert (tmp_path / "a" / "b" / FOLDER).is_dir()
    assert (cache.max_size, cache.size, cache.get("a")) == (10**6, 0, None)
    cache.delete("a")
    cache.clear()
    assert list((tmp_path / "a" / "b" / FOLDER).iterdir()) == []


def test_the_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    cache = DiskCache("~/cache", MIB)
    assert cache.directory == f"{tmp_path}/cache"
    assert DiskCache(Path("~/cache"), MIB).directory == cache.directory
    assert (tmp_path / "cache" / FOLDER).is_dir()


def test_a_platform_without_file_locks_is_told_what_to_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_paths, "SUPPORTED", False)
    with pytest.raises(NotImplementedError, match="Use MemoryCache"):
        DiskCache(tmp_path, 100)


def test_copies_and_pickles_use_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cache = DiskCache("here", MIB)
    cache.put("a", b"value")
    monkeypatch.chdir("/")
    assert repr(cache) == f"DiskCache('{tmp_path}/here', 1048576)"
    pickles = [pickle.dumps(cache, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for other in (*map(pickle.loads, pickles), copy.copy(cache), copy.deepcopy(cache)):
        assert (repr(other), other.get("a")) == (repr(cache), b"value")


@pytest.mark.parametrize("umask", [0, 0o077])
def test_only_the_user_can_read_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int) -> None:
    new, modes = tmp_path / "new", {}

    def look(*what: object) -> None:
        modes.update({path: stat.S_IMODE(path.stat().st_mode) for path in [new, *new.rglob("*")]})
        write(*what)

    write = _cache._write
    monkeypatch.setattr(_cache, "_write", look)
    before = os.umask(umask)
    try:
        cache = DiskCache(new, MIB)
        held = cache.lease("a")
        cache.put("a", b"value")
        cache.put("b", b"value")
    finally:
        os.umask(before)
    assert len(modes) == 2 + 2 + 1 + 2  # folders, counter and leases, a value, two being written
    assert all(mode == (0o600 if path.parent.name == FOLDER else 0o700) for path, mode in modes.items()), modes
    held.release()


def test_the_user_s_directory_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    DiskCache(tmp_path, MIB).put("a", b"value")
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == [FOLDER]


def test_a_directory_that_is_removed_is_made_again(cache: DiskCache, tmp_path: Path) -> None:
    cache.put("a", b"value")
    shutil.rmtree(tmp_path)
    assert cache.get("a") is None
    cache.delete("a")
    cache.clear()
    assert not tmp_path.exists()
    cache.put("a", b"value")
    assert cache.get("a") == b"value"
    shutil.rmtree(tmp_path)
    DiskCache(tmp_path, MIB).put("b", b"another's")
    assert cache.get("b") == b"another's"
    shutil.rmtree(tmp_path)
    lease = cache.lease("a")
    assert cache.lease("a") is None
    shutil.rmtree(tmp_path)
    lease.release()


@pytest.mark.parametrize("step", ["_write", "publish"])
def test_a_directory_that_is_removed_during_a_put(
    cache: DiskCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    function = getattr(_cache, step)

    def remove(*what: object) -> object:
        monkeypatch.undo()
        shutil.rmtree(tmp_path)
        return function(*what)

    monkeypatch.setattr(_cache, step, remove)
    cache.put("a", b"value")
    assert cache.get("a") == b"value"
    assert len(files(tmp_path)) == 1


def test_locks_are_waited_for_and_held_while_collection_is_off(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, seen = fcntl.flock, []
    monkeypatch.setattr(fcntl, "flock", lambda *what: seen.append(gc.isenabled()) or flock(*what))
    cache.put("a", b"value")
    assert seen == [False, False]
    cache.delete("a")
    cache.clear()
    assert len(seen) == 2  # nothing else waits for a lock
    assert gc.isenabled()


def test_a_cache_that_is_dropped_closes_its_descriptors(tmp_path: Path) -> None:
    before = descriptors()
    cache = DiskCache(tmp_path, MIB)
    cache.put("a", b"value")
    copies = [pickle.loads(pickle.dumps(cache)) for _ in range(10)]
    assert [each.get("a") for each in copies] == [b"value"] * 10
    assert descriptors() == before + 1
    del cache
    assert copies[0].get("a") == b"value"
    del copies
    assert descriptors() == before


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
        if cache.size > 450_000:  # it looks at one file after the other, while others come and go
            wrong.append(cache.size)
    assert wrong == []
    assert cache.evictions > 0
    assert occupied(tmp_path) - BLOCK == cache.size <= counted(tmp_path)
    assert temporaries(tmp_path) == []


def test_threads_that_look_at_all_files_do_not_get_in_each_other_s_way(cache: DiskCache) -> None:
    for number in range(500):
        cache.put(str(number), b"")
    wrong: list[int] = []

    def look() -> None:
        wrong.extend(size for _ in range(50) if (size := cache.size) != 500 * BLOCK)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
