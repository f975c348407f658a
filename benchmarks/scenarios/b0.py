"""B0: what the server itself can do, so that the client is what the other scenarios measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.measure import Row, Work
from benchmarks.profiles import PROFILES
from benchmarks.results import MEBIBYTE, ScenarioResult
from benchmarks.server import put_noise
from benchmarks.verdicts import at_most

if TYPE_CHECKING:
    from benchmarks.measure import Bench
    from benchmarks.results import Table, Verdict

_STREAMED = "obstore get(), bytes dropped"
_BUFFERED = "obstore get().buffer()"
_THREADS = "obstore get_range, 18 threads"
_LEAST_RATE = 1e9
_TOLERANCE = 0.05


def run(bench: Bench) -> ScenarioResult:
    """Read at full speed, and check that a paced connection is as slow as its profile says."""
    size = (64 if bench.quick else 256) * MEBIBYTE
    work = Work("load", put_noise(bench.server, size))
    rows = [
        Row(_STREAMED, "obstore", "obstore", "dropped"),
        Row(_BUFFERED, "obstore", "obstore", "get"),
        Row(_THREADS, "obstore", "obstore", "threads", {"size": size}),
    ]
    title = f"Plain reads of {size // MEBIBYTE} MiB"
    local = bench.table("B0-local", title, PROFILES["local"], rows, work, reference=_STREAMED, repeat=5)
    paced = bench.table("B0-cloud", title, PROFILES["cloud"], rows[:1], work, reference=_STREAMED, repeat=1)
    local.differing = True  # who drops bytes has no checksum of them
    return ScenarioResult("B0", "The server", [local, paced], _verdicts(local, paced, size))


def _verdicts(local: Table, paced: Table, size: int) -> list[Verdict]:
    streamed, slow = local.row(_STREAMED), paced.row(_STREAMED)
    rate = size / min(streamed.seconds) if streamed else None
    cloud = PROFILES["cloud"]
    due = cloud.latency + size / cloud.bandwidth
    off = abs((slow.median or 0.0) / due - 1) if slow else None
    return [
        at_most(
            f"no limits, one plain get() reaches {rate / 1e9 if rate else 0:.2f} GB/s; 1 GB/s over that",
            _LEAST_RATE / rate if rate else None,
            1.0,
        ),
        at_most(f"one cloud connection is off its {due:.2f} s by", off, _TOLERANCE, digits=3),
    ]
