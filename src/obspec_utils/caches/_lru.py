"""A least recently used cache with a budget for the sizes of its values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

from obspec_utils._io.gc_pause import held, paused, reset_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LruCache"]

# The overhead of this many entries is not counted, so that a budget of ten blocks holds ten blocks.
_UNCOUNTED = 1024

K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Keep values within a budget; evict the least recently used ones.

    Lookups need no lock, because each step is one atomic operation of an OrderedDict. Changes hold a lock, which is
    held for nothing else.

    Parameters
    ----------
    max_size
        The budget for the sizes given to `put`: bytes, or 1 each to count values.
    on_evict
        Called with each key that was removed or not kept. It runs under the lock, so it must be quick and must not use
        this cache.
    overhead
        The size of an entry beside its value. It counts against the budget from the 1,025th entry on.

    Attributes
    ----------
    entries
        The values and their sizes, by key. Read it if calling `get` takes too long; never change it.
    evictions
        The number of values evicted for space.
    """

    def __init__(self, max_size: int, on_evict: Callable[[K], None] | None = None, *, overhead: int = 0) -> None:
        self.max_size = max_size
        self.evictions = 0
        self._overhead = overhead
        self._on_evict = on_evict
        self._lock = threading.Lock()
        self.entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._size = 0
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        if self._lock.locked():  # another thread was changing the entries and does not exist in this process
            self._lock = threading.Lock()
            self.entries.clear()
            self._size = 0

    @property
    def size(self) -> int:
        """The sum of the sizes of all values, without overhead."""
        return self._size

    def keys(self) -> list[K]:
        """Return the keys, the least recently used first."""
        return paused(self._keys)

    def _keys(self) -> list[K]:
        with held(self._lock):
            return list(self.entries)

    def get(self, key: K) -> V | None:
        """Return the value of a key and mark it as used; None if it is missing."""
        entries = self.entries
        try:
            value = entries[key][0]
            entries.move_to_end(key)
        except KeyError:  # missing, or evicted in between
            return None
        return value

    def peek(self, key: K) -> V | None:
        """Return the value of a key without marking it as used; None if it is missing."""
        entry = self.entries.get(key)
        return None if entry is None else entry[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a value and evict others until the budget holds; skip a value larger than the budget."""
        paused(self._put, key, value, size)

    def _put(self, key: K, value: V, size: int) -> None:
        with held(self._lock):
            self._size -= self.entries.pop(key, (None, 0))[1]
            if size > self.max_size:
                self._notify(key)
                return
            while self.entries and self._size + size + self._total_overhead() > self.max_size:
                evicted, (_, freed) = self.entries.popitem(last=False)
                self._size -= freed
                self.evictions += 1
                self._notify(evicted)
            # In this order: an interrupt in between leaves the size too high, never too low, until the cache is empty.
            self._size = size + (self._size if self.entries else 0)
            self.entries[key] = (value, size)

    def _total_overhead(self) -> int:
        """Return the overhead of all entries and one more."""
        return self._overhead * max(0, len(self.entries) + 1 - _UNCOUNTED)

    def delete(self, key: K) -> None:
        """Remove a key if it is present."""
        paused(self._delete, key)

    def _delete(self, key: K) -> None:
        with held(self._lock):
            if key in self.entries:
                self._size -= self.entries.pop(key)[1]
                self._notify(key)

    def clear(self) -> None:
        """Remove all entries."""
        paused(self._clear)

    def _clear(self) -> None:
        with held(self._lock):
            keys = list(self.entries)
            self.entries.clear()
            self._size = 0
            for key in keys:
                self._notify(key)

    def _notify(self, key: K) -> None:
        if self._on_evict is not None:
            self._on_evict(key)
