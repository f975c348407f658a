"""Small reads of what a reader has in memory already, against io.BytesIO in the same process (B7)."""

from __future__ import annotations

import io
import random
import threading
import time
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from benchmarks.tasks._source import Checksum

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.tasks._clock import Clock
    from benchmarks.tasks._source import Source

_READ = 100
_CALLS = 5_000
_THREADS = 8
_ROUNDS_PER_THREADED_ONE = 10
_SEED = 7


def run(source: Source, clock: Clock, *, warm: int, rounds: int) -> tuple[str, dict[str, float]]:
    """Time reads within the first `warm` bytes: nanoseconds a call, the best of many rounds."""
    places = random.Random(_SEED).choices(range(warm - _READ), k=_CALLS)
    with ExitStack() as stack:
        files = [stack.enter_context(source.open()) for _ in range(_THREADS)]
        held = [_warmed(file, warm) for file in files]
        _clear_log(source)  # what is logged from now on is I/O that a warm reader must not do
        memory = [io.BytesIO(content) for content in held]
        with clock:
            figures = {
                **_single(files[0], memory[0], places, rounds),
                "reader_1_thread": _threads(files[:1], places, rounds),
                "reader_8_threads": _threads(files, places, rounds),
                "memory_1_thread": _threads(memory[:1], places, rounds),
                "memory_8_threads": _threads(memory, places, rounds),
            }
    return str(Checksum(held[:1])), figures


def _warmed(file: Any, warm: int) -> bytes:
    file.seek(0)
    return bytes(file.read(warm))


def _single(reader: Any, memory: Any, places: Sequence[int], rounds: int) -> dict[str, float]:
    """Return the nanoseconds of a read(100) moving on, and of a seek to anywhere with a read(100), for both files."""
    works: dict[str, Callable[[], None]] = {
        "reader_read": lambda: _read_on(reader),
        "memory_read": lambda: _read_on(memory),
        "reader_seek_read": lambda: _seek_and_read(reader, places),
        "memory_seek_read": lambda: _seek_and_read(memory, places),
    }
    best = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):  # in turn, so that a machine that slows down slows both
        for name, work in works.items():
            best[name] = min(best[name], _time(work) / _CALLS)
    return best


def _time(work: Callable[[], None]) -> int:
    begin = time.perf_counter_ns()
    work()
    return time.perf_counter_ns() - begin


def _read_on(file: Any) -> None:
    file.seek(0)
    read = file.read
    for _ in range(_CALLS):
        read(_READ)


def _seek_and_read(file: Any, places: Sequence[int]) -> None:
    seek, read = file.seek, file.read
    for place in places:
        seek(place)
        read(_READ)


def _threads(files: Sequence[Any], places: Sequence[int], rounds: int) -> float:
    """Return how many seek-and-reads a second threads get done together, each on a file of its own."""
    fastest = min(_time(lambda: _run_together(files, places)) for _ in range(rounds // _ROUNDS_PER_THREADED_ONE))
    return len(files) * len(places) / fastest * 1e9


def _run_together(files: Sequence[Any], places: Sequence[int]) -> None:
    threads = [threading.Thread(target=_seek_and_read, args=(file, places)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _clear_log(source: Source) -> None:
    request = urllib.request.Request(f"{source.url}/_control/clear", b"{}", method="POST")
    with urllib.request.urlopen(request):
        pass
