"""Read through AiohttpStore and through obstore's HTTPStore."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.catalogue import EAGER, MEMORY, PARALLEL, ours
from benchmarks.measure import Work
from benchmarks.results import MEBIBYTE, ScenarioResult, within
from benchmarks.server import PROFILES, put_noise

if TYPE_CHECKING:
    from benchmarks.measure import Bench

_HTTP, _AIOHTTP = "over HTTPStore", "over AiohttpStore"
_FACTOR = 1.3


def run(bench: Bench) -> ScenarioResult:
    """Load a large object, and read parts of it."""
    size = 256 * MEBIBYTE
    path = put_noise(bench.server, size)
    load = [ours(f"{EAGER} {over}", f"eager {over}") for over in (_HTTP, _AIOHTTP)]
    sparse = [ours(f"{PARALLEL} {over}", f"parallel {over}", MEMORY) for over in (_HTTP, _AIOHTTP)]
    reads = {"size": size, "count": 60 if bench.quick else 300}
    tables = [
        bench.table(
            "http_stores-load",
            f"Load {size // MEBIBYTE} MiB over HTTP",
            PROFILES["cloud"],
            load,
            Work("load", path),
            reference=load[0].label,
        ),
        bench.table(
            "http_stores-sparse",
            f"{reads['count']} reads of 4-64 KiB over HTTP",
            PROFILES["cloud"],
            sparse,
            Work("sparse", path, reads, patience=14.0),
            reference=sparse[0].label,
        ),
    ]
    verdicts = [
        within("AiohttpStore", table, rows[1].label, _FACTOR, table.row(rows[0].label))
        for table, rows in zip(tables, (load, sparse), strict=True)
    ]
    return ScenarioResult("http_stores", "Read through HTTPStore and AiohttpStore", tables, verdicts)
