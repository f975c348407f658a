"""Counting what happens, from many threads."""

from __future__ import annotations

from threading import get_ident

__all__ = ["Counters"]

_NAMES = ("hits", "served_bytes", "misses", "joined", "revalidations", "origin_bytes")
_PLACES = {name: place for place, name in enumerate(_NAMES)}


class Counters:
    """Counts, exact however many threads count: each has counters of its own.

    `counters` are those of each thread, the hits and the bytes served first.

    A thread's identifier is given to another one after its end, so there are only as many counters as there ever were
    threads at once.
    """

    def __init__(self) -> None:
        self.counters: dict[int, list[int]] = {}

    def add(self, **counts: int) -> None:
        """Add to counts."""
        counter = self.counters.setdefault(get_ident(), [0] * len(_NAMES))
        for name, count in counts.items():
            counter[_PLACES[name]] += count

    def served(self, blocks: int, size: int) -> None:
        """Add the blocks found and the bytes served by one request: `add`, for those in a hurry."""
        counter = self.counters.get(get_ident())
        if counter is None:
            self.add(hits=blocks, served_bytes=size)
        else:
            counter[0] += blocks
            counter[1] += size

    def __getitem__(self, name: str) -> int:
        return sum(counter[_PLACES[name]] for counter in list(self.counters.values()))
