"""A cache of values on disk, shared by the processes of one user on one machine."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, TypeVar

from obspec_utils._validation import positive_int
from obspec_utils.caches._circuit_breaker import CircuitBreaker
from obspec_utils.caches._protocol import NO_LEASE, LeasingCache, ManyCache
from obspec_utils.caches._value_codec import HEADER_SIZE, as_bytes_view, digest, header, is_header_of
from obspec_utils.caches.disk import _paths
from obspec_utils.caches.disk._eviction import BLOCK_SIZE, disk_size, publish, scan
from obspec_utils.caches.disk._leases import lease_files, lease_offset

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import SupportsIndex

    from typing_extensions import Buffer

    from obspec_utils.caches._protocol import Lease
    from obspec_utils.caches.disk._paths import Folder

    T = TypeVar("T")

__all__ = ["DiskCache"]

# A missing value, or a folder in place of it, is not a failure of the cache.
_MISSING = contextlib.suppress(FileNotFoundError, IsADirectoryError)


class DiskCache(ManyCache, LeasingCache):
    """Cache values in files, shared by any number of threads and processes of one user on one machine.

    The files of a user take at most `max_size` bytes of disk, plus the values being written at that moment, by any
    number of processes. Once a put exceeds the budget, the values used least recently are evicted until 90 % of it is
    used. A process that is killed may leave the value it was writing; a later put removes it after ten minutes to about
    an hour.

    A value is written to a temporary file and renamed, so it is never read in part, and a put that fails, on a full
    disk say, evicts nothing. Nothing is synced to disk, because that can take longer than fetching the value again.
    After a power cut values may be missing or damaged; damaged ones fail their checksum and are removed.

    Values are in a private folder inside `directory` (mode 0700), one for each user. It is opened once, checked to
    belong to this user, and used through its descriptor, so `directory` may be writable by others. If the folder is
    removed while in use, it is created again; if it is moved, it stays in use.

    After construction, and in copies unpickled on a machine where `directory` can't be used, errors do not stop reads.
    Values are not cached, one RuntimeWarning has the reason, and puts are retried every 10 s.

    Parameters
    ----------
    directory
        The directory of the private folders. `~` is expanded, and the directory is created if it is missing.
    max_size
        The budget in bytes. Files count in blocks of 4,096 bytes, as on most disks, and one block is reserved.

    Attributes
    ----------
    evictions : int
        The number of values this object has evicted.

    Raises
    ------
    ValueError
        If `max_size` is not positive, or `directory` is not a path.
    TypeError
        If `directory` is neither a str nor a path.
    OSError
        If values can't be kept in `directory`: NotADirectoryError if it is a file, PermissionError if this user can't
        write to it or the private folder belongs to another user.
    NotImplementedError
        On platforms without POSIX file locks.
    """

    def __init__(self, directory: str | os.PathLike[str], max_size: float | SupportsIndex) -> None:
        self.__setstate__((_paths.absolute(directory), positive_int("max_size", max_size)))
        try:
            self._folder().check_writable()
        except OSError as error:
            reason = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
            msg = f"can't cache in {self.directory}: {reason}; pass a directory that this user can write to"
            raise OSError(error.errno, msg) from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.directory!r}, {self.max_size})"

    def __getstate__(self) -> tuple[str, int]:
        return self.directory, self.max_size

    def __setstate__(self, state: tuple[str, int]) -> None:
        if not _paths.SUPPORTED:
            msg = (
                "DiskCache needs POSIX file locks (the module fcntl), which this platform does not have. "
                "Use MemoryCache instead."
            )
            raise NotImplementedError(msg)
        self.directory, self.max_size = state
        self.evictions = 0
        self._budget = self.max_size - BLOCK_SIZE  # the counter's own block
        self._opened: Folder | None = None
        self._breaker = CircuitBreaker(repr(self), OSError)

    def _folder(self, *, make: bool = True) -> Folder:
        """Return the private folder, opened again if it was removed."""
        folder = self._opened
        if folder is None or folder.is_removed():
            folder = self._opened = _paths.open_folder(self.directory, make=make)
        return folder

    def _in_folder(self, operation: Callable[[Folder], T]) -> T:
        """Run an operation, and once more if the folder was removed under it."""
        try:
            return operation(self._folder())
        except FileNotFoundError:
            self._opened = None
            return operation(self._folder())

    @property
    def size(self) -> int:
        """The bytes of disk that all values take, found by a scan of all files (4 µs each)."""
        with self._breaker, _MISSING:
            return sum(size for _, size, _ in scan(self._folder(make=False)))
        return 0

    def get(self, key: str) -> Buffer | None:
        """Return the value of a key and mark it as used now; None if it is missing or damaged."""
        name = digest(key)
        with self._breaker, _MISSING:
            return _read(self._folder(make=False), name)
        return None

    def put(self, key: str, value: Buffer) -> None:
        """Keep a value and replace a former one, if the budget and the disk have space for it."""
        name, view = digest(key), as_bytes_view(value)
        if not self._breaker.is_open and disk_size(HEADER_SIZE + view.nbytes) <= self._budget:
            with self._breaker, contextlib.suppress(IsADirectoryError):  # a folder in place of the value
                self._in_folder(lambda folder: self._put(folder, name, view))
                return
        self.delete(key)  # a former value is stale now

    def _put(self, folder: Folder, name: bytes, value: memoryview) -> None:
        temporary = f"{name.hex()}.{os.urandom(8).hex()}"
        try:
            file = folder.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            try:
                _write(file, header(name, value), value)
            finally:
                os.close(file)
            size = disk_size(HEADER_SIZE + value.nbytes)
            evicted = publish(folder, temporary, name.hex(), size, self._budget)
            self.evictions += evicted
        except BaseException:
            folder.discard(temporary)
            raise

    def delete(self, key: str) -> None:
        """Remove a key if it is present."""
        name = digest(key).hex()
        with self._breaker, _MISSING:
            self._folder(make=False).remove(name)

    def clear(self) -> None:
        """Remove all values. Values that are put at the same time may stay."""
        with self._breaker, _MISSING:
            folder = self._folder(make=False)
            for _, _, name in scan(folder):
                folder.discard(name)

    def lease(self, key: str) -> Lease | None:
        """Acquire the right to fetch the value of a key; None while another thread or process has it.

        Every caller gets it if files can't be created or locked.
        """
        offset = lease_offset(key)
        with self._breaker:
            return self._in_folder(lambda folder: lease_files.acquire(folder, offset))
        return NO_LEASE


def _write(file: int, head: bytes, value: memoryview) -> None:
    """Write a value behind its header into an empty file."""
    written = os.writev(file, [head, value])
    # The system writes less if the disk is nearly full, and at most 2 GiB at once.
    while written < HEADER_SIZE + value.nbytes:
        if written < HEADER_SIZE:
            written += os.write(file, head[written:])
        else:
            written += os.write(file, value[written - HEADER_SIZE :])


def _read(folder: Folder, key: bytes) -> bytes | None:
    """Return the value of a key and mark it as used now; remove it if it is not exactly what was written."""
    file = folder.open(key.hex(), os.O_RDONLY)
    try:
        value = _read_checked(file, key)
        if value is not None:
            now = time.time_ns()
            with contextlib.suppress(OSError):  # the disk may be read-only
                os.utime(file, ns=(now, now))
    finally:
        os.close(file)
    if value is None:
        folder.discard(key.hex())
    return value


def _read_checked(file: int, key: bytes) -> bytes | None:
    head = os.read(file, HEADER_SIZE)
    size = os.fstat(file).st_size - HEADER_SIZE
    # Check the header first, so that a damaged file can't cause a large allocation.
    if not is_header_of(head, key, size):
        return None
    value = os.read(file, size)
    if 0 < len(value) < size:  # the system reads at most 2 GiB at once
        value = b"".join([value, *iter(lambda: os.read(file, size), b"")])
    return value if head == header(key, value) else None
