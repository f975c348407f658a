"""Read one byte of a large object (B10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.tasks._source import Checksum

if TYPE_CHECKING:
    from benchmarks.tasks._clock import Clock
    from benchmarks.tasks._source import Source


def run(source: Source, clock: Clock, *, start: int) -> tuple[str, dict[str, float]]:
    """Ask a store for the byte at `start`."""
    store = source.call("STORE")
    with clock:
        byte = store.get_range(source.path, start=start, length=1)
    return str(Checksum([byte])), {}
