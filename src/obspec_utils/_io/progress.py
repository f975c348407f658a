"""Report how many bytes have arrived: counted where they arrive, in any thread; shown where the caller waits."""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["INTERVAL", "Counter", "Progress"]

# Seconds between two updates, but for the last, which is never delayed.
INTERVAL = 0.1


class Counter:
    """Bytes of one object that have arrived.

    Attributes
    ----------
    size
        The size of the object; None as long as it is not known.
    settled
        What the object counts for at last: its size, or 0 if it could not be loaded.
    """

    def __init__(self, size: int | None = None) -> None:
        self.size = size
        self.settled: int | None = None
        self._arrived = 0
        self._changes: deque[int] = deque()
        # Called in threads that fetch parts. Atomic, unlike a sum. Negative for bytes that will be requested again.
        self.add = self._changes.append

    def restart(self, arrived: int) -> None:
        """Set the number of bytes, before others are requested."""
        self._changes.clear()
        self._arrived = arrived

    def arrived(self) -> int:
        """Return the number of bytes; called by one thread at a time."""
        while self._changes:
            self._arrived += self._changes.popleft()
        return self._arrived


class Progress:
    """The progress of one call, shown to the user by `update` and `end`, which the caller's thread or task calls.

    Parameters
    ----------
    show
        Called with the number of bytes that have arrived, which never decreases, and of all bytes if it is known.
    close
        Called after the last update, and after an error.
    objects
        The number of objects to load.
    clock
        Returns seconds.
    """

    def __init__(
        self,
        show: Callable[[int, int | None], object],
        close: Callable[[], None],
        objects: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._show = show
        self.close = close
        self._objects = objects  # without those that are settled
        self._clock = clock
        self._counters: deque[Counter] = deque()
        self._settled = 0
        self._shown: tuple[int, int | None] = (0, None)
        self._next = 0.0
        # Never waited for: a thread and a task may load the same object.
        self._showing = threading.Lock()

    def counter(self, size: int | None = None) -> Counter:
        """Return a counter for one of the objects."""
        counter = Counter(size)
        self._counters.append(counter)
        return counter

    def update(self) -> None:
        """Show the progress, unless it was shown less than 0.1 s ago."""
        if self._clock() >= self._next:
            self._report()

    def end(self) -> None:
        """Show the progress at the end of a load, at once if everything has arrived."""
        done, total = self._report(final=True)
        if done == total:
            self.close()

    def _report(self, *, final: bool = False) -> tuple[int, int | None]:
        if self._showing.acquire(blocking=False):
            try:
                done, total = self._count()
                before = self._shown[0]
                if total is not None:
                    total = max(total, before)  # an object failed after some of it had arrived
                    done = min(done, total)
                done = max(done, before)
                if (done, total) != self._shown and (not final or done == total or self._clock() >= self._next):
                    self._shown, self._next = (done, total), self._clock() + INTERVAL
                    self._show(done, total)
            finally:
                self._showing.release()
        return self._shown

    def _count(self) -> tuple[int, int | None]:
        arrived, sizes = 0, list[int | None]()
        for _ in range(len(self._counters)):
            counter = self._counters.popleft()
            if counter.settled is not None:
                self._settled += counter.settled
                self._objects -= 1
                continue
            self._counters.append(counter)
            sizes.append(counter.size)
            arrived += counter.arrived()
        known = [size for size in sizes if size is not None]
        total = self._settled + sum(known) if len(known) == self._objects else None
        return self._settled + arrived, total
