"""Objects that nobody has yet, asked for by many threads at the same moment (B10)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

from benchmarks.tasks._source import Checksum

if TYPE_CHECKING:
    from benchmarks.tasks._clock import Clock
    from benchmarks.tasks._source import Source


def run(source: Source, clock: Clock, *, threads: int, same: bool) -> tuple[str, dict[str, float]]:
    """Get the same object in all threads, or `{path}/0`, `{path}/1`, … one in each."""
    store = source.call("STORE")
    ready = Barrier(threads + 1)

    def load(number: int) -> memoryview:
        ready.wait()
        return memoryview(store.get(source.path if same else f"{source.path}/{number}").buffer())

    with ThreadPoolExecutor(threads) as pool:
        loads = [pool.submit(load, number) for number in range(threads)]
        with clock:
            ready.wait()
            loaded = [it.result() for it in loads]
    return str(Checksum(loaded)), {}
