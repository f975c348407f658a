"""Caches of a user's own, and stores that share them."""

from __future__ import annotations

import threading
from typing import Any

from obspec_utils.wrappers import CachingReadableStore
from tests.contracts._stores import OnlyGet, Versions

__all__ = ["CONTENT", "Broken", "DictCache", "Over"]

CONTENT = bytes(range(256)) * 4


class DictCache:
    """A cache of a user's own, with a log."""

    def __init__(self, max_size: int | None = None) -> None:
        self.values: dict[str, bytes] = {}
        self.log: list[str] = []
        self.threads: set[int] = set()
        if max_size is not None:
            self.max_size = max_size

    def get(self, key: str) -> bytes | None:
        self.threads.add(threading.get_ident())
        self.log.append("get")
        return self.values.get(key)

    def put(self, key: str, value: Any) -> None:
        self.threads.add(threading.get_ident())
        self.log.append("put")
        self.values[key] = bytes(value)

    def delete(self, key: str) -> None:
        self.log.append("delete")
        self.values.pop(key, None)

    def clear(self) -> None:
        self.values.clear()

    def blocks(self) -> list[bytes]:
        return sorted(value for value in self.values.values() if not value.startswith(b"{"))


class Broken(DictCache):
    """A cache whose methods fail."""

    def get(self, key: str) -> bytes | None:
        raise ConnectionError(key)

    put = delete = get  # type: ignore[assignment]


class Over:
    """Stores that read the same objects, each with a memory of its own, and count what they ask the origin."""

    def __init__(self, versions: Versions | None = None, **options: Any) -> None:
        self.origin = OnlyGet({"object": CONTENT, "other": CONTENT[::-1]}, versions)
        self.options = {"namespace": "here", "block_size": 256, **options}

    def store(self, *caches: Any, **options: Any) -> CachingReadableStore:
        return CachingReadableStore(self.origin, cache=list(caches), **{**self.options, **options})  # type: ignore[arg-type]

    def asked(self) -> int:
        count = len(self.origin.requests)
        self.origin.requests.clear()
        return count
