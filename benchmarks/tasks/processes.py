"""Several processes that read the same objects (B10)."""

from __future__ import annotations

import multiprocessing
import random
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks.tasks._source import Checksum

if TYPE_CHECKING:
    from benchmarks.tasks._clock import Clock
    from benchmarks.tasks._source import Source

# For how many seconds the processes wait for one another.
_PATIENCE = 60.0
_state: dict[str, Any] = {}


def run(source: Source, clock: Clock, *, processes: int, objects: int) -> tuple[str, dict[str, float]]:
    """Have each process read `{path}/0`, `{path}/1`, … once, in an order of its own, through a copy of the store."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(processes + 1)
    store = source.call("STORE")
    with ProcessPoolExecutor(processes, context, _start, (ready, store)) as pool:
        work = [pool.submit(_read, source.path, number, objects) for number in range(processes)]
        ready.wait(_PATIENCE)  # all are there, with all that they import
        with clock:
            results = [it.result() for it in work]
    clock.cpu += sum(cpu for _, cpu in results)
    return str([checksum for checksum, _ in results]), {}


def _start(ready: Any, store: Any) -> None:
    _state.update(ready=ready, store=store)


def _read(folder: str, seed: int, objects: int) -> tuple[str, float]:
    """Return a checksum of the objects in the order of their numbers, and the CPU seconds of reading them."""
    order = list(range(objects))
    random.Random(seed).shuffle(order)
    store = _state["store"]
    _state["ready"].wait(_PATIENCE)
    begin = time.process_time()
    seen = {number: str(Checksum([store.get(f"{folder}/{number}").buffer()])) for number in order}
    return str(Checksum([";".join(seen[number] for number in range(objects)).encode()])), time.process_time() - begin
