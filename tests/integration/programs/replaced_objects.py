"""Objects whose every word tells which version it is of, and a file in which processes tell how far they have come."""

from __future__ import annotations

import mmap
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

BUCKET = "replaced"
OBJECTS = 40
LEAST, MOST = 16 * 1024, 32 * 1024
WORD = 8
_NUMBERS = b"".join(bytes(4) + number.to_bytes(4) for number in range(MOST // WORD))
_COUNTERS = struct.Struct("=II")


def size_of(path: int, version: int) -> int:
    """Return a size that differs from version to version, and is not always one of whole words."""
    return LEAST + (path * 7919 + version * 104_729) % (MOST - LEAST)


@lru_cache(maxsize=2048)
def content_of(path: int, version: int) -> bytes:
    """Return an object: words of 8 bytes that hold the path, the version, and their own number."""
    content = bytearray(_NUMBERS)
    for position, letter in enumerate(bytes([path]) + version.to_bytes(3)):
        content[position::WORD] = bytes([letter]) * (len(content) // WORD)
    return bytes(content[: size_of(path, version)])


def version_of(found: bytes, start: int) -> int:
    """Return the version that bytes say they are of; there must be a whole word among them."""
    first = -start % WORD
    return int.from_bytes(found[first + 1 : first + 4])


class Progress(NamedTuple):
    """The versions of an object: the last one that was put for certain, and the last that may have been."""

    done: int
    begun: int


class Ledger:
    """The progress of all objects, in a file that processes share; each object is written by one of them only."""

    def __init__(self, path: Path) -> None:
        path.touch()
        with path.open("r+b") as file:
            file.truncate(OBJECTS * _COUNTERS.size)
            self._memory = mmap.mmap(file.fileno(), 0)
        self._seen = [Progress(0, 0)] * OBJECTS

    def __getitem__(self, path: int) -> Progress:
        while True:  # `pack_into` writes zeros first, which another process may see
            found = Progress(*_COUNTERS.unpack_from(self._memory, path * _COUNTERS.size))
            if found.done >= self._seen[path].done and found.begun >= self._seen[path].begun:
                self._seen[path] = found
                return found

    def begin(self, path: int) -> int:
        done, begun = self[path]
        _COUNTERS.pack_into(self._memory, path * _COUNTERS.size, done, begun + 1)
        return begun + 1

    def end(self, path: int, version: int) -> None:
        _COUNTERS.pack_into(self._memory, path * _COUNTERS.size, version, version)
