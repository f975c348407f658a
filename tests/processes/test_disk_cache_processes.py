"""The cache on disk between processes, which may be stopped or killed anywhere."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from obspec_utils.caches import DiskCache
from obspec_utils.caches.disk import _eviction
from tests.unit._disk import BEGIN, age, counted, kill, occupied, on_disk, running, temporaries

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
LARGEST = on_disk(200_052)  # of the values that processes put

# Puts and gets for ever; a wrong value ends it with an error.
BUSY = """
rng = random.Random(os.getpid())
print("here", flush=True)
while True:
    key = rng.randrange(100)
    found = cache.get(str(key))
    assert found in (None, value(key)), key
    cache.put(str(key), value(key))
    if key == 0:
        cache.delete(str(rng.randrange(100)))
"""


def value(key: int) -> bytes:
    return random.Random(key).randbytes(key * 1000)


def occupied_at_once(processes: list[subprocess.Popen[bytes]], directory: Path) -> tuple[int, int]:
    """Look at the disk while all processes stand still, wherever they are; return its bytes, and values in writing."""
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        for process in processes:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status), "it has seen a wrong value"
        return occupied(directory), len(temporaries(directory))
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


def test_processes_that_are_killed_leave_no_wrong_bytes_nor_too_many(tmp_path: Path) -> None:
    with ExitStack() as stack:
        alive = [stack.enter_context(running(BUSY, tmp_path, 2 * MIB)) for _ in range(4)]
        most = killed = 0
        while alive:
            for _ in range(25):
                found, writing = occupied_at_once(alive, tmp_path)
                most = max(most, found)
                assert writing <= len(alive) + killed
            kill(alive.pop())
            killed += 1
    # One value may have its name while others are evicted for it.
    assert MIB < most <= 2 * MIB + LARGEST
    for path in temporaries(tmp_path):
        age(path, 900)
    cache = DiskCache(tmp_path, 2 * MIB)
    for number in range(100):
        found = cache.get(str(number))
        assert found is None or found == value(number)
    cache.put("large", bytes(MIB + MIB // 2))  # others are evicted for it
    assert cache.get("large") is not None
    assert temporaries(tmp_path) == []
    assert occupied(tmp_path) <= 2 * MIB
    assert counted(tmp_path) == cache.size


# Where a process stops in the middle of a put, and is killed: the function that it does not come to the end of.
POINTS = {
    "nothing written": "_cache._write = stop_here",
    "half written": "_cache._write = lambda file, head, value: (os.write(file, value[:9]), stop_here())",
    "written, not counted": "_cache.publish = stop_here",
    "counted, without its name": "_paths.Folder.rename = stop_here",
    "with its name, before others are evicted": "_eviction._evict = stop_here",
    "in the middle of the eviction": (
        "discard = _paths.Folder.discard\n"
        "_paths.Folder.discard = lambda folder, name: (discard(folder, name), stop_here())"
    ),
}


@pytest.mark.parametrize("point", POINTS)
def test_a_process_that_is_killed_in_a_put_leaves_nothing_that_stays(tmp_path: Path, point: str) -> None:
    cache = DiskCache(tmp_path, MIB)
    for number in range(42):  # to the brim
        cache.put(str(number), bytes(20_000))
    cache.put("50", b"before")
    assert cache.evictions == 0
    with running(f"{POINTS[point]}\ncache.put('50', value(50))\ncache.put('51', value(200))", tmp_path, MIB) as process:
        assert occupied(tmp_path) <= MIB + LARGEST
        kill(process)
    assert cache.get("50") in (None, b"before", value(50))
    assert counted(tmp_path) >= cache.size
    left = temporaries(tmp_path)
    assert len(left) == (POINTS[point] in list(POINTS.values())[:4])
    for path in left:
        age(path, 900)
    for number in range(60, 120):
        cache.put(str(number), bytes(20_000))
        assert cache.get(str(number)) is not None
        assert occupied(tmp_path) <= MIB
        assert counted(tmp_path) >= cache.size
    assert temporaries(tmp_path) == []


def test_a_value_that_is_being_written_elsewhere_is_not_removed(tmp_path: Path) -> None:
    program = """
write = _cache._write
def slow(file, head, value):
    os.write(file, head + value[:9])
    print("here", flush=True)
    sys.stdin.readline()
    os.ftruncate(file, 0)
    os.lseek(file, 0, 0)
    write(file, head, value)
_cache._write = slow
cache.put("50", value(50))
print(cache.get("50") == value(50), flush=True)
"""
    command = [sys.executable, "-c", BEGIN + program, str(tmp_path), str(MIB)]
    cache = DiskCache(tmp_path, MIB)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"here\n"
        for number in range(60, 120):
            cache.put(str(number), bytes(30_000))
        assert cache.evictions > 0
        cache.clear()
        assert cache.get("50") is None
        process.stdin.write(b"\n")
        process.stdin.close()
        assert process.stdout.read() == b"True\n"
    assert cache.get("50") is not None


def test_a_writer_that_comes_back_after_its_file_was_removed_writes_it_again(tmp_path: Path) -> None:
    """Its machine was asleep, say, and another process took it for dead."""
    program = """
publish = _cache.publish
def slow(*what):
    _cache.publish = publish
    print("here", flush=True)
    sys.stdin.readline()
    return publish(*what)
_cache.publish = slow
cache.put("50", value(50))
print(cache.get("50") == value(50), flush=True)
"""
    command = [sys.executable, "-c", BEGIN + program, str(tmp_path), str(MIB)]
    cache = DiskCache(tmp_path, MIB)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"here\n"
        (path,) = temporaries(tmp_path)
        age(path, 900)
        cache.put("1", b"value")  # scans, for it is the first one
        assert temporaries(tmp_path) == []
        process.stdin.write(b"\n")
        process.stdin.close()
        assert process.stdout.read() == b"True\n"
    assert cache.get("50") is not None


def test_a_stopped_process_that_has_the_lock_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_eviction, "_LOCK_TIMEOUT", 0.2)
    cache = DiskCache(tmp_path, MIB)
    cache.put("a", b"value")
    with running("_paths.Folder.rename = stop_here\ncache.put('50', value(50))", tmp_path, MIB) as process:
        process.send_signal(signal.SIGSTOP)
        with pytest.warns(RuntimeWarning, match="locked by another process"):
            cache.put("0", b"value")
        for number in range(100):  # none of these waits or warns
            cache.put(str(number), b"value")
        assert cache.get("a") == b"value"
        assert cache.get("0") is None
        cache.delete("a")
        assert cache.get("a") is None
        kill(process)
    cache._breaker._open_until = 0
    cache.put("a", b"value")
    assert cache.get("a") == b"value"


def test_a_forked_child_keeps_nothing_locked_once_its_parent_is_dead(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, MIB)
    program = """
lease = cache.lease("a")
def fork(*what):
    child = os.fork()
    if child == 0:
        lease.release()  # the parent's, not the child's
        os.write(1, b"here\\n%d\\n" % os.getpid())
    signal.pause()
_paths.Folder.rename = fork  # under the lock
cache.put("50", value(50))
"""
    with running(program, tmp_path, MIB) as process:
        child = int(process.stdout.readline())
        try:
            assert cache.lease("a") is None
            kill(process)
            lease = cache.lease("a")
            assert lease is not None
            lease.release()
            for number in range(30):
                cache.put(str(number), bytes(100_000))
                assert cache.get(str(number)) is not None
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_forked_child_uses_it_like_its_parent(tmp_path: Path) -> None:
    program = """
cache.put("50", value(50))
child = os.fork()
for _ in range(20):
    cache.put("51", value(51))
    assert cache.get("50") == value(50) and cache.get("51") == value(51)
if child:
    os.waitpid(child, 0)
    print("here", flush=True)
"""
    with running(program, tmp_path, MIB) as process:
        process.wait()
    assert DiskCache(tmp_path, MIB).get("51") is not None
