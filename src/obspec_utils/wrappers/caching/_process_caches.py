"""Caches in memory that the copies of a store share, in each process that unpickles them (`share="process"`)."""

from __future__ import annotations

import threading
import weakref
from contextlib import suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from obspec_utils._io.allocation import release_freed_memory
from obspec_utils._io.gc_pause import held, paused, reset_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["PROCESS_CACHES", "ProcessCaches", "ShareKey", "User"]

# Seconds that a cache is kept after the last copy of its store: tasks follow each other, each with a copy of its own.
KEEP = 60.0
# Seconds between looking for unused caches.
_STEP = 15.0


class ShareKey(NamedTuple):
    """Which store copies are of, and the process that made it, by random ids."""

    store: str
    process: str


class User:
    """Held by all copies that use a cache, and by nothing else."""


class _ProcessCache:
    """The parts of a store that copies share, and a weak reference to what those that live hold."""

    def __init__(self, parts: Mapping[str, object]) -> None:
        self.parts = parts
        self.user: weakref.ref[User] | None = None
        self.unused_since: float | None = None

    def use(self) -> User:
        self.unused_since = None
        user = None if self.user is None else self.user()
        if user is None:
            user = User()
            self.user = weakref.ref(user)
        return user

    def is_unused_for(self, seconds: float, now: float) -> bool:
        if self.user is None or self.user() is not None:
            self.unused_since = None
            return False
        if self.unused_since is None:
            self.unused_since = now
        return now - self.unused_since >= seconds


class ProcessCaches:
    """The shared caches of this process.

    One daemon thread, which runs while there are any, frees those that no copy has used for a minute. Nothing waits for
    it.
    """

    def __init__(self) -> None:
        self._reset_after_fork()
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        self._process = uuid4().hex
        self._lock = threading.Lock()
        self._caches: dict[str, _ProcessCache] = {}
        self._is_timed = False

    def __len__(self) -> int:
        return len(self._caches)

    def new_key(self) -> ShareKey:
        """Return the key of a store that is made in this process."""
        return ShareKey(uuid4().hex, self._process)

    def join(self, key: ShareKey, make: Callable[[], Mapping[str, object]]) -> tuple[Mapping[str, object], User] | None:
        """Return the parts to use, which the first copy makes, and what the copy has to hold.

        Return None in the process that made the store, where copies share nothing.
        """
        return None if key.process == self._process else paused(self._join, key.store, make)

    def _join(self, store: str, make: Callable[[], Mapping[str, object]]) -> tuple[Mapping[str, object], User]:
        with held(self._lock):
            cache = self._caches.get(store)
            if cache is None:
                cache = self._caches[store] = _ProcessCache(make())
            if not self._is_timed:
                with suppress(RuntimeError):  # no thread can be started: the next copy tries again
                    threading.Thread(target=self._free_unused, name="obspec-utils-process-caches", daemon=True).start()
                    self._is_timed = True
            return cache.parts, cache.use()

    def find(self, key: ShareKey) -> Mapping[str, object]:
        """Return the shared parts of the copies of a store; none if there are none."""
        cache = self._caches.get(key.store)
        return {} if cache is None else cache.parts

    def _free_unused(self) -> None:
        while True:
            sleep(_STEP)
            if not paused(self._free, monotonic()):
                return

    def _free(self, now: float) -> bool:
        """Free the caches that were unused for long; return whether any are left."""
        with held(self._lock):
            unused = [store for store, cache in self._caches.items() if cache.is_unused_for(KEEP, now)]
            for store in unused:
                del self._caches[store]
            self._is_timed = bool(self._caches)
        if unused:
            release_freed_memory()
        return self._is_timed


PROCESS_CACHES = ProcessCaches()
