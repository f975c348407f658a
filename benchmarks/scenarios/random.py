"""Read at random, mostly in a few hot regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.catalogue import CHOSEN, MEMORY, PARALLEL, READERS, chosen_verdict, ours
from benchmarks.measure import Work
from benchmarks.results import MEBIBYTE, ScenarioResult, at_most, best, within
from benchmarks.server import PROFILES, put_noise

if TYPE_CHECKING:
    from benchmarks.measure import Bench
    from benchmarks.results import Table, Verdict

_TIME_FACTOR, _BYTES_FACTOR = 0.85, 0.5
_READS = 300


def run(bench: Bench) -> ScenarioResult:
    """Read at seeded offsets of a large object."""
    size = (64 if bench.quick else 256) * MEBIBYTE
    count = 60 if bench.quick else _READS
    rows = [row for row in READERS if row.memory is not None]
    small_chunks = {"chunk_size": MEBIBYTE // 4, "max_cached_chunks": 256}
    rows.insert(2, ours("ParallelStoreReader 256 KiB x 256", "parallel", MEMORY, **small_chunks))
    table = bench.table(
        "random",
        f"{count} reads of 4-64 KiB, 70 % of them in five regions of 4 MiB, of {size // MEBIBYTE} MiB",
        PROFILES["cloud"],
        rows,
        Work("sparse", put_noise(bench.server, size), {"size": size, "count": count}, patience=14.0),
        reference=PARALLEL,
        repeat=None if bench.quick else 2,
    )
    verdicts = [*_verdicts(table, PARALLEL), *_verdicts(table, CHOSEN), chosen_verdict(table, "random")]
    return ScenarioResult("random", "Read at random", [table], verdicts)


def _verdicts(table: Table, label: str) -> list[Verdict]:
    rival = best(table.of_kind("alternative", "0.9.0"), MEMORY)
    row = table.row(label)
    share = row.sent / rival.sent if row and rival else None
    return [
        within("time, best alternative in 64 MiB", table, label, _TIME_FACTOR, rival),
        at_most(f"bytes: {label} against {rival.label if rival else '-'}", share, _BYTES_FACTOR, " x"),
    ]
