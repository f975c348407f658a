"""The budget of a disk cache: a counter that processes share, and eviction of the values used least recently.

The counter is the bytes found by the last scan plus those put since, in a file that is changed under its lock (flock),
which the system releases when its holder dies. Bytes count before their value gets its name, and removed or replaced
values stay counted until the next scan. So the counter is never too low, whenever a process is killed. A put scans all
files once the counter exceeds the budget, when it was lost, after the machine started (a power cut may have restored an
old number), and when the last scan was an hour ago.

Temporary files are written without the lock and not counted. A scan removes those that nobody has written to for ten
minutes: their writers were killed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from obspec_utils._io.gc_pause import gc_paused, reset_after_fork
from obspec_utils.caches.disk._paths import SUPPORTED

if TYPE_CHECKING or SUPPORTED:
    import fcntl
if TYPE_CHECKING:
    from obspec_utils.caches.disk._paths import Folder

__all__ = ["BLOCK_SIZE", "FileLock", "SizeCounter", "disk_size", "publish", "scan"]

BLOCK_SIZE = 4096
_COUNTER = "counter"
# How long to wait for the lock (s). It is held for microseconds, or to scan and evict: 2 s for 100,000 files.
_LOCK_TIMEOUT = 2.0
# Eviction goes below the budget, so that the cost of a scan is shared by many puts.
_EVICT_TO = 0.9
_MAX_SCAN_AGE = 3600  # s
_MAX_TEMPORARY_AGE = 600 * 10**9  # ns
_NAME_LENGTH = 64  # a SHA-256 in hexadecimal
_FIRST_NAP, _LONGEST_NAP = 0.0001, 0.01


class FileLock:
    """An open file that can be locked until `release()`, or the end of the process."""

    __slots__ = ("__weakref__", "file")

    def __init__(self, file: int) -> None:
        self.file = file
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        # The child's copy of the descriptor would keep the lock if the parent were killed. It must not unlock: that
        # would release the parent's lock, too.
        file, self.file = self.file, -1
        if file >= 0:
            with contextlib.suppress(OSError):
                os.close(file)

    def acquire(self) -> bool:
        """Lock the file; return False if it is locked already, or was removed before it was locked."""
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return os.fstat(self.file).st_nlink > 0

    def release(self) -> None:
        """Unlock and close the file."""
        file, self.file = self.file, -1
        if file < 0:
            return
        try:
            # A child that was just forked may still have a copy of the descriptor.
            fcntl.flock(file, fcntl.LOCK_UN)
        finally:
            os.close(file)

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self.release()


def _lock(folder: Folder) -> FileLock:
    """Lock the counter, by polling: a thread that slept in flock could not be woken after the timeout.

    Raises
    ------
    TimeoutError
        If other processes hold the lock for too long; one of them may have been stopped.
    """
    give_up = time.monotonic() + _LOCK_TIMEOUT
    nap = _FIRST_NAP
    while True:
        lock = FileLock(folder.open(_COUNTER, os.O_RDWR | os.O_CREAT))
        if lock.acquire():
            return lock
        lock.release()
        if time.monotonic() >= give_up:
            msg = f"{folder.path}/{_COUNTER} has been locked by another process for {_LOCK_TIMEOUT:g} s"
            raise TimeoutError(errno.ETIMEDOUT, msg)
        time.sleep(nap)
        nap = min(2 * nap, _LONGEST_NAP)


def disk_size(size: int) -> int:
    """Return what a file of `size` bytes takes on disk, in whole blocks."""
    return -(-size // BLOCK_SIZE) * BLOCK_SIZE


def scan(folder: Folder) -> list[tuple[int, int, str]]:
    """Return when each value was last used (ns), its size on disk and its name. Remove what killed writers left."""
    values = []
    now = time.time_ns()
    for entry in folder.entries():
        name, temporary, _ = entry.name.partition(".")
        if len(name) != _NAME_LENGTH:
            continue  # the counter, the leases
        with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
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


class SizeCounter:
    """The counter in an open file that is locked."""

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
    """Give a temporary file its name, then evict if the budget is exceeded; return how many values were evicted.

    Raises
    ------
    TimeoutError
        If other processes hold the lock of the counter for too long.
    IsADirectoryError
        If a folder that is not empty has the name.
    """
    with gc_paused():
        lock = _lock(folder)
        try:
            counter = SizeCounter(lock.file)
            if counter.size is not None:
                counter.write(counter.size + size)
            now = time.time_ns()  # the system's own time stamps are too coarse to tell which value was used last
            os.utime(temporary, ns=(now, now), dir_fd=folder.file, follow_symlinks=False)
            folder.rename(temporary, name)
            if counter.size is None or counter.size > budget:
                return _evict(folder, counter, budget, max(size, int(budget * _EVICT_TO)))
            return 0
        finally:
            lock.release()


def _evict(folder: Folder, counter: SizeCounter, budget: int, target: int) -> int:
    """Scan, and evict down to `target` bytes if the counter, or what is there if it is unknown, exceeds the budget."""
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
