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

from obspec_utils.caches import _disk_budget
from obspec_utils.caches._disk import DiskCache
from tests.unit._disk import BEGIN, files, kill, occupied, running

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20

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


def occupied_at_once(processes: list[subprocess.Popen[bytes]], directory: Path) -> int:
    """Look at the disk while all processes stand still, wherever they are."""
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        for process in processes:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status), "it has seen a wrong value"
        return occupied(directory, folders=True)
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


def test_processes_that_are_killed_leave_no_wrong_bytes_nor_too_many(tmp_path: Path) -> None:
    with ExitStack() as stack:
        alive = [stack.enter_context(running(BUSY, tmp_path, 2 * MIB)) for _ in range(4)]
        most = 0
        while alive:
            for _ in range(25):
                most = max(most, occupied_at_once(alive, tmp_path))
            kill(alive.pop())
    assert MIB < most <= 2 * MIB
    cache = DiskCache(tmp_path, 2 * MIB)
    for number in range(100):
        found = cache.get(str(number))
        assert found is None or found == value(number)
    cache.put("large", bytes(MIB + MIB // 2))  # makes room
    assert cache.get("large") is not None
    assert [path for path in files(tmp_path) if "." in path.name] == []
    assert occupied(tmp_path, folders=True) <= 2 * MIB
    counted = cache.size
    (tmp_path / "obspec-utils-1" / "budget").unlink()
    assert counted == cache.size


# Where a process stops in the middle of a put, and is killed: the function that it does not come to the end of.
POINTS = {
    "reserved, nothing written": "_disk_lock.create = stop_here",
    "half written": "_disk.write_value = lambda file, key, value: (os.write(file, value[:9]), stop_here())",
    "written, without its name": "_disk.touch = stop_here",
    "about to get its name, under the lock": "DiskCache._rename = stop_here",
    "with its name, but what it replaced still counts": "_disk_budget.Ledger.add = stop_here",
    "in the middle of making room": "_disk_survey._remove_if_empty = stop_here",
}


@pytest.mark.parametrize("point", POINTS)
def test_a_process_that_is_killed_in_a_put_leaves_nothing_that_stays(tmp_path: Path, point: str) -> None:
    cache = DiskCache(tmp_path, MIB)
    for number in range(40):  # to the brim
        cache.put(str(number), bytes(20_000))
    cache.put("50", b"before")
    with running(f"{POINTS[point]}\ncache.put('50', value(50))\ncache.put('51', value(200))", tmp_path, MIB) as process:
        assert occupied(tmp_path, folders=True) <= MIB
        kill(process)
    assert cache.get("50") in (None, b"before", value(50))
    for number in range(60, 120):
        cache.put(str(number), bytes(20_000))
        assert cache.get(str(number)) is not None
        assert occupied(tmp_path, folders=True) <= MIB
    assert [path for path in files(tmp_path) if "." in path.name] == []
    counted = cache.size
    (tmp_path / "obspec-utils-1" / "budget").unlink()
    assert counted == cache.size


def test_a_value_that_is_being_written_elsewhere_is_not_removed(tmp_path: Path) -> None:
    program = """
write = _disk.write_value
def slow(file, key, value):
    write(file, key, value[:9])
    print("here", flush=True)
    sys.stdin.readline()
    os.ftruncate(file, 0)
    os.lseek(file, 0, 0)
    write(file, key, value)
_disk.write_value = slow
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
        # What is reserved for it counts, not the little that is there.
        assert cache.size > 50_000
        process.stdin.write(b"\n")
        process.stdin.close()
        assert process.stdout.read() == b"True\n"
    assert cache.get("50") is not None


def test_a_stopped_process_that_has_the_lock_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_disk_budget, "_PATIENCE", 0.2)
    cache = DiskCache(tmp_path, MIB)
    cache.put("a", b"value")
    with running("DiskCache._rename = stop_here\ncache.put('50', value(50))", tmp_path, MIB) as process:
        process.send_signal(signal.SIGSTOP)
        for number in range(100):
            cache.put(str(number), b"value")
        assert cache.get("a") == b"value"
        assert cache.get("0") is None
        cache.delete("a")
        cache.clear()
        assert cache.get("a") is None
        kill(process)
    cache.put("a", b"value")
    assert cache.get("a") == b"value"


def test_a_forked_child_keeps_nothing_locked_once_its_parent_is_dead(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, MIB)
    program = """
lease = cache.lease("a")
written = cache._begin(cache._path(bytes(32)), 5000)
with cache._budget.locked() as ledger:
    child = os.fork()
    if child == 0:
        lease.release()  # the parent's, not the child's
        os.write(1, b"here\\n%d\\n" % os.getpid())
        signal.pause()
    signal.pause()
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
            assert [path for path in files(tmp_path) if "." in path.name] == []
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
