"""Leases as locked bytes of one file: any number of them takes one descriptor, and nothing is left behind.

The system ends such a lock (fcntl) with its process, so a killed one leaves none, and a forked child has none of its
parent's. But a process can have each lock as often as it likes, and loses all of them as soon as it closes any of its
descriptors of the file. So there is one table of what this process has, by file and not by path, of which there may be
several. (Who reads the file in the same process, to copy it, ends the leases: values may then be fetched twice.)
"""

from __future__ import annotations

import contextlib
import errno
import os
import string
import sys
import threading
from typing import TYPE_CHECKING

from obspec_utils._guard import paused, reset_after_fork
from obspec_utils.caches._disk_lock import SUPPORTED, open_private
from obspec_utils.caches._value_codec import digest

__all__ = ["NO_LEASE", "DiskLease", "place", "take"]

if TYPE_CHECKING or SUPPORTED:
    import fcntl

# How the system tells that another process has a lock. Linux says EACCES only where a policy forbids locks.
_TAKEN = (errno.EAGAIN,) if sys.platform == "linux" else (errno.EAGAIN, errno.EACCES)
# More digits at the end of a key are no number of a block.
_LONGEST_NUMBER = 9


class _Table:
    """A file of leases that is open, and who in this process has which of its bytes."""

    __slots__ = ("files", "held")

    def __init__(self) -> None:
        self.files: list[int] = []
        self.held: dict[int, threading.Lock] = {}


class DiskLease:
    """The right to fetch what belongs under a key: a locked byte, and an entry in the table of this process.

    It ends without a lock that anybody could wait for, since it may be dropped anywhere: in a garbage collection, or
    where Ctrl-C hits. The operations of the table are atomic.
    """

    __slots__ = ("_byte", "_once", "_table")

    def __init__(self, table: _Table, byte: int) -> None:
        self._table = table
        self._byte = byte
        # What is in the table for this lease and no other. It is taken by who releases it first, and never given back.
        self._once = threading.Lock()

    def take(self) -> bool:
        """Take it, unless somebody else has it."""
        held = self._table.held
        if held.setdefault(self._byte, self._once) is not self._once:
            return False
        try:
            fcntl.lockf(self._table.files[0], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._byte)
        except OSError as error:
            held.pop(self._byte, None)
            if error.errno in _TAKEN:
                return False
            raise
        return True

    def release(self) -> None:
        """Let others have it."""
        # A thread that came second could end a lease that somebody else has taken meanwhile.
        if self._once.acquire(blocking=False):
            self._end()

    def _end(self) -> None:
        held = self._table.held
        if held.get(self._byte) is not self._once:  # it has ended, or is the parent's of a forked child
            return
        # While it is in the table: a thread that took it after that would lose its lock here.
        with contextlib.suppress(OSError):
            fcntl.lockf(self._table.files[0], fcntl.LOCK_UN, 1, self._byte)
        held.pop(self._byte, None)

    def __del__(self) -> None:
        # Released or not: Ctrl-C may have hit on the way, or before there was anything to release.
        with contextlib.suppress(AttributeError):
            self._end()


NO_LEASE = DiskLease(_Table(), 0)
"""What everybody gets where there can be none."""


class _Tables:
    """The files of leases that are open in this process, one for each folder in use.

    The lock keeps a file open from when it is found to when a byte of it is taken. It is only held while collection is
    off, and while nothing is waited for but the disk.
    """

    def __init__(self) -> None:
        self._tables: dict[tuple[int, int], _Table] = {}
        self._lock = threading.Lock()
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        # Nothing of the parent's is locked by the child, nor unlocked by what it closes.
        self._lock = threading.Lock()
        for table in self._tables.values():
            table.held.clear()
        self._close_idle()

    def take(self, path: str, byte: int) -> DiskLease | None:
        with paused(), self._lock:
            lease = DiskLease(self._find(path), byte)
            return lease if lease.take() else None

    def _find(self, path: str) -> _Table:
        """Return the table of the file that the path names now, which is opened, and made, if need be."""
        with contextlib.suppress(FileNotFoundError):
            table = self._tables.get(_identity(os.lstat(path)))
            if table is not None:
                return table
        self._close_idle()
        file = open_private(path, os.O_CREAT)
        table = self._tables.setdefault(_identity(os.fstat(file)), _Table())
        table.files.append(file)  # the second one only if the path began to name an open file this moment
        return table

    def _close_idle(self) -> None:
        """Close the files without leases, so that folders that are not in use any more take no descriptors."""
        for identity, table in list(self._tables.items()):
            if not table.held:
                del self._tables[identity]
                for file in table.files:
                    with contextlib.suppress(OSError):
                        os.close(file)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


_tables = _Tables()


def take(path: str, byte: int) -> DiskLease | None:
    """Take a byte of a file, at once; None while another thread or process has it.

    Raises
    ------
    FileNotFoundError
        If the file's folder is missing.
    OSError
        If the file can't be opened or locked.
    """
    return _tables.take(path, byte)


def place(key: str) -> int:
    """Return the byte that stands for a key.

    Keys of as many letters that differ in the number at their end are neighbours, as the blocks of an object are: the
    system keeps neighbouring locks as one. Of locks anywhere it keeps a list, and walks through it each time: 0.2 ms
    for 5,000.
    """
    head = key.rstrip(string.digits)
    number = key[len(head) :]
    if len(number) > _LONGEST_NUMBER:
        head, number = key, ""
    # 62 bits, so that all neighbours are within what the system can count to.
    return (int.from_bytes(digest(f"{head}/{len(number)}")[:8], "big") >> 2) + int(number or "0")
