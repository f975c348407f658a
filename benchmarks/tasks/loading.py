"""Load objects whole, and read ranges of a store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.tasks._run import Checksum

if TYPE_CHECKING:
    from benchmarks.tasks._run import Clock, Source

# A CRC over everything would cost as much as the loading does.
_SAMPLE = 4096


def load(source: Source, clock: Clock) -> tuple[str, dict[str, float]]:
    """Load an object into memory."""
    with clock:
        buffers = source.load()
    checksum = Checksum(buffers)
    clock.update_peak()  # a mapping takes no memory before it is read
    return str(checksum), {}


def load_many(source: Source, clock: Clock, *, count: int, threads: int) -> tuple[str, dict[str, float]]:
    """Load objects `{path}/0`, `{path}/1`, … with one client, and keep a sample of each."""

    def load_one(number: int) -> bytes:
        buffers = [memoryview(buffer) for buffer in source.load(f"{source.path}/{number}")]
        return bytes(buffers[0][:_SAMPLE]) + bytes(buffers[-1][-_SAMPLE:])

    with clock, ThreadPoolExecutor(threads) as pool:
        samples = list(pool.map(load_one, range(count)))
    return str(Checksum(samples)), {}


def ranges(source: Source, clock: Clock, *, size: int, step: int) -> tuple[str, dict[str, float]]:
    """Read an object to its end in ranges of `step` bytes and keep none of them."""
    checksum = Checksum()
    store = source.call("STORE")
    size = min(size, store.head(source.path)["size"])
    with clock:
        for start in range(0, size, step):
            checksum.add(store.get_range(source.path, start=start, length=min(step, size - start)))
    return str(checksum), {}


def byte(source: Source, clock: Clock, *, start: int) -> tuple[str, dict[str, float]]:
    """Read the byte at `start` of a store."""
    store = source.call("STORE")
    with clock:
        content = store.get_range(source.path, start=start, length=1)
    return str(Checksum([content])), {}
