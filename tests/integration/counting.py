"""Stores that note what they send, and threads that read from them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from obstore.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT = 30


class CountingStore:
    """A store that notes the byte ranges of its responses."""

    def __init__(self, data: bytes) -> None:
        self._store = MemoryStore()
        self._store.put("f", data)
        self.sent: list[tuple[int, int]] = []

    def get(self, path, *, options=None):
        result = self._store.get(path, options=options)
        self.sent.append(tuple(result.range))
        return result

    @property
    def bytes_sent(self) -> int:
        return sum(stop - start for start, stop in self.sent)

    def bytes_sent_twice(self) -> int:
        twice, seen = 0, 0
        for start, stop in sorted(self.sent):
            twice += max(0, min(stop, seen) - start)
            seen = max(seen, stop)
        return twice


class WaitingStore(CountingStore):
    """A store whose responses, while it is closed, wait until it is opened."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.is_open = threading.Event()
        self.is_open.set()
        self.arrived = threading.Semaphore(0)

    def get(self, path, *, options=None):
        self.arrived.release()
        assert self.is_open.wait(WAIT)
        return super().get(path, options=options)


def in_threads(jobs: list[Callable[[], None]], started: Callable[[], None] = lambda: None) -> None:
    errors: list[BaseException] = []

    def attempt(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [threading.Thread(target=attempt, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    started()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()
    if errors:
        raise errors[0]
