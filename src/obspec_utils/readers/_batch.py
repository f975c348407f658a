"""What the threads that share a reader are fetching: a thread waits for bytes that another one fetches."""

from __future__ import annotations

import sys
import threading
from bisect import bisect_right
from concurrent.futures import Future
from typing import TYPE_CHECKING

from obspec_utils._io.gc_pause import held, reset_after_fork

if TYPE_CHECKING:
    from obspec_utils._ranges import ByteRange

__all__ = ["Batch", "RunningBatches"]


class Batch:
    """Byte ranges that one thread fetches, in order of their offsets, and others wait for.

    The thread fetches and keeps them in a `with`, at the end of which the others are woken. An error is theirs, too.
    """

    def __init__(self, running: RunningBatches, parts: list[ByteRange]) -> None:
        self._running = running
        self.parts = parts
        self.starts = [part.start for part in parts]
        self.length = sum(part.length for part in parts)
        self.done: Future[None] = Future()

    def __enter__(self) -> None:
        """Do nothing: the ranges are claimed already."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._running.remove(self)
        if isinstance(error, Exception):
            self.done.set_exception(error)
        else:
            self.done.set_result(None)

    def stop_at(self, position: int) -> int:
        """Return the stop of the part that has a position; 0 if there is none."""
        number = bisect_right(self.starts, position) - 1
        return self.parts[number].stop if number >= 0 and position < self.parts[number].stop else 0

    def next_start(self, position: int, default: int) -> int:
        """Return the start of the first part after a position, or `default` if there is none before that."""
        number = bisect_right(self.starts, position)
        return min(self.starts[number], default) if number < len(self.starts) else default

    def overlaps(self, span: ByteRange) -> bool:
        """Return whether some bytes of a range are in this batch."""
        return bool(self.stop_at(span.start)) or self.next_start(span.start, span.stop) < span.stop


class RunningBatches:
    """The batches that the threads of one reader fetch at the moment.

    A thread waits only while it has no batch, so no two threads wait for each other. Call its methods inside
    `paused()`.

    Attributes
    ----------
    lock
        Held while a thread decides what to fetch, until that is added; never while it fetches.
    """

    def __init__(self) -> None:
        self._reset_after_fork()
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        self.lock = threading.Lock()
        self._batches: list[Batch] = []

    def add(self, parts: list[ByteRange]) -> Batch:
        """Claim byte ranges, in order of their offsets. The caller holds the lock."""
        batch = Batch(self, parts)
        self._batches = [*self._batches, batch]
        return batch

    def remove(self, batch: Batch) -> None:
        """Remove a batch."""
        with held(self.lock):
            self._batches = [other for other in self._batches if other is not batch]

    def overlapping(self, span: ByteRange) -> Batch | None:
        """Return a batch that has some bytes of a range; None if there is none."""
        if sys.is_finalizing():  # other threads never finish
            return None
        return next((batch for batch in self._batches if batch.overlaps(span)), None)

    def wait(self, span: ByteRange) -> None:
        """Wait until no other thread fetches bytes of a range; raise the error of one that failed."""
        while batch := self.overlapping(span):
            batch.done.result()

    def stop_at(self, position: int) -> int:
        """Return how far the bytes at a position are being fetched; 0 if they are not."""
        return max((batch.stop_at(position) for batch in self._batches), default=0)

    def next_start(self, position: int, default: int) -> int:
        """Return the start of the first range after a position, or `default` if there is none before that."""
        for batch in self._batches:
            default = batch.next_start(position, default)
        return default
