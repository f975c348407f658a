"""Go through an object from front to back in small reads (B5)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.tasks._source import Checksum

if TYPE_CHECKING:
    from benchmarks.tasks._clock import Clock
    from benchmarks.tasks._source import Source

_READ = 64 << 10
_READS_PER_MEBIBYTE = 16


def run(source: Source, clock: Clock, *, work: float = 0.0) -> tuple[str, dict[str, float]]:
    """Read 64 KiB at a time to the end, and compute for `work` seconds with each MiB."""
    checksum = Checksum()
    reads = 0
    with clock, source.open() as file:
        while piece := file.read(_READ):
            reads += 1
            if reads % _READS_PER_MEBIBYTE == 0:
                _compute(work)
                # Of one read in sixteen: a CRC of all would be work of its own.
                checksum.add(piece)
    return f"{checksum} in {reads}", {}


def _compute(seconds: float) -> None:
    """Keep a core busy, as parsing would."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
