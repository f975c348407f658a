"""The limits of the server and a bare client, which other scenarios must not be mistaken for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.measure import Row, Work
from benchmarks.results import MEBIBYTE, ScenarioResult, at_most
from benchmarks.server import PROFILES, put_noise

if TYPE_CHECKING:
    from benchmarks.measure import Bench

_STREAMED = "obstore get(), bytes dropped"
_LEAST_RATE = 1e9
_TOLERANCE = 0.05


def run(bench: Bench) -> ScenarioResult:
    """Read at full speed, and check that a paced connection is as slow as its profile says."""
    size = (64 if bench.quick else 256) * MEBIBYTE
    work = Work("load", put_noise(bench.server, size))
    rows = [
        Row(_STREAMED, "obstore", "obstore", "dropped"),
        Row("obstore get().buffer()", "obstore", "obstore", "get"),
        Row("obstore get_range, 18 threads", "obstore", "obstore", "threads", {"size": size}),
    ]
    title = f"Plain reads of {size // MEBIBYTE} MiB"
    cloud = PROFILES["cloud"]
    local = bench.table("bare_client-local", title, PROFILES["local"], rows, work, reference=_STREAMED, repeat=5)
    paced = bench.table("bare_client-cloud", title, cloud, rows[:1], work, reference=_STREAMED, repeat=1)
    local.differing = True  # dropped bytes have no checksum
    streamed, slow = local.row(_STREAMED), paced.value(_STREAMED)
    rate = size / min(streamed.seconds) if streamed else None
    due = cloud.latency + size / cloud.bandwidth
    claim = f"no limits, one plain get() reaches {(rate or 0) / 1e9:.2f} GB/s; 1 GB/s over that"
    verdicts = [
        at_most(claim, _LEAST_RATE / rate if rate else None, 1.0),
        at_most(f"one cloud connection is off its {due:.2f} s by", slow and abs(slow / due - 1), _TOLERANCE, digits=3),
    ]
    return ScenarioResult("bare_client", "The server and a bare client", [local, paced], verdicts)
