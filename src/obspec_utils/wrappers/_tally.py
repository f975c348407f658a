"""Counting what happens, from many threads."""

from __future__ import annotations

import threading
from collections import Counter

__all__ = ["Tally"]


class Tally:
    """Counts, exact however many threads count: each has counters of its own.

    A thread's identifier is given to another one after its end, so there are only as many counters as there ever were
    threads at once.
    """

    def __init__(self) -> None:
        self._counters: dict[int, Counter[str]] = {}

    def add(self, **counts: int) -> None:
        """Add to counts."""
        thread = threading.get_ident()
        counter = self._counters.get(thread)
        if counter is None:
            counter = self._counters[thread] = Counter()
        for name, count in counts.items():
            counter[name] += count

    def served(self, blocks: int, size: int) -> None:
        """Add the blocks found and the bytes served by one request: `add`, for those in a hurry."""
        counter = self._counters.get(threading.get_ident())
        if counter is None:
            self.add(hits=blocks, served_bytes=size)
        else:
            counter["hits"] += blocks
            counter["served_bytes"] += size

    def __getitem__(self, name: str) -> int:
        return sum(counter[name] for counter in list(self._counters.values()))
