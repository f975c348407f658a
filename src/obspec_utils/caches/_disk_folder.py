"""Folders and files that only their user can read."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from pathlib import Path

__all__ = ["absolute", "check_ours", "drop", "make", "make_all", "touch"]

_PRIVATE = 0o700


def absolute(directory: object) -> str:
    """Return the path of a directory from the root on, which need not be there.

    Raises
    ------
    TypeError
        If it is neither a str nor a path.
    ValueError
        If it is empty or has a NUL.
    """
    path = os.fspath(directory) if isinstance(directory, os.PathLike) else directory
    if not isinstance(path, str):
        msg = f"directory must be a str or a path, got {directory!r}"
        raise TypeError(msg)
    if not path or "\0" in path:
        msg = f"directory must be a path, got {directory!r}"
        raise ValueError(msg)
    return str(Path(path).absolute())


def check_ours(folder: str) -> None:
    """Refuse a folder that somebody else may have made, to have us read what they wrote.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    PermissionError
        If it is a link, no folder, or another user's.
    """
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        kind = "a link" if stat.S_ISLNK(found.st_mode) else "a file"
        msg = f"{folder} is {kind}, not a folder: remove it, or use another directory"
        raise PermissionError(msg)
    if found.st_uid != os.geteuid():
        msg = f"{folder} belongs to user {found.st_uid}, not to {os.geteuid()}: use a directory of your own"
        raise PermissionError(msg)


def make(folder: str) -> bool:
    """Make a folder; return whether it was missing."""
    if Path(folder).is_dir():  # a tenth of the time of finding out by mkdir
        return False
    try:
        Path(folder).mkdir(_PRIVATE)
    except FileExistsError:
        return False
    Path(folder).chmod(_PRIVATE)  # whatever the umask
    return True


def make_all(directory: str, folder: str) -> None:
    """Make the user's directory, and our folder in it, as far as they are missing."""
    Path(directory).parent.mkdir(parents=True, exist_ok=True)
    make(directory)
    make(folder)


def drop(path: str) -> None:
    """Remove a file if that can be done."""
    with contextlib.suppress(OSError):
        Path(path).unlink()


def touch(file: int) -> None:
    """Note that an open file was used now. The system's own time stamps are too coarse to tell which was used last."""
    now = time.time_ns()
    with contextlib.suppress(OSError):  # the disk is read-only, perhaps
        os.utime(file, ns=(now, now))
