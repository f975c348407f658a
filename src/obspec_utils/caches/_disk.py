"""A cache of values on disk, shared by the processes of a machine."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from obspec_utils._checks import positive
from obspec_utils.caches import _disk_lock as lock
from obspec_utils.caches._disk_budget import Budget, Ledger
from obspec_utils.caches._disk_folder import absolute, check_ours, drop, make, make_all, touch
from obspec_utils.caches._disk_leases import NO_LEASE, DiskLease, place, take
from obspec_utils.caches._disk_survey import LEASES, survey, temporary
from obspec_utils.caches._disk_value import read_value, write_value
from obspec_utils.caches._trouble import Trouble
from obspec_utils.caches._value_codec import HEADER_SIZE, as_bytes_view, digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self, SupportsIndex

    from typing_extensions import Buffer

    from obspec_utils.caches._disk_lock import Held

__all__ = ["DiskCache"]

# The number changes with what is in it, so that releases that don't understand each other's files don't meet.
_FOLDER = "obspec-utils-1"
# How often a put starts again because somebody removed the folders under it.
_TRIES = 10


class DiskCache:
    """Values in files, which any number of threads and processes of one machine share, and which outlive them.

    All files together, with what is being written and the folders they are in, occupy `max_size` bytes at most, at any
    moment, whoever else uses the same directory. What was not used for longest makes room. (A budget of less than 1 MiB
    is one for files only, and one of less than about 9 kB has no room for any.)

    A value is written aside and then renamed, so nobody sees half of it. Nothing is forced to the disk, which can take
    longer than to fetch it again: after a power cut values may be missing or damaged, and what is damaged is found by
    its checksum and removed. Where nothing can be written or read, values are not kept, and a RuntimeWarning tells why.

    Files can only be read by the user who wrote them. They are in a folder of their own inside `directory`.

    Parameters
    ----------
    directory
        Where to keep values. It is made when the first one is put.
    max_size
        The budget in bytes. Files count in blocks of 4096 bytes, as they do on most disks.

    Raises
    ------
    ValueError
        If `max_size` is not positive, or `directory` is no path.
    TypeError
        If `directory` is neither a str nor a path.
    NotImplementedError
        On platforms without POSIX file locks.
    """

    def __init__(self, directory: str | os.PathLike[str], max_size: float | SupportsIndex) -> None:
        if not lock.SUPPORTED:
            msg = (
                "DiskCache needs POSIX file locks (the module fcntl), which this platform does not have. "
                "Use MemoryCache instead."
            )
            raise NotImplementedError(msg)
        self.directory = absolute(directory)
        self.max_size = positive("max_size", max_size)
        self._folder = f"{self.directory}/{_FOLDER}"
        self._budget = Budget(self._folder, self.max_size)
        self._trouble = Trouble(repr(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.directory!r}, {self.max_size})"

    def __reduce__(self) -> tuple[type[Self], tuple[str, int]]:
        return type(self), (self.directory, self.max_size)

    @property
    def size(self) -> int:
        """The bytes that values count for: what there is, and what is being written."""
        try:
            return self._budget.size
        except OSError as error:
            self._trouble.met(error)
            return 0

    @property
    def evictions(self) -> int:
        """How many values this object has removed to make room."""
        return self._budget.evictions

    def get(self, key: str) -> Buffer | None:
        """Return the value of a key, which is now the one used last; None if it is not there, or damaged."""
        name = digest(key)
        try:
            check_ours(self._folder)
            return self._read(self._path(name), name)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._trouble.met(error)
            return None

    def _read(self, path: str, name: bytes) -> bytes | None:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            value = read_value(file, name)
            if value is not None:
                touch(file)
        finally:
            os.close(file)
        if value is None:
            drop(path)
        return value

    def put(self, key: str, value: Buffer) -> None:
        """Keep a value, in place of what was there, if there is room for it in the budget and on the disk."""
        name, view = digest(key), as_bytes_view(value)
        kept = False
        if not self._trouble.resting:
            try:
                kept = self._put(name, view)
            except OSError as error:
                self._trouble.met(error)
        if not kept:
            self._drop(name)  # what was there is not what the caller wants to be there

    def _drop(self, name: bytes) -> None:
        """Remove a value without waiting for the lock: too much is counted then, until somebody looks."""
        with contextlib.suppress(OSError):
            check_ours(self._folder)
            Path(self._path(name)).unlink()

    def _put(self, name: bytes, value: memoryview) -> bool:
        for attempt in range(_TRIES):
            try:
                written = self._begin(self._path(name), self._budget.prices.of_file(HEADER_SIZE + value.nbytes))
                return written is not None and self._write(written, name, value)
            except FileNotFoundError:
                if attempt == _TRIES - 1:
                    raise
                self._make_folders()
        return False

    def _begin(self, path: str, cost: int) -> Held | None:
        """Reserve the bytes of a file and make it, locked for as long as its writer lives; None if there is no room."""
        check_ours(self._folder)
        with self._budget.locked() as ledger:
            if ledger is None:
                return None
            if not ledger.reserve(cost):
                self._remove(ledger, path)
                return None
            if make(path.rpartition("/")[0]):
                ledger.add(self._budget.prices.folder)
            return lock.create(temporary(path, cost))

    def _write(self, written: Held, name: bytes, value: memoryview) -> bool:
        kept = False
        try:
            write_value(written.file, name, value)
            touch(written.file)
            with self._budget.locked() as ledger:
                if ledger is not None:
                    self._rename(ledger, written.path, self._path(name))
                    kept = True
        finally:
            if not kept:
                drop(written.path)  # too much is counted then, until somebody looks
            written.close()
        return kept

    def _rename(self, ledger: Ledger, source: str, target: str) -> None:
        replaced = self._cost(target)
        Path(source).rename(target)
        ledger.add(-replaced)

    def _remove(self, ledger: Ledger, path: str) -> None:
        cost = self._cost(path)
        Path(path).unlink(missing_ok=True)
        ledger.add(-cost)

    def _cost(self, path: str) -> int:
        """Return what a value counts for, 0 if there is none."""
        try:
            return self._budget.prices.of_file(os.lstat(path).st_size)
        except FileNotFoundError:
            return 0

    def delete(self, key: str) -> None:
        """Forget a key, if it is there."""
        path = self._path(digest(key))
        with self._tolerant():
            check_ours(self._folder)
            with self._budget.locked() as ledger:
                if ledger is None:
                    drop(path)
                else:
                    self._remove(ledger, path)

    def clear(self) -> None:
        """Forget everything. What others put meanwhile may stay."""
        with self._tolerant():
            check_ours(self._folder)
            with self._budget.locked() as ledger:
                if ledger is not None:
                    ledger.clear()
                    return
            for _, _, path in survey(self._folder, self._budget.prices).values:
                drop(path)

    @contextlib.contextmanager
    def _tolerant(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            pass
        except OSError as error:
            self._trouble.met(error)

    def lease(self, key: str) -> DiskLease | None:
        """Take the right to fetch what belongs under a key; None while another thread or process has it.

        Where files can't be made or locked everybody gets it.
        """
        try:
            return self._take(place(key))
        except OSError as error:
            self._trouble.met(error)
            return NO_LEASE

    def _take(self, byte: int) -> DiskLease | None:
        path = f"{self._folder}/{LEASES}"
        try:
            check_ours(self._folder)
            return take(path, byte)
        except FileNotFoundError:
            self._make_folders()
            return take(path, byte)

    def _path(self, name: bytes) -> str:
        letters = name.hex()
        return f"{self._folder}/{letters[:2]}/{letters}"

    def _make_folders(self) -> None:
        make_all(self.directory, self._folder)
