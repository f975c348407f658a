"""What a full cache takes of the process's memory (B10)."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.tasks._source import Checksum

if TYPE_CHECKING:
    from benchmarks.tasks._clock import Clock
    from benchmarks.tasks._source import Source

_STATUS = Path("/proc/self/status")


def run(
    source: Source, clock: Clock, *, objects: int, size: int, step: int, threads: int = 1
) -> tuple[str, dict[str, float]]:
    """Read objects through a cache that can't keep all of them, in ranges of `step` bytes of which none is kept.

    With several objects they are `{path}/0`, `{path}/1`, …
    """
    paths = [source.path] if objects == 1 else [f"{source.path}/{number}" for number in range(objects)]
    places = [(path, start, min(step, size - start)) for path in paths for start in range(0, size, step)]
    store = source.call("STORE")

    def read(place: tuple[str, int, int]) -> str:
        path, start, length = place
        return str(Checksum([store.get_range(path, start=start, length=length)]))

    gc.collect()
    before = _resident()
    with clock:
        if threads == 1:
            seen = [read(place) for place in places]
        else:
            with ThreadPoolExecutor(threads) as pool:
                seen = list(pool.map(read, places))
    gc.collect()
    figures = {"steady": float(_resident() - before), "kept": float(store.cache_size)}
    return str(Checksum([";".join(seen).encode()])), figures


def _resident() -> int:
    """Return the bytes of the process that are in memory now; 0 on other systems than Linux."""
    if not _STATUS.exists():
        return 0
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))
