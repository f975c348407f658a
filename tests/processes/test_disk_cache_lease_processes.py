"""Leases of the cache on disk between processes: racing, killed, forked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from obspec_utils.caches import DiskCache
from tests.unit._disk import BEGIN, kill, running

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20

needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="this system does not tell what is open")

# Threads of two objects take the same few leases again and again. Who has one makes a file, which must not be there.
RACE = """
import threading
from obspec_utils.caches.disk import _leases

caches = [cache, DiskCache(sys.argv[1], int(sys.argv[2]))]
counts, wrong = [], []

def race(number):
    taken = 0
    while len(counts) < 4 and taken < 20_000 and time.monotonic() < end:
        for key in "12":
            lease = caches[number % 2].lease(key)
            if lease is None:
                continue
            path = f"{sys.argv[1]}/alone-{key}"
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL))
                os.unlink(path)
            except OSError as error:
                wrong.append(repr(error))
            taken += 1
            lease.release()
    counts.append(taken)

import time
end = time.monotonic() + 3
sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=race, args=(number,)) for number in range(4)]
print("here", flush=True)
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sum(counts), wrong[:3], flush=True)
"""


@pytest.mark.parametrize("processes", [1, 2])
def test_never_do_two_have_it_at_once(tmp_path: Path, processes: int) -> None:
    with ExitStack() as stack:
        racing = [stack.enter_context(running(RACE, tmp_path, MIB)) for _ in range(processes)]
        results = [process.stdout.read().decode().partition(" ") for process in racing]
    assert [wrong for _, _, wrong in results] == ["[]\n"] * processes
    assert all(int(taken) > 0 for taken, _, _ in results)
    leases = [DiskCache(tmp_path, MIB).lease(key) for key in "12"]
    assert None not in leases


def test_a_lease_ends_with_its_process(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, MIB)
    program = "leases = [cache.lease(f'{key}{number}') for key in 'abc' for number in range(100)]\nstop_here()"
    with running(program, tmp_path, MIB) as process:
        assert cache.lease("a0") is None
        assert cache.lease("c99") is None
        lease = cache.lease("c100")
        assert lease is not None
        kill(process)
    leases = [cache.lease(f"{key}{number}") for key in "abc" for number in range(100)]
    assert None not in leases


def test_one_process_s_release_ends_nothing_of_another_s(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, MIB)
    held = [cache.lease(f"a/{number}") for number in range(0, 10, 2)]
    program = """
for _ in range(3):
    taken = [lease for number in range(10) if (lease := cache.lease(f"a/{number}")) is not None]
    assert len(taken) == 5
    for lease in taken:
        lease.release()
        lease.release()
lease = cache.lease("a/1")
stop_here()
"""
    with running(program, tmp_path, MIB):
        assert [number for number in range(10) if cache.lease(f"a/{number}") is not None] == [3, 5, 7, 9]
    assert None not in held


OPEN = """
def open_leases():
    files = [os.path.realpath(f"/proc/self/fd/{file}") for file in os.listdir("/proc/self/fd")]
    return [file for file in files if file.endswith("/leases")]
"""

# A child that is forked by who has leases, and tells what it found by how it ends.
FORK = (
    OPEN
    + """
from obspec_utils.caches.disk import _leases

def child(work):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid

lease, other = cache.lease("a"), cache.lease("b")
"""
)


@needs_proc
def test_a_forked_child_has_none_of_its_parent_s_leases_and_ends_none(tmp_path: Path) -> None:
    program = """
def work():
    global other
    assert open_leases() == []
    assert cache.lease("a") is None and cache.lease("b") is None
    lease.release()
    del other
    assert cache.lease("a") is None and cache.lease("b") is None
    mine = cache.lease("c")
    assert mine is not None and cache.lease("c") is None
    mine.release()
    assert cache.lease("c") is not None
    kept.append(cache.lease("d"))

kept = []
assert len(open_leases()) == 1
assert os.waitpid(child(work), 0)[1] == 0
assert cache.lease("a") is None and cache.lease("b") is None
stop_here()
"""
    cache = DiskCache(tmp_path, MIB)
    with running(FORK + program, tmp_path, MIB) as process:
        assert cache.lease("a") is None
        assert cache.lease("b") is None
        assert cache.lease("c") is not None
        assert cache.lease("d") is not None  # ended with the child
        kill(process)
    assert cache.lease("a") is not None
    assert cache.lease("b") is not None


def test_an_inherited_lease_ends_nothing_of_the_child_s(tmp_path: Path) -> None:
    program = """
reader, writer = os.pipe()

def work():
    global other
    os.read(reader, 1)
    mine = [cache.lease("a"), cache.lease("b")]
    assert None not in mine
    lease.release()
    del other
    os.write(1, b"here\\n%d\\n" % os.getpid())
    signal.pause()

pid = child(work)
lease.release()
other.release()
os.write(writer, b"x")
os.waitpid(pid, 0)
"""
    cache = DiskCache(tmp_path, MIB)
    with running(FORK + program, tmp_path, MIB) as process:
        child = int(process.stdout.readline())
        try:
            assert cache.lease("a") is None
            assert cache.lease("b") is None
        finally:
            os.kill(child, signal.SIGKILL)
        assert process.wait(20) == 0
    assert cache.lease("a") is not None


def test_a_child_that_is_forked_while_a_lease_is_taken_can_take_others(tmp_path: Path) -> None:
    program = """
def work():
    mine = cache.lease("c")
    assert mine is not None and cache.lease("a") is None

with _leases.lease_files._lock:
    pid = child(work)
assert os.waitpid(pid, 0)[1] == 0
print("here", flush=True)
"""
    with running(FORK + program, tmp_path, MIB) as process:
        assert process.wait(20) == 0


@needs_proc
def test_a_program_that_is_started_meanwhile_has_nothing_of_it(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, MIB)
    lease = cache.lease("a")
    program = """
print(open_leases())
print(cache.lease("a"))
"""
    command = [sys.executable, "-c", BEGIN + OPEN + program, str(tmp_path), str(MIB)]
    for _ in range(2):  # nor does its end end anything
        assert subprocess.check_output(command, close_fds=False, timeout=20) == b"[]\nNone\n"
    lease.release()
    assert b"DiskLease" in subprocess.check_output(command, close_fds=False, timeout=20)


def test_five_thousand_leases_are_refused_elsewhere_at_once(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, MIB)
    program = "leases = [cache.lease(f'a/{number}') for number in range(5000)]\nstop_here()"
    with running(program, tmp_path, MIB):
        start = time.process_time()
        assert [number for number in range(5000) if cache.lease(f"a/{number}") is not None] == []
        assert time.process_time() - start < 5
