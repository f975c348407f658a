"""What tests see of a disk cache from outside, and other processes that use it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 4096
DESCRIPTORS = Path("/dev/fd")

# What all programs begin with. `value(key)` is the one right value of a key.
BEGIN = """
import os, random, signal, sys
from obspec_utils.caches import _disk, _disk_budget, _disk_lock, _disk_survey
from obspec_utils.caches._disk import DiskCache

cache = DiskCache(sys.argv[1], int(sys.argv[2]))

def value(key):
    return random.Random(key).randbytes(key * 1000)

def stop_here(*_):
    print("here", flush=True)
    signal.pause()
"""


def occupied(directory: Path, *, folders: bool) -> int:
    """Return what is on the disk, in whole blocks."""
    total = 0
    for folder, _, names in os.walk(directory):
        paths = [f"{folder}/{name}" for name in names] + [folder] * folders
        total += sum(-(-os.lstat(path).st_size // BLOCK) * BLOCK for path in paths)
    return total


def files(directory: Path) -> list[Path]:
    """Return the files that hold values, or parts of them."""
    return sorted(path for path in directory.glob("obspec-utils-1/??/*") if path.is_file())


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
