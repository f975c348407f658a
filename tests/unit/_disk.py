"""What tests see of a disk cache from outside."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 4096


def occupied(directory: Path, *, folders: bool) -> int:
    """Return what is on the disk, in whole blocks."""
    total = 0
    for folder, _, names in os.walk(directory):
        paths = [f"{folder}/{name}" for name in names] + [folder] * folders
        total += sum(-(-os.lstat(path).st_size // BLOCK) * BLOCK for path in paths)
    return total


def files(directory: Path) -> list[Path]:
    """Return the files that hold values, or parts of them."""
    return sorted(path for path in directory.glob("obspec-utils-1/??/*") if path.is_file())


def leases(directory: Path) -> list[Path]:
    return sorted(directory.glob("obspec-utils-1/leases/*"))


def age(directory: Path) -> None:
    """Make the leases as old as those that somebody left behind."""
    for path in leases(directory):
        os.utime(path, (0, 0))
