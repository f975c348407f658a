"""Small reads of bytes that a reader has in memory, against io.BytesIO."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.catalogue import BUFFERED, CHOSEN, EAGER, MEMORY, PARALLEL, ours, previous, s3fs
from benchmarks.measure import Work
from benchmarks.results import MEBIBYTE, ScenarioResult, at_most
from benchmarks.server import PROFILES, put_noise

if TYPE_CHECKING:
    from benchmarks.measure import Bench
    from benchmarks.results import Measurement, Table, Verdict

_FACTOR = 5.0
_SLOWDOWN_FACTOR = 1.5

_KEEPING = [
    ours(EAGER, "eager"),
    ours(PARALLEL, "parallel", MEMORY),
    ours(CHOSEN, "open_reader", MEMORY),
    previous(EAGER, "eager"),
    previous("BlockStoreReader 1 MiB x 64", "block", MEMORY),
    s3fs("blockcache", 4, 16),
]
_STREAMING = [ours(BUFFERED, "buffered", MEBIBYTE), previous(BUFFERED, "buffered", MEBIBYTE)]


def run(bench: Bench) -> ScenarioResult:
    """Measure readers that keep chunks over several of them, and buffered readers within their buffer."""
    path = put_noise(bench.server, 16 * MEBIBYTE)
    tables = [
        bench.table(
            f"hot_reads-{name}",
            f"Hot reads over {title}",
            PROFILES["local"],
            rows,
            Work("hot", path, {"size": size, "rounds": 20 if bench.quick else 100}),
            repeat=1,
        )
        for name, title, rows, size in (
            ("chunks", "4 MiB", _KEEPING, 4 * MEBIBYTE),
            ("buffer", "512 KiB", _STREAMING, MEBIBYTE // 2),
        )
    ]
    verdicts = [verdict for table in tables for row in table.of_kind("ours") for verdict in _verdicts(table, row)]
    return ScenarioResult("hot_reads", "Read bytes in memory", tables, verdicts)


def _verdicts(table: Table, row: Measurement) -> list[Verdict]:
    claim = f"{table.name}, {row.label}"
    figures = row.figures
    slowdown = figures["M/s, 1 thread"] / figures["8 threads"]
    slowdown_in_memory = figures["BytesIO M/s, 1 thread"] / figures["BytesIO, 8 threads"]
    return [
        at_most(f"{claim}: read and seek + read against BytesIO", figures["x BytesIO"], _FACTOR, " x"),
        at_most(f"{claim}: requests while hot", row.requests, 0, digits=0),
        at_most(
            f"{claim}: slowdown by 8 threads, against BytesIO's", slowdown / slowdown_in_memory, _SLOWDOWN_FACTOR, " x"
        ),
    ]
