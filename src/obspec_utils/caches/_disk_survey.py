"""What lies in a disk cache's folder, and what it costs.

```text
<folder>/budget                 the count of bytes, and the lock of whoever changes it (_disk_budget)
<folder>/ab/abcd...             a value, by the SHA-256 of its key
<folder>/ab/abcd....4096.x7     the same while it is written, with the bytes reserved for it
<folder>/leases                 an empty file, a byte of which is locked by who fetches a value (_disk_leases)
```
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from obspec_utils.caches import _disk_lock as lock

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BUDGET", "LEASES", "Prices", "Usage", "forget", "survey", "temporary", "tidy"]

BUDGET = "budget"
LEASES = "leases"

_BLOCK = 4096
# In ext4's folders a name of 64 letters takes 72 bytes, and what is full is split in halves.
_ENTRY = 144
# All folders together take little more than this; a smaller budget is one for files only.
_COUNT_FOLDERS = 1024 * 1024
# The user's directory, and our folder in it.
_FIXED_FOLDERS = 2


class Prices:
    """What files and folders count for, rounded up to what they occupy.

    Parameters
    ----------
    max_size
        The budget: folders are left out of a very small one, which they would fill.
    """

    __slots__ = ("_entry", "fixed", "folder", "name")

    def __init__(self, max_size: int) -> None:
        counted = max_size >= _COUNT_FOLDERS
        self.folder = _BLOCK if counted else 0
        self._entry = _ENTRY if counted else 0
        # The file of the budget itself is there in any case.
        self.fixed = _BLOCK + _FIXED_FOLDERS * self.folder
        self.name = "with-folders" if counted else "files-only"

    def of_file(self, size: int) -> int:
        """Return what a file of `size` bytes counts for."""
        return -(-size // _BLOCK) * _BLOCK + self._entry

    def of_folder(self, size: int) -> int:
        """Return what a folder counts for, which some file systems never let shrink."""
        return max(self.folder, -(-size // _BLOCK) * self.folder)


@dataclass(slots=True)
class Usage:
    """What was found: the values by when they were last used, what is being written, and the bytes of all of it."""

    size: int = 0
    busy: int = 0
    values: list[tuple[int, int, str]] = field(default_factory=list)
    written: list[tuple[str, int]] = field(default_factory=list)
    folders: dict[str, int] = field(default_factory=dict)


def temporary(path: str, cost: int) -> str:
    """Return where a value is written before it gets its name: beside it, telling what is reserved for it."""
    return f"{path}.{cost}.{os.urandom(8).hex()}"


def survey(folder: str, prices: Prices) -> Usage:
    """Look at all files and folders, which others may be changing."""
    usage = Usage()
    for entry in _entries(folder):
        if not entry.is_dir(follow_symlinks=False):
            if entry.name not in (BUDGET, LEASES):
                _add_other(usage, entry, prices)
        else:
            _survey_folder(usage, entry.path, prices)
    return usage


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        yield from entries


def _survey_folder(usage: Usage, folder: str, prices: Prices) -> None:
    with contextlib.suppress(FileNotFoundError):
        usage.folders[folder] = prices.of_folder(os.lstat(folder).st_size)
        usage.size += usage.folders[folder]
        for entry in _entries(folder):
            _, cost, _ = (*entry.name.split("."), "", "")[:3]
            if cost.isdecimal():
                usage.written.append((entry.path, int(cost)))
                usage.size += int(cost)
            elif len(entry.name) == 64:  # noqa: PLR2004 - the letters of a SHA-256
                _add_value(usage, entry, prices)
            else:
                _add_other(usage, entry, prices)


def _add_value(usage: Usage, entry: os.DirEntry[str], prices: Prices) -> None:
    with contextlib.suppress(FileNotFoundError):  # removed meanwhile
        found = entry.stat(follow_symlinks=False)
        cost = prices.of_file(found.st_size)
        usage.values.append((found.st_mtime_ns, cost, entry.path))
        usage.size += cost


def _add_other(usage: Usage, entry: os.DirEntry[str], prices: Prices) -> None:
    """Count what somebody else put there. It is left alone."""
    with contextlib.suppress(FileNotFoundError):
        cost = prices.of_file(entry.stat(follow_symlinks=False).st_size)
        usage.busy += cost
        usage.size += cost


def tidy(usage: Usage) -> None:
    """Remove what dead processes left, while nobody else can start to write."""
    for path, cost in usage.written:
        if _remove_idle(path):
            usage.size -= cost
        else:
            usage.busy += cost
    for path in list(usage.folders):
        _remove_if_empty(usage, path)


def _remove_idle(path: str) -> bool:
    """Remove a file whose writer is gone; return whether it is not there any more."""
    try:
        held = lock.hold(path, make=False)
        if held is not None:
            held.remove()
    except FileNotFoundError:
        return True
    except OSError:  # nothing we made
        return False
    return held is not None


def _remove_if_empty(usage: Usage, folder: str) -> None:
    with contextlib.suppress(OSError):
        Path(folder).rmdir()
        usage.size -= usage.folders.pop(folder, 0)


def forget(usage: Usage, goal: int) -> int:
    """Remove values, the one not used for longest first, until the size is `goal`; return how many that were."""
    usage.values.sort(reverse=True)
    forgotten = 0
    while usage.values and usage.size > goal:
        _, cost, path = usage.values[-1]
        with contextlib.suppress(FileNotFoundError):
            Path(path).unlink()
            forgotten += 1
        usage.values.pop()
        usage.size -= cost
        _remove_if_empty(usage, path.rpartition("/")[0])
    return forgotten
