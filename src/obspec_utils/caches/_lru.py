"""A mapping with a budget that forgets what was not used for longest."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

from obspec_utils._guard import paused, reset_after_fork

__all__ = ["MAX_ENTRIES", "LruCache"]

# Small and empty values have a cost that their sizes don't tell.
MAX_ENTRIES = 65_536

K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Values with sizes, whose sum never exceeds `max_size`; 65,536 of them at most.

    Looking a value up takes no lock: each step is one operation of an OrderedDict, which is atomic. Changes are made
    under a lock, which nobody holds while doing anything else.

    Parameters
    ----------
    max_size
        The budget, in the unit of the sizes given to `put` (bytes, or 1 each to count values).
    """

    def __init__(self, max_size: int) -> None:
        self.max_size = max_size
        self._lock = threading.Lock()
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._size = 0
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        if self._lock.locked():  # another thread was in the middle of a change, which it will never finish here
            self._lock = threading.Lock()
            self._entries = OrderedDict()
            self._size = 0

    @property
    def size(self) -> int:
        """The sum of the sizes of what is kept."""
        return self._size

    def keys(self) -> list[K]:
        """Return the keys, the one not used for longest first."""
        with paused(), self._lock:
            return list(self._entries)

    def get(self, key: K) -> V | None:
        """Return the value of a key, which is now the one used last; None if it is not there."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        try:
            self._entries.move_to_end(key)
        except KeyError:
            return entry[0]  # evicted this moment; the value is as good as ever
        return entry[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a value, and forget others until the budget holds; a value larger than the budget is not kept."""
        with paused(), self._lock:
            self._drop(key)
            if size > self.max_size:
                return
            while self._entries and (self._size + size > self.max_size or len(self._entries) >= MAX_ENTRIES):
                _, (_, freed) = self._entries.popitem(last=False)
                self._size -= freed
            # In this order: where Ctrl-C hits in between, too much is counted, never too little, until it is empty.
            self._size = size + (self._size if self._entries else 0)
            self._entries[key] = (value, size)

    def delete(self, key: K) -> None:
        """Forget a key, if it is there."""
        with paused(), self._lock:
            self._drop(key)

    def _drop(self, key: K) -> None:
        _, size = self._entries.pop(key, (None, 0))
        self._size -= size

    def clear(self) -> None:
        """Forget everything."""
        with paused(), self._lock:
            self._entries.clear()
            self._size = 0
