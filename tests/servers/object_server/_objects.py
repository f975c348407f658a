"""The objects themselves: every version of every path, in memory."""

from __future__ import annotations

import itertools
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.object_server._http import Body

KEPT_VERSIONS = 8
"""Versions kept per path, so that rewriting a large object often does not fill the memory."""

_RANDOM_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One version of an object; None for `etag` or `modified` means the server tells none."""

    data: memoryview
    etag: str | None
    modified: int | None
    version: str
    attributes: tuple[tuple[str, str], ...] = ()


class Objects:
    """All objects by path (`bucket/key`); buckets exist as soon as they are named."""

    def __init__(self) -> None:
        self._versions: dict[str, list[StoredObject]] = {}
        self._current: dict[str, StoredObject] = {}
        self._numbers = itertools.count(1)

    def put(self, path: str, data: Body, attributes: tuple[tuple[str, str], ...] = ()) -> StoredObject:
        """Store a new version; its ETag, version and Last-Modified all differ from the last one's."""
        history = self._versions.setdefault(path, [])
        modified = int(time.time())
        if history and (before := history[-1].modified) is not None:
            # HTTP dates have whole seconds: two quick writes would share one.
            modified = max(modified, before + 1)
        number = next(self._numbers)
        stored = StoredObject(
            memoryview(data).toreadonly(),
            f'"{number:08x}-{len(data):x}"',
            modified,
            f"v{number:08x}",
            attributes,
        )
        history.append(stored)
        del history[:-KEPT_VERSIONS]
        self._current[path] = stored
        return stored

    def get(self, path: str, version: str | None = None) -> StoredObject | None:
        """Return the current version, or the one named; None if there is none."""
        if version is None:
            return self._current.get(path)
        kept = self._versions.get(path, [])
        return next((stored for stored in kept if stored.version == version), None)

    def delete(self, path: str) -> bool:
        """Remove the current version (older ones stay readable by name); tell if there was one."""
        return self._current.pop(path, None) is not None

    def below(self, prefix: str) -> Iterator[tuple[str, StoredObject]]:
        """All current objects whose path starts with `prefix`, in the order of S3 (UTF-8 bytes)."""
        paths = (path for path in self._current if path.startswith(prefix))
        for path in sorted(paths, key=str.encode):
            yield path, self._current[path]

    def wipe(self) -> None:
        """Forget everything but the counter: ETags are never used twice."""
        self._versions.clear()
        self._current.clear()


def random_bytes(size: int, seed: int, period: int | None = None) -> bytearray:
    """Return `size` bytes that depend on `seed` only; made in pieces to bound the extra memory.

    With a `period` they repeat after so many bytes, which is made sooner.
    """
    source = random.Random(seed)
    data = bytearray(size)
    made = min(size, period or size)
    for start in range(0, made, _RANDOM_PIECE):
        stop = min(made, start + _RANDOM_PIECE)
        data[start:stop] = source.randbytes(stop - start)
    with memoryview(data) as view:
        for start in range(made, size, made or 1):
            stop = min(size, start + made)
            view[start:stop] = view[: stop - start]
    return data
