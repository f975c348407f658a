"""B6: random reads, most of them in a few hot places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.catalogue import CHOSEN, MEMORY, PARALLEL, distinct, ours, readers
from benchmarks.measure import Work
from benchmarks.profiles import PROFILES
from benchmarks.results import MEBIBYTE, ScenarioResult
from benchmarks.scenarios.b4 import chosen_verdict
from benchmarks.server import put_noise
from benchmarks.verdicts import at_most, best, within

if TYPE_CHECKING:
    from benchmarks.measure import Bench
    from benchmarks.results import Table, Verdict

_TIME_FACTOR, _BYTES_FACTOR = 0.85, 0.5
_READS = 300
_SMALL_CHUNKS = "ParallelStoreReader 256 KiB x 256"


def run(bench: Bench) -> ScenarioResult:
    """Read at seeded places of a large object."""
    size = (64 if bench.quick else 256) * MEBIBYTE
    count = 60 if bench.quick else _READS
    rows = [row for row in distinct(readers()) if row.memory is not None]
    rows.insert(2, ours(_SMALL_CHUNKS, "parallel", MEMORY, chunk_size=MEBIBYTE // 4, max_cached_chunks=256))
    table = bench.table(
        "B6",
        f"{count} reads of 4-64 KiB, 70 % of them in five zones of 4 MiB, of {size // MEBIBYTE} MiB",
        PROFILES["cloud"],
        rows,
        Work("sparse", put_noise(bench.server, size), {"size": size, "count": count}, patience=14.0),
        reference=PARALLEL,
        repeat=None if bench.quick else 2,
    )
    verdicts = [*_verdicts(table, PARALLEL), *_verdicts(table, CHOSEN), chosen_verdict(table)]
    return ScenarioResult("B6", "Sparse reads", [table], verdicts)


def _verdicts(table: Table, label: str) -> list[Verdict]:
    rivals = [row for row in table.of_kind("alternative", "0.9.0") if row.memory and row.memory <= MEMORY]
    rival = best(rivals)
    row = table.row(label)
    share = row.sent / rival.sent if row and rival else None
    return [
        within("best alternative in 64 MiB, time", table, label, _TIME_FACTOR, rival),
        at_most(f"{label}, bytes relative to {rival.label if rival else 'it'}", share, _BYTES_FACTOR, " x"),
    ]
