"""A budget that processes share: a number in a file, changed under the file's lock.

What is about to be written is added before, what was removed is taken off after, so the number is never too low. A
killed process leaves it too high at most. Whoever finds no room under the lock looks at what is really there, removes
what was left behind and what was not used for longest, and writes down what remains.

Values appear, get their names and are removed under the lock, too; so nothing moves while somebody looks, but for the
values that are being written, whose names tell what was reserved. Their bytes are written without the lock.
"""

from __future__ import annotations

import contextlib
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from obspec_utils._guard import paused
from obspec_utils.caches import _disk_lock as lock
from obspec_utils.caches._disk_survey import BUDGET, Prices, Usage, forget, survey, tidy

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Budget", "Ledger"]

# How long the lock is waited for. It is held for microseconds, or to look at all files and make room: 2 s for 100,000.
_PATIENCE = 2.0
# Room is made for a tenth of the budget at a time, so that the cost of a look is shared by many values.
_FULL, _TENTHS = 9, 10


@cache
def _boot() -> str:
    """Return what changes when the machine starts: after a power cut the number may be older than the files."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


class Budget:
    """What a folder may hold.

    Parameters
    ----------
    folder
        Where the values are.
    max_size
        For how many bytes they may count, with the budget's own file and the folders.
    """

    def __init__(self, folder: str, max_size: int) -> None:
        self.folder = folder
        self.prices = Prices(max_size)
        self.limit = max_size - self.prices.fixed
        self.evictions = 0
        self._path = f"{folder}/{BUDGET}"
        self._hopeless = False

    @property
    def size(self) -> int:
        """What is counted now: what there is and what is being written; more after a process was killed."""
        try:
            text = Path(self._path).read_bytes()
        except FileNotFoundError:
            text = b""
        known = self.parse(text)
        return survey(self.folder, self.prices).size if known is None else known

    @contextlib.contextmanager
    def locked(self) -> Iterator[Ledger | None]:
        """Hold the lock; None if somebody else doesn't give it back, who may have been stopped.

        Who has waited in vain doesn't wait again before the lock has been free once.

        Raises
        ------
        FileNotFoundError
            If the folder is missing.
        """
        with paused():
            held = lock.wait(self._path, 0 if self._hopeless else _PATIENCE)
            self._hopeless = held is None
            try:
                yield None if held is None else Ledger(self, held.file)
            finally:
                if held is not None:
                    held.close()

    def parse(self, text: bytes) -> int | None:
        """Return the number in the file; None if it can't be relied upon."""
        size, *told = text.decode("ascii", "replace").split()[:3] or [""]
        return int(size) if size.isdecimal() and told == [self.prices.name, _boot()] else None

    def format(self, size: int) -> bytes:
        """Return what the file holds, always as long."""
        return f"{size:020} {self.prices.name:12} {_boot()}\n".encode("ascii")


class Ledger:
    """The budget, for who holds its lock."""

    __slots__ = ("_budget", "_file")

    def __init__(self, budget: Budget, file: int) -> None:
        self._budget = budget
        self._file = file

    def _read(self) -> int | None:
        return self._budget.parse(os.pread(self._file, 128, 0))

    def _write(self, size: int) -> None:
        os.pwrite(self._file, self._budget.format(size), 0)

    def add(self, cost: int) -> None:
        """Count what there is now; less than 0 for what is gone."""
        size = self._read()
        if size is not None:  # else it is counted when room is needed
            self._write(max(0, size + cost))

    def reserve(self, cost: int) -> bool:
        """Count what is about to be written; False if there is no room, even without all values.

        Room is made for a folder, too, which may then be made and added.
        """
        limit = self._budget.limit
        need = cost + self._budget.prices.folder
        fits = need <= limit
        size = self._read()
        if size is None or size + need * fits > limit:
            size = self._make_room(need * fits)
        if not fits or size + need > limit:
            return False
        self._write(size + cost)
        return True

    def _make_room(self, need: int) -> int:
        """Remove what is in the way of `need` more bytes; return what is counted then."""
        limit = self._budget.limit
        usage = self._look()
        if usage.busy + need > limit:
            need = 0  # others are writing too much just now: to forget values would not help
        goal = usage.size
        if usage.size + need > limit:
            goal = max(0, min(limit * _FULL // _TENTHS, limit - need))
        self._budget.evictions += self._forget(usage, goal)
        return usage.size

    def clear(self) -> None:
        """Remove all values."""
        self._forget(self._look(), 0)

    def _look(self) -> Usage:
        usage = survey(self._budget.folder, self._budget.prices)
        tidy(usage)
        return usage

    def _forget(self, usage: Usage, goal: int) -> int:
        try:
            return forget(usage, goal)
        finally:
            self._write(usage.size)
