"""The budget of a disk cache: a size counter shared by processes, and eviction of the least recently used values.

The counter is the bytes found by the last scan plus the bytes put since. It is a file that is changed under its lock
(flock), which the system releases when the holder dies. Bytes are counted before their value is renamed into place, and
removed or replaced values stay counted until the next scan, so the counter is never too low, even if a process is
killed. A put scans all files if the counter exceeds the budget or was lost, after the machine started (a power cut may
have restored an old counter), and if the last scan is an hour old.

Temporary files are written without the lock and not counted. A scan removes those not written to for ten minutes,
because their writers were killed.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from obspec_utils._io.gc_pause import paused, reset_after_fork
from obspec_utils.caches.disk._paths import SUPPORTED

if TYPE_CHECKING or SUPPORTED:
    import fcntl
if TYPE_CHECKING:
    from collections.abc import Iterator

    from obspec_utils.caches.disk._paths import Folder

__all__ = ["BLOCK_SIZE", "disk_size", "publish", "scan"]

BLOCK_SIZE = 4096
_COUNTER = "counter"
# The longest wait for the lock (s). It is held for microseconds, or for a scan: 2 s for 100,000 files.
_LOCK_TIMEOUT = 2.0
# Evict to this part of the budget, so that many puts share the cost of a scan.
_EVICT_TO = 0.9
_MAX_SCAN_AGE = 3600  # s
_MAX_TEMPORARY_AGE = 600 * 10**9  # ns
_NAME_LENGTH = 64  # a SHA-256 in hexadecimal
_FIRST_PAUSE, _MAX_PAUSE = 0.0001, 0.01  # s


class _LockFile(io.FileIO):
    """An open file. A forked child closes its copy, which would keep the lock if the parent were killed."""

    _reset_after_fork = io.FileIO.close


@contextlib.contextmanager
def _locked(folder: Folder) -> Iterator[int]:
    """Lock the counter and yield its descriptor. Poll, because flock has no timeout.

    Raises
    ------
    TimeoutError
        If other processes hold the lock for too long; one of them may have been stopped.
    """
    deadline = time.monotonic() + _LOCK_TIMEOUT
    pause = _FIRST_PAUSE
    while True:
        with _LockFile(folder.open(_COUNTER, os.O_RDWR | os.O_CREAT), "r+b") as file:
            reset_after_fork(file)
            if _acquire(file.fileno()):
                try:
                    yield file.fileno()
                finally:
                    # Closing is not enough: a child forked just now may still have a copy of the descriptor.
                    if not file.closed:
                        fcntl.flock(file.fileno(), fcntl.LOCK_UN)
                return
        if time.monotonic() >= deadline:
            msg = f"{folder.path}/{_COUNTER} has been locked by another process for {_LOCK_TIMEOUT:g} s"
            raise TimeoutError(errno.ETIMEDOUT, msg)
        time.sleep(pause)
        pause = min(2 * pause, _MAX_PAUSE)


def _acquire(file: int) -> bool:
    """Lock a file; return False if it is locked already, or was removed before it was locked."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(file).st_nlink > 0


def disk_size(size: int) -> int:
    """Return what a file of `size` bytes takes on disk, in whole blocks."""
    return -(-size // BLOCK_SIZE) * BLOCK_SIZE


def scan(folder: Folder) -> list[tuple[int, int, str]]:
    """Return the time of last use (ns), the size on disk and the name of each value. Remove old temporary files."""
    values = []
    now = time.time_ns()
    for entry in folder.entries():
        name, temporary, _ = entry.name.partition(".")
        if len(name) != _NAME_LENGTH:
            continue  # the counter, the leases
        with contextlib.suppress(FileNotFoundError):  # removed by another process
            found = entry.stat(follow_symlinks=False)
            if not temporary:
                values.append((found.st_mtime_ns, disk_size(found.st_size), name))
            elif abs(now - found.st_mtime_ns) > _MAX_TEMPORARY_AGE:  # also if the clock was set back
                folder.discard(entry.name)
    return values


@cache
def _boot() -> str:
    """Return an identifier that changes when the machine starts."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


class _SizeCounter:
    """The counter in an open, locked file."""

    __slots__ = ("_file", "_scanned", "size")

    def __init__(self, file: int) -> None:
        self._file = file
        self._scanned = 0
        self.size: int | None = None
        fields = os.pread(file, 128, 0).decode("ascii", "replace").split()[:3]
        if len(fields) == 3 and fields[2] == _boot() and fields[0].isdecimal() and fields[1].isdecimal():  # noqa: PLR2004
            self._scanned = int(fields[1])
            if abs(time.time() - self._scanned) <= _MAX_SCAN_AGE:
                self.size = int(fields[0])

    def write(self, size: int, *, scanned: bool = False) -> None:
        """Set the counter."""
        self.size = size
        self._scanned = int(time.time()) if scanned else self._scanned
        os.pwrite(self._file, f"{size:020} {self._scanned:012} {_boot()}\n".encode("ascii"), 0)


def publish(folder: Folder, temporary: str, name: str, size: int, budget: int) -> int:
    """Rename a temporary file to its name, then evict if the budget is exceeded; return the number of evictions.

    Raises
    ------
    TimeoutError
        If other processes hold the lock of the counter for too long.
    IsADirectoryError
        If a folder that is not empty has the name.
    """
    return paused(_publish, folder, temporary, name, size, budget)


def _publish(folder: Folder, temporary: str, name: str, size: int, budget: int) -> int:
    with _locked(folder) as file:
        counter = _SizeCounter(file)
        if counter.size is not None:
            counter.write(counter.size + size)
        now = time.time_ns()  # time stamps set by the system are too coarse to order values by use
        os.utime(temporary, ns=(now, now), dir_fd=folder.file, follow_symlinks=False)
        folder.rename(temporary, name)
        if counter.size is None or counter.size > budget:
            return _evict(folder, counter, budget, max(size, int(budget * _EVICT_TO)))
        return 0


def _evict(folder: Folder, counter: _SizeCounter, budget: int, target: int) -> int:
    """Scan, and evict down to `target` bytes if the budget is exceeded; an unknown counter is only set."""
    values = sorted(scan(folder))
    total = sum(size for _, size, _ in values)
    if counter.size is None and total <= budget:
        target = total
    evicted = 0
    for _, size, name in values:
        if total <= target:
            break
        if folder.discard(name):
            total -= size
            evicted += 1
    counter.write(total, scanned=True)
    return evicted
