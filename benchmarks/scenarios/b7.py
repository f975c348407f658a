"""B7: what a small read of warm bytes costs, against io.BytesIO."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.catalogue import BUFFERED, CHOSEN, EAGER, MEMORY, PARALLEL, ours, previous
from benchmarks.measure import Row, Work
from benchmarks.profiles import PROFILES
from benchmarks.results import MEBIBYTE, ScenarioResult
from benchmarks.server import put_noise
from benchmarks.verdicts import at_most

if TYPE_CHECKING:
    from benchmarks.measure import Bench
    from benchmarks.results import Measurement, Table, Verdict

_FACTOR = 5.0
_CONVOY_FACTOR = 1.5
_WIDE, _NARROW = 4 * MEBIBYTE, MEBIBYTE // 2

_KEEPING = [
    ours(EAGER, "eager", None),
    ours(PARALLEL, "parallel", MEMORY),
    ours(CHOSEN, "open_reader", MEMORY),
    previous(EAGER, "eager", None),
    previous("BlockStoreReader 1 MiB x 64", "block", MEMORY),
    Row("s3fs blockcache 4 MiB x 16", "fsspec", "fsspec", "s3", {"cache_type": "blockcache"}, MEMORY, quick=False),
]
_STREAMING = [ours(BUFFERED, "buffered", MEBIBYTE), previous(BUFFERED, "buffered", MEBIBYTE)]


def run(bench: Bench) -> ScenarioResult:
    """Measure readers that keep chunks over several of them, and buffered readers within their buffer."""
    path = put_noise(bench.server, 16 * MEBIBYTE)
    local = PROFILES["local"]
    rounds = 20 if bench.quick else 100
    wide = bench.table(
        "B7-chunks",
        "Warm reads over 4 MiB",
        local,
        _KEEPING,
        Work("warm", path, {"warm": _WIDE, "rounds": rounds}),
        repeat=1,
    )
    narrow = bench.table(
        "B7-buffer",
        "Warm reads over 512 KiB",
        local,
        _STREAMING,
        Work("warm", path, {"warm": _NARROW, "rounds": rounds}),
        repeat=1,
    )
    verdicts = [
        verdict for table in (wide, narrow) for row in table.of_kind("ours") for verdict in _verdicts(table, row)
    ]
    return ScenarioResult("B7", "Warm reads", [wide, narrow], verdicts)


def ratio(row: Measurement) -> float:
    """Return the sum of both kinds of read relative to BytesIO's."""
    figures = row.figures
    return (figures["reader_read"] + figures["reader_seek_read"]) / (
        figures["memory_read"] + figures["memory_seek_read"]
    )


def convoy(row: Measurement) -> float:
    """Return by how much more 8 threads slow the reader down than they slow BytesIO down."""
    figures = row.figures
    kept = figures["reader_8_threads"] / figures["reader_1_thread"]
    kept_in_memory = figures["memory_8_threads"] / figures["memory_1_thread"]
    return kept_in_memory / kept


def _verdicts(table: Table, row: Measurement) -> list[Verdict]:
    place = f"{table.name}, {row.label}"
    return [
        at_most(f"{place}: read and seek+read against BytesIO", ratio(row), _FACTOR, " x"),
        at_most(f"{place}: requests while warm", row.requests, 0, digits=0),
        at_most(f"{place}: slowed by 8 threads, relative to BytesIO", convoy(row), _CONVOY_FACTOR, " x"),
    ]
