"""B3: how much memory loading takes, in units of the object's size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.catalogue import ours, previous
from benchmarks.measure import Work
from benchmarks.profiles import PROFILES
from benchmarks.results import MEBIBYTE, ScenarioResult
from benchmarks.scenarios.b1 import BUFFER, PARTS, loading_rows
from benchmarks.server import put_noise
from benchmarks.verdicts import at_most

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
        "B3-load",
        f"Peak memory of loading {size // MEBIBYTE} MiB",
        cloud,
        loading_rows(size),
        Work("load", path, warm_up=small, fresh=True),
        object_size=size,
        repeat=1,
    )
    ranges = bench.table(
        "B3-ranges",
        f"Peak memory of reading {size // MEBIBYTE} MiB in ranges through a cache",
        cloud,
        [ours(_CACHED, "cached", None), previous(_CACHED, "cached", None)],
        Work("ranges", path, {"size": size, "step": _STEP}, warm_up=small, fresh=True),
        object_size=size,
        repeat=1,
    )
    verdicts = [_verdict(loaded, label, _PARTS_LIMIT, size) for label in PARTS]
    verdicts += [_verdict(loaded, BUFFER, _BUFFER_LIMIT, size), _verdict(ranges, _CACHED, _PARTS_LIMIT, size)]
    return ScenarioResult("B3", "Memory", [loaded, ranges], verdicts)


def _verdict(table: Table, label: str, limit: float, size: int) -> Verdict:
    row = table.row(label)
    peak = row.median_peak if row else None
    return at_most(f"peak memory of {label}", None if peak is None else peak / size, limit, " x the object")
