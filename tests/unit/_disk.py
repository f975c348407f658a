"""What tests see of a disk cache from outside, and other processes that use it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import traceback
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from obspec_utils.caches import DiskCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK = 4096
OTHER_USER = 65534
FOLDER = f"obspec-utils-2-{os.geteuid()}"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: only root can act as two users")
DESCRIPTORS = Path("/dev/fd")

# What all programs begin with. `value(key)` is the one right value of a key.
BEGIN = """
import os, random, signal, sys
from obspec_utils.caches.disk import _cache, _eviction, _leases, _paths
from obspec_utils.caches import DiskCache

cache = DiskCache(sys.argv[1], int(sys.argv[2]))

def value(key):
    return random.Random(key).randbytes(key * 1000)

def stop_here(*_, **__):
    print("here", flush=True)
    signal.pause()
"""


def on_disk(size: int) -> int:
    """Return what a file takes, in whole blocks."""
    return -(-size // BLOCK) * BLOCK


def occupied(directory: Path) -> int:
    """Return what is on the disk, but for values that are being written."""
    paths = [path for path in directory.glob(f"{FOLDER}/*") if "." not in path.name]
    sizes = []
    for path in paths:
        with suppress(FileNotFoundError):  # evicted by another process meanwhile
            sizes.append(on_disk(path.lstat().st_size))
    return sum(sizes)


def files(directory: Path) -> list[Path]:
    """Return the files that hold values, or parts of them."""
    return sorted(path for path in directory.glob(f"{FOLDER}/*") if len(path.name) >= 64)


def temporaries(directory: Path) -> list[Path]:
    """Return the files of values that are being written."""
    return [path for path in files(directory) if "." in path.name]


def age(path: Path, seconds: int) -> None:
    """Have a file look as if nobody had written to it for some time."""
    past = path.lstat().st_mtime_ns - seconds * 10**9
    os.utime(path, ns=(past, past))


def counted(directory: Path) -> int:
    """Return the number in the counter."""
    return int((directory / FOLDER / "counter").read_bytes().split()[0])


def descriptors() -> int:
    return sum(1 for _ in DESCRIPTORS.iterdir())


def locks(path: Path) -> int:
    """Return how many locks the system keeps of a file."""
    if not Path("/proc/locks").exists():
        pytest.skip("this system does not tell")
    return Path("/proc/locks").read_text().count(f":{path.stat().st_ino} ")


@contextmanager
def running(program: str, directory: Path, max_size: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has come to the point where it prints "here"."""
    command = [sys.executable, "-c", BEGIN + program, str(directory), str(max_size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"here\n"
            yield process
        finally:
            process.kill()


def kill(process: subprocess.Popen[bytes]) -> None:
    assert process.poll() is None, "it has seen a wrong value"
    process.kill()
    process.wait()


def unpickled(directory: Path) -> DiskCache:
    """Return a cache that was made where it could be made, and unpickled where it can't."""
    cache = DiskCache.__new__(DiskCache)
    cache.__setstate__((str(directory), 1 << 20))
    return pickle.loads(pickle.dumps(cache))


def folder_of(user: int) -> str:
    return f"{FOLDER.rpartition('-')[0]}-{user}"


def run_as(user: int, work: Callable[[], None]) -> None:
    """Do something as another user."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            work()
            status = 0
        except BaseException:  # noqa: BLE001 - shown, and told by the status
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
