"""Small ranges of what a store has cached, by one thread and by several that share it (B10)."""

from __future__ import annotations

import random
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any

from benchmarks.tasks._source import Checksum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.tasks._clock import Clock
    from benchmarks.tasks._source import Source

_READ = 4096
_STEP = 4 << 20
_THREADS = 8
_ROUNDS = 5
_SEED = 10


def run(source: Source, clock: Clock, *, objects: int, size: int, seconds: float) -> tuple[str, dict[str, float]]:
    """Read 4 KiB at seeded places for about so many seconds; calls a second of the best of several rounds.

    With several objects they are `{path}/0`, `{path}/1`, …
    """
    paths = [source.path] if objects == 1 else [f"{source.path}/{number}" for number in range(objects)]
    store = source.call("STORE")
    checksum = Checksum()
    for path in paths:
        for start in range(0, size, _STEP):
            checksum.add(store.get_range(path, start=start, length=min(_STEP, size - start)))
    places = _places(paths, size)
    calls = _calls_in(store, places, seconds / 2 / _ROUNDS)
    places = (places * (calls // len(places) + 1))[:calls]
    _clear_log(source)  # what is logged from now on is I/O that a hit must not do
    figures: dict[str, float] = {}
    with clock:
        for _ in range(_ROUNDS):  # in turn, so that a machine that slows down slows both
            _measure(figures, "1_thread", store, [places])
            _measure(figures, "8_threads", store, [places[number::_THREADS] for number in range(_THREADS)])
    return str(checksum), figures


def _places(paths: Sequence[str], size: int) -> list[tuple[str, int]]:
    """Return paths and offsets, none of which crosses a block of 1 MiB."""
    source = random.Random(_SEED)
    return [(source.choice(paths), source.randrange(size // _READ) * _READ) for _ in range(10_000)]


def _calls_in(store: Any, places: Sequence[tuple[str, int]], seconds: float) -> int:
    """Return about how many calls fit into some seconds."""
    sample = places[:200]
    begin = time.perf_counter()
    _read(store, sample)
    return max(_THREADS, int(seconds * len(sample) / (time.perf_counter() - begin)))


def _measure(figures: dict[str, float], name: str, store: Any, shares: Sequence[Sequence[tuple[str, int]]]) -> None:
    threads = [threading.Thread(target=_read, args=(store, share)) for share in shares[1:]]
    begin, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    _read(store, shares[0])
    for thread in threads:
        thread.join()
    took, cpu = time.perf_counter() - begin, time.process_time() - cpu
    calls = sum(map(len, shares))
    figures[f"rate_{name}"] = max(figures.get(f"rate_{name}", 0.0), calls / took)
    figures[f"per_cpu_{name}"] = max(figures.get(f"per_cpu_{name}", 0.0), calls / cpu)


def _read(store: Any, places: Sequence[tuple[str, int]]) -> None:
    get_range = store.get_range
    for path, start in places:
        get_range(path, start=start, length=_READ)


def _clear_log(source: Source) -> None:
    request = urllib.request.Request(f"{source.url}/_control/clear", b"{}", method="POST")
    with urllib.request.urlopen(request):
        pass
