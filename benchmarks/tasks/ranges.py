"""Read an object to its end in ranges of a store (B3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.tasks._source import Checksum

if TYPE_CHECKING:
    from benchmarks.tasks._clock import Clock
    from benchmarks.tasks._source import Source


def run(source: Source, clock: Clock, *, size: int, step: int) -> tuple[str, dict[str, float]]:
    """Ask for `step` bytes after `step` bytes and keep none of them."""
    checksum = Checksum()
    store = source.call("STORE")
    size = min(size, store.head(source.path)["size"])
    with clock:
        for start in range(0, size, step):
            checksum.add(store.get_range(source.path, start=start, length=min(step, size - start)))
    return str(checksum), {}
