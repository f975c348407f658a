"""A mapping with a budget that forgets what was not used for longest."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

from obspec_utils._io.gc_pause import gc_paused, held, reset_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable

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
    left
        Is told each key that is not there any more, or could not be kept; called under the lock, so it must be quick,
        and ask nothing of this cache.

    Attributes
    ----------
    entries
        The values with their sizes, by keys; to be looked at only, by who has no time for `get`.
    """

    def __init__(self, max_size: int, on_evict: Callable[[K], None] | None = None) -> None:
        self.max_size = max_size
        self.evictions = 0  # values that made room for others
        self._on_evict = on_evict
        self._lock = threading.Lock()
        self.entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._size = 0
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        if self._lock.locked():  # another thread was in the middle of a change, which it will never finish here
            self._lock = threading.Lock()
            self.entries.clear()
            self._size = 0

    @property
    def size(self) -> int:
        """The sum of the sizes of what is kept."""
        return self._size

    def keys(self) -> list[K]:
        """Return the keys, the one not used for longest first."""
        with gc_paused(), held(self._lock):
            return list(self.entries)

    def get(self, key: K) -> V | None:
        """Return the value of a key, which is now the one used last; None if it is not there."""
        entries = self.entries
        try:
            value = entries[key][0]
            entries.move_to_end(key)
        except KeyError:  # it is not there, or has been evicted this moment
            return None
        return value

    def peek(self, key: K) -> V | None:
        """Return the value of a key, which is not used by that; None if it is not there."""
        entry = self.entries.get(key)
        return None if entry is None else entry[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a value, and forget others until the budget holds; a value larger than the budget is not kept."""
        with gc_paused(), held(self._lock):
            self._size -= self.entries.pop(key, (None, 0))[1]
            if size > self.max_size:
                self._notify(key)
                return
            while self.entries and (self._size + size > self.max_size or len(self.entries) >= MAX_ENTRIES):
                evicted, (_, freed) = self.entries.popitem(last=False)
                self._size -= freed
                self.evictions += 1
                self._notify(evicted)
            # In this order: where Ctrl-C hits in between, too much is counted, never too little, until it is empty.
            self._size = size + (self._size if self.entries else 0)
            self.entries[key] = (value, size)

    def delete(self, key: K) -> None:
        """Forget a key, if it is there."""
        with gc_paused(), held(self._lock):
            if key in self.entries:
                self._size -= self.entries.pop(key)[1]
                self._notify(key)

    def clear(self) -> None:
        """Forget everything."""
        with gc_paused(), held(self._lock):
            keys = list(self.entries)
            self.entries.clear()
            self._size = 0
            for key in keys:
                self._notify(key)

    def _notify(self, key: K) -> None:
        if self._on_evict is not None:
            self._on_evict(key)
