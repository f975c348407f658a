"""Files that are locked for as long as their holder wants, or lives.

The system ends a lock (flock) with the last descriptor of the open file it was taken through, so a killed process
leaves none. A file that is removed by its holder may have been opened by somebody before: who takes a lock looks
whether the path still names the file.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from obspec_utils._guard import reset_after_fork

__all__ = ["SUPPORTED", "Held", "create", "hold", "open_private", "wait"]

SUPPORTED = find_spec("fcntl") is not None  # not on Windows
if TYPE_CHECKING or SUPPORTED:
    import fcntl

_PRIVATE = 0o600
# Each one means that somebody removed the file between our opening and locking it.
_TRIES = 100
_FIRST_NAP, _LONGEST_NAP = 0.0001, 0.01


class Held:
    """A file that is open and locked until `close()`, or the end of the process."""

    __slots__ = ("__weakref__", "file", "path")

    def __init__(self, path: str, file: int) -> None:
        self.path = path
        self.file = file
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        # The child's copy of the descriptor would keep the lock if the parent were killed. It must not unlock: that
        # would end the parent's lock, too.
        file, self.file = self.file, -1
        if file >= 0:
            with contextlib.suppress(OSError):
                os.close(file)

    def close(self) -> None:
        """Let others have it."""
        file, self.file = self.file, -1
        if file < 0:
            return
        try:
            # A child that was forked, and has yet to start another program, may have a copy of the descriptor.
            fcntl.flock(file, fcntl.LOCK_UN)
        finally:
            os.close(file)

    def remove(self) -> None:
        """Remove the file, if the path still names it, and let others have it."""
        try:
            if self.file >= 0 and self.is_named():
                Path(self.path).unlink()
        finally:
            self.close()

    def is_named(self) -> bool:
        """Tell whether the path still names this file."""
        try:
            named = os.lstat(self.path)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(self.file))

    def lock(self) -> bool:
        """Lock it, unless somebody else has."""
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self.close()


def create(path: str) -> Held:
    """Make a new file, and hold it."""
    held = _open(path, os.O_CREAT | os.O_EXCL)
    held.lock()
    return held


def hold(path: str, *, make: bool = True) -> Held | None:
    """Hold a file, which is made if need be; None if somebody else holds it.

    Raises
    ------
    FileNotFoundError
        If its folder is missing, or the file is and should not be made.
    """
    for _ in range(_TRIES):
        held = _open(path, os.O_CREAT if make else 0)
        if not held.lock():
            held.close()
            return None
        if held.is_named():
            return held
        held.close()
    return None


def wait(path: str, patience: float) -> Held | None:
    """Hold a file as soon as nobody else does; None if that takes longer than `patience` in seconds.

    It is asked for again and again: a thread that slept in flock could not be woken when its time is up.
    """
    give_up = time.monotonic() + patience
    nap = _FIRST_NAP
    while (held := hold(path)) is None and time.monotonic() < give_up:
        time.sleep(nap)
        nap = min(2 * nap, _LONGEST_NAP)
    return held


def _open(path: str, flags: int) -> Held:
    return Held(path, open_private(path, flags))


def open_private(path: str, flags: int) -> int:
    """Open a file, no link, that only its user can read."""
    file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | flags, _PRIVATE)
    try:
        if stat.S_IMODE(os.fstat(file).st_mode) != _PRIVATE:  # a strange umask
            os.fchmod(file, _PRIVATE)
    except BaseException:
        os.close(file)
        raise
    return file
