"""Peak memory of loading, in units of the object's size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.catalogue import ours, previous
from benchmarks.measure import Work
from benchmarks.results import MEBIBYTE, ScenarioResult, at_most
from benchmarks.scenarios.whole_object import BUFFER, PARTS, loading_rows
from benchmarks.server import PROFILES, put_noise

if TYPE_CHECKING:
    from benchmarks.measure import Bench
    from benchmarks.results import Table, Verdict

_PARTS_LIMIT, _BUFFER_LIMIT = 1.1, 1.4
_CACHED = "Caching(Splitting), 4 MiB ranges"
_STEP = 4 * MEBIBYTE


def run(bench: Bench) -> ScenarioResult:
    """Load in a new process each time, and read ranges through a cache to the end."""
    size = (64 if bench.quick else 256) * MEBIBYTE
    path, small = put_noise(bench.server, size), put_noise(bench.server, MEBIBYTE // 16)
    cloud = PROFILES["cloud"]
    loaded = bench.table(
        "peak_memory-load",
        f"Peak memory of loading {size // MEBIBYTE} MiB",
        cloud,
        loading_rows(size),
        Work("load", path, warm_up=small, fresh=True),
        object_size=size,
        repeat=1,
    )
    ranges = bench.table(
        "peak_memory-ranges",
        f"Peak memory of reading {size // MEBIBYTE} MiB in ranges through a cache",
        cloud,
        [ours(_CACHED, "cached"), previous(_CACHED, "cached")],
        Work("ranges", path, {"size": size, "step": _STEP}, warm_up=small, fresh=True),
        object_size=size,
        repeat=1,
    )
    verdicts = [_verdict(loaded, label, _PARTS_LIMIT, size) for label in PARTS]
    verdicts += [_verdict(loaded, BUFFER, _BUFFER_LIMIT, size), _verdict(ranges, _CACHED, _PARTS_LIMIT, size)]
    return ScenarioResult("peak_memory", "Peak memory", [loaded, ranges], verdicts)


def _verdict(table: Table, label: str, limit: float, size: int) -> Verdict:
    peak = table.value(label, "peak")
    return at_most(f"peak memory of {label}", peak and peak / size, limit, " x the object")
