"""Load an object whole (B1, B2, B3, B9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.tasks._source import Checksum

if TYPE_CHECKING:
    from benchmarks.tasks._clock import Clock
    from benchmarks.tasks._source import Source


def run(source: Source, clock: Clock) -> tuple[str, dict[str, float]]:
    """Time how long it takes until all bytes are in memory."""
    with clock:
        buffers = source.load()
    checksum = Checksum(buffers)
    clock.look_again()  # a mapping counts for nothing before it is read
    return str(checksum), {}
