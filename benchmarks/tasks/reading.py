"""Read bit by bit from files: sequentially, at random, and from memory."""

from __future__ import annotations

import io
import random
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from benchmarks.tasks._run import Checksum

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.tasks._run import Clock, Source


def stream(source: Source, clock: Clock, *, work: float = 0.0) -> tuple[str, dict[str, float]]:
    """Read 64 KiB at a time to the end, and keep a core busy for `work` seconds per MiB."""
    checksum = Checksum()
    reads = 0
    with clock, source.open() as file:
        while piece := file.read(64 << 10):
            reads += 1
            if reads % 16 == 0:
                end = time.perf_counter() + work
                while time.perf_counter() < end:
                    pass
                checksum.add(piece)  # of one read in sixteen: a CRC of all would be work of its own
    return f"{checksum} in {reads}", {}


def sparse(source: Source, clock: Clock, *, size: int, count: int) -> tuple[str, dict[str, float]]:
    """Read 4 to 64 KiB at seeded offsets, 70 % of them in five regions of 4 MiB."""
    seeded, region = random.Random(6), 4 << 20
    regions = [seeded.randrange(size - region) for _ in range(5)]
    ranges = []
    for _ in range(count):
        length = seeded.randrange(4 << 10, (64 << 10) + 1)
        hot = seeded.random() < 0.7  # noqa: PLR2004
        start, room = (seeded.choice(regions), region) if hot else (0, size)
        ranges.append((start + seeded.randrange(room - length), length))
    checksum = Checksum()
    with clock, source.open() as file:
        for start, length in ranges:
            file.seek(start)
            checksum.add(file.read(length))
    return str(checksum), {}


_READ = 100
_CALLS = 5_000
_THREADS = 8
_ROUNDS_PER_THREADED_ONE = 10


def hot(source: Source, clock: Clock, *, size: int, rounds: int) -> tuple[str, dict[str, float]]:
    """Time reads within the first `size` bytes, which are in memory: nanoseconds a call, the best of many rounds."""
    offsets = random.Random(7).choices(range(size - _READ), k=_CALLS)
    with ExitStack() as stack:
        files = [stack.enter_context(source.open()) for _ in range(_THREADS)]
        contents = [bytes(file.read(size)) for file in files]
        source.clear_log()  # a hot read must not send requests
        memory = [io.BytesIO(content) for content in contents]
        with clock:
            reads = _single(files[0], memory[0], offsets, rounds)
            figures = {
                "x BytesIO": sum(reads[:2]) / sum(reads[2:]),
                **dict(zip(("ns: read(100)", "seek + read(100)", "BytesIO read", "seek + read"), reads, strict=True)),
                "M/s, 1 thread": _rate(files[:1], offsets, rounds),
                "8 threads": _rate(files, offsets, rounds),
                "BytesIO M/s, 1 thread": _rate(memory[:1], offsets, rounds),
                "BytesIO, 8 threads": _rate(memory, offsets, rounds),
            }
    return str(Checksum(contents[:1])), figures


def _single(reader: Any, memory: Any, offsets: Sequence[int], rounds: int) -> list[float]:
    """Return the nanoseconds of a read(100) and of a seek with a read(100), for both files."""
    works = [
        lambda: _read_on(reader),
        lambda: _seek_and_read(reader, offsets),
        lambda: _read_on(memory),
        lambda: _seek_and_read(memory, offsets),
    ]
    fastest = [float("inf")] * len(works)
    for _ in range(rounds):  # in turn, so that a machine that slows down slows both
        fastest = [min(time, _time(work) / _CALLS) for time, work in zip(fastest, works, strict=True)]
    return fastest


def _time(work: Callable[[], None]) -> int:
    begin = time.perf_counter_ns()
    work()
    return time.perf_counter_ns() - begin


def _read_on(file: Any) -> None:
    file.seek(0)
    read = file.read
    for _ in range(_CALLS):
        read(_READ)


def _seek_and_read(file: Any, offsets: Sequence[int]) -> None:
    seek, read = file.seek, file.read
    for offset in offsets:
        seek(offset)
        read(_READ)


def _rate(files: Sequence[Any], offsets: Sequence[int], rounds: int) -> float:
    """Return the millions of seeks with reads per second of threads together, each on its own file."""

    def together() -> None:
        threads = [threading.Thread(target=_seek_and_read, args=(file, offsets)) for file in files]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    fastest = min(_time(together) for _ in range(rounds // _ROUNDS_PER_THREADED_ONE))
    return len(files) * len(offsets) / fastest * 1e3
