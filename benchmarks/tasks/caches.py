"""Hits, misses and memory of caching stores, and processes that share a cache."""

from __future__ import annotations

import gc
import multiprocessing
import random
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks.tasks._run import Checksum, memory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.tasks._run import Clock, Source

_READ = 4096
_STEP = 4 << 20
_THREADS = 8
_ROUNDS = 5
# Seconds for which processes wait for one another.
_PATIENCE = 60.0


def _paths(source: Source, objects: int) -> list[str]:
    return [source.path] if objects == 1 else [f"{source.path}/{number}" for number in range(objects)]


def hits(source: Source, clock: Clock, *, objects: int, size: int, seconds: float) -> tuple[str, dict[str, float]]:
    """Read cached ranges of 4 KiB, by one thread and by several that share the store; the best of several rounds."""
    paths = _paths(source, objects)
    store = source.call("STORE")
    checksum = Checksum()
    for path in paths:
        for start in range(0, size, _STEP):
            checksum.add(store.get_range(path, start=start, length=min(_STEP, size - start)))
    seeded = random.Random(10)  # aligned, so that none crosses a block of 1 MiB
    places = [(seeded.choice(paths), seeded.randrange(size // _READ) * _READ) for _ in range(10_000)]
    sample = places[:200]
    begin = time.perf_counter()
    _read(store, sample)
    took = time.perf_counter() - begin
    calls = max(_THREADS, int(seconds / 2 / _ROUNDS * len(sample) / took))
    places = (places * (calls // len(places) + 1))[:calls]
    source.clear_log()  # a hit must not send requests
    figures: dict[str, float] = {}
    with clock:
        for _ in range(_ROUNDS):  # in turn, so that a machine that slows down slows both
            _measure(figures, "1 thread", store, [places])
            _measure(figures, "8 threads", store, [places[number::_THREADS] for number in range(_THREADS)])
    return str(checksum), figures


def _measure(figures: dict[str, float], name: str, store: Any, shares: Sequence[Sequence[tuple[str, int]]]) -> None:
    threads = [threading.Thread(target=_read, args=(store, share)) for share in shares[1:]]
    begin, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    _read(store, shares[0])
    for thread in threads:
        thread.join()
    took, cpu = time.perf_counter() - begin, time.process_time() - cpu
    calls = sum(map(len, shares)) / 1e3
    for head, rate in ((f"k/s, {name}", calls / took), (f"k/CPU s, {name}", calls / cpu)):
        figures[head] = max(figures.get(head, 0.0), rate)


def _read(store: Any, places: Sequence[tuple[str, int]], length: int = _READ) -> None:
    get_range = store.get_range
    for path, start in places:
        get_range(path, start=start, length=length)


def _in_memory(objects: int, size: int) -> tuple[Any, list[tuple[str, int]]]:
    """Return a MemoryStore of many objects, and their paths, each with an offset of 0."""
    from obstore.store import MemoryStore  # noqa: PLC0415 - not in every environment

    store = MemoryStore()
    places = [(f"{number % 1000}/{number}", 0) for number in range(objects)]
    for path, _ in places:
        store.put(path, bytes(size))
    return store, places


def entries(source: Source, clock: Clock, *, few: int, many: int, rounds: int) -> tuple[str, dict[str, float]]:
    """Time hits among few and among many cached objects of 100 bytes over a MemoryStore, in random order."""
    figures = {}
    with clock:
        for objects in (few, many):
            origin, places = _in_memory(objects, 100)
            store = source.over(origin)
            _read(store, places, 100)
            order = random.Random(11).sample(places * (many // objects), many)
            figures[f"ns among {objects:,}"] = _fastest(lambda: _read(store, order, 100), rounds) / len(order) * 1e9  # noqa: B023
    fast, slow = figures.values()
    return f"{few}/{many}", {**figures, "x": slow / fast}


def _fastest(work: Callable[[], None], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def misses(source: Source, clock: Clock, *, objects: int, rounds: int) -> tuple[str, dict[str, float]]:
    """Measure the process's CPU time of cold misses of 1 KiB over a MemoryStore, in a worker thread."""
    origin, places = _in_memory(objects, 1024)
    spent = []

    def work() -> None:
        for _ in range(rounds):
            store = source.over(origin)
            begin = time.process_time()
            _read(store, places, 100)
            spent.append(time.process_time() - begin)

    with clock:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    return str(objects), {"us of CPU": min(spent) / objects * 1e6}


def together(source: Source, clock: Clock, *, threads: int, same: bool) -> tuple[str, dict[str, float]]:
    """Get the same uncached object in all threads at once, or `{path}/0`, `{path}/1`, … one in each."""
    store = source.call("STORE")
    ready = threading.Barrier(threads + 1)

    def load(number: int) -> memoryview:
        ready.wait()
        return memoryview(store.get(source.path if same else f"{source.path}/{number}").buffer())

    with ThreadPoolExecutor(threads) as pool:
        loads = [pool.submit(load, number) for number in range(threads)]
        with clock:
            ready.wait()
            loaded = [it.result() for it in loads]
    return str(Checksum(loaded)), {}


def full(
    source: Source, clock: Clock, *, objects: int, size: int, step: int, threads: int, budget: int
) -> tuple[str, dict[str, float]]:
    """Read more than a cache can keep, and measure the process's growth while nothing but the cache is kept."""
    ranges = [(path, start) for path in _paths(source, objects) for start in range(0, size, step)]
    store = source.call("STORE")

    def read(place: tuple[str, int]) -> str:
        path, start = place
        return str(Checksum([store.get_range(path, start=start, length=min(step, size - start))]))

    gc.collect()
    before = memory("VmRSS") or 0
    with clock:
        if threads == 1:
            seen = [read(place) for place in ranges]
        else:
            with ThreadPoolExecutor(threads) as pool:
                seen = list(pool.map(read, ranges))
    gc.collect()
    grown = (memory("VmRSS") or 0) - before
    return str(Checksum([";".join(seen).encode()])), {"memory when full": grown / budget}


_state: dict[str, Any] = {}


def processes(source: Source, clock: Clock, *, processes: int, objects: int) -> tuple[str, dict[str, float]]:
    """Have each process read all objects once, in an order of its own, through a copy of the store."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(processes + 1)
    with ProcessPoolExecutor(processes, context, _start, (ready, source.call("STORE"))) as pool:
        work = [pool.submit(_read_all, _paths(source, objects), seed) for seed in range(processes)]
        ready.wait(_PATIENCE)  # all are there, with all that they import
        with clock:
            results = [it.result() for it in work]
    clock.cpu += sum(cpu for _, cpu in results)
    return str([checksum for checksum, _ in results]), {}


def _start(ready: Any, store: Any) -> None:
    _state.update(ready=ready, store=store)


def _read_all(paths: list[str], seed: int) -> tuple[str, float]:
    """Return a checksum of the objects in the order of their numbers, and the CPU seconds of reading them."""
    order = random.Random(seed).sample(paths, len(paths))
    store = _state["store"]
    _state["ready"].wait(_PATIENCE)
    begin = time.process_time()
    seen = {path: str(Checksum([store.get(path).buffer()])) for path in order}
    return str(Checksum([";".join(seen[path] for path in paths).encode()])), time.process_time() - begin
