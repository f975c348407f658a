"""Load many small objects through a pool of threads (B2)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.tasks._source import Checksum

if TYPE_CHECKING:
    from benchmarks.tasks._clock import Clock
    from benchmarks.tasks._source import Source

# A CRC over everything would cost as much as the loading does.
_SAMPLE = 4096


def run(source: Source, clock: Clock, *, count: int, threads: int) -> tuple[str, dict[str, float]]:
    """Load objects `{path}/0`, `{path}/1`, … with one client, and keep a sample of each."""

    def load(number: int) -> bytes:
        buffers = [memoryview(buffer) for buffer in source.load(f"{source.path}/{number}")]
        return bytes(buffers[0][:_SAMPLE]) + bytes(buffers[-1][-_SAMPLE:])

    with clock, ThreadPoolExecutor(threads) as pool:
        samples = list(pool.map(load, range(count)))
    return str(Checksum(samples)), {}
