"""The private folder of a disk cache, opened once and used through its descriptor.

```text
<directory>/obspec-utils-2-1000/   mode 0700, of the user with this number
    counter                        the bytes of all values, and the lock for changing them (_eviction)
    leases                         an empty file whose bytes are locked while values are fetched (_leases)
    abcd...                        a value, named by the SHA-256 of its key
    abcd....x7                     the same while it is written
```

The owner of `directory` can rename or remove the folder, but can't replace it under an open descriptor.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import weakref
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from obspec_utils._redact import shown
from obspec_utils._validation import URL

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SUPPORTED", "Folder", "absolute", "open_folder"]

SUPPORTED = find_spec("fcntl") is not None  # not on Windows
# The number changes with the layout, so that releases with different layouts never share a folder. The user ID is
# appended, so that users can share a directory.
_NAME = "obspec-utils-2"
_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600


def absolute(directory: object) -> str:
    """Return the absolute path of a directory, with `~` expanded.

    Raises
    ------
    TypeError
        If it is neither a str nor a path.
    ValueError
        If it is empty or has a NUL.
    """
    path = os.fspath(directory) if isinstance(directory, os.PathLike) else directory
    if not isinstance(path, str):
        msg = f"directory must be a str or a path, got {shown(directory)}"
        raise TypeError(msg)
    if not path or "\0" in path or URL.match(path):
        msg = f"directory must be the path of a local folder, got {shown(directory)}"
        raise ValueError(msg)
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - an unknown `~user` is a folder's name


class Folder:
    """An open private folder. Its descriptor is closed when the object is deleted.

    Parameters
    ----------
    directory
        The user's directory.
    make
        Whether to create what is missing.

    Raises
    ------
    OSError
        If the folder is missing, can't be created, is not a folder, or belongs to another user.
    """

    def __init__(self, directory: str, *, make: bool) -> None:
        self.path = f"{directory}/{_NAME}-{os.geteuid()}"
        if make:
            with contextlib.suppress(FileExistsError):
                Path(directory).mkdir(_PRIVATE_FOLDER, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                Path(self.path).mkdir(_PRIVATE_FOLDER)
        self.file = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        weakref.finalize(self, os.close, self.file).atexit = False
        found = os.fstat(self.file)
        self.identity = found.st_dev, found.st_ino
        self._owner = found.st_uid
        self._check_owner(found)

    def _check_owner(self, found: os.stat_result) -> None:
        if found.st_uid != os.geteuid():
            msg = f"{self.path} belongs to user {found.st_uid}, not to {os.geteuid()}"
            raise PermissionError(errno.EPERM, msg)
        if found.st_mode & 0o777 != _PRIVATE_FOLDER:
            os.fchmod(self.file, _PRIVATE_FOLDER)

    def is_removed(self) -> bool:
        """Return whether the folder was removed."""
        return os.fstat(self.file).st_nlink == 0

    def check_writable(self) -> None:
        """Raise an OSError if the folder is on a file system that is mounted read-only."""
        if os.fstatvfs(self.file).f_flag & os.ST_RDONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def open(self, name: str, flags: int) -> int:
        """Open a regular file of this user, without following a link or waiting for a FIFO.

        Raises
        ------
        FileNotFoundError
            If it is missing, or is not a regular file of this user; then it is removed if possible.
        """
        try:
            file = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, _PRIVATE_FILE, dir_fd=self.file)
        except FileNotFoundError:
            raise
        except OSError:
            found = self.stat(name)
            if found is None or self._is_own_file(found):
                raise
        else:
            if self._is_own_file(os.fstat(file)):
                return file
            os.close(file)
        self.discard(name)
        msg = f"{self.path}/{name} is not a regular file of this user"
        raise FileNotFoundError(errno.ENOENT, msg)

    def _is_own_file(self, found: os.stat_result) -> bool:
        return stat.S_ISREG(found.st_mode) and found.st_uid == self._owner

    def stat(self, name: str) -> os.stat_result | None:
        """Return the status of a file; None if it is missing."""
        try:
            return os.stat(name, dir_fd=self.file, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def rename(self, source: str, target: str) -> None:
        """Rename a file and replace the target, unless that is a folder that is not empty.

        Raises
        ------
        IsADirectoryError
            If the target is such a folder.
        """
        try:
            os.rename(source, target, src_dir_fd=self.file, dst_dir_fd=self.file)
        except IsADirectoryError:
            self.discard(target)
            os.rename(source, target, src_dir_fd=self.file, dst_dir_fd=self.file)

    def remove(self, name: str) -> None:
        """Remove a file or an empty folder if it is present.

        Raises
        ------
        IsADirectoryError
            If it is a folder that is not empty.
        """
        try:
            os.unlink(name, dir_fd=self.file)
        except FileNotFoundError:
            pass
        except (IsADirectoryError, PermissionError):  # the latter on macOS
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=self.file)
                return
            raise

    def discard(self, name: str) -> bool:
        """Remove a file or an empty folder if possible; return whether it is gone."""
        try:
            self.remove(name)
        except OSError:
            return False
        return True

    def entries(self) -> Iterator[os.DirEntry[str]]:
        """Return all entries."""
        # A new descriptor, because copies of one share a position, which another thread or a forked child would move.
        file = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.file)
        try:
            with os.scandir(file) as entries:
                yield from entries
        finally:
            os.close(file)


# Many caches of one folder, such as unpickled copies, share one descriptor.
_open: weakref.WeakValueDictionary[tuple[int, int], Folder] = weakref.WeakValueDictionary()


def open_folder(directory: str, *, make: bool) -> Folder:
    """Open the private folder in a directory, see `Folder`."""
    folder = Folder(directory, make=make)
    return _open.setdefault(folder.identity, folder)
