"""B5: stream an object from front to back in small reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.catalogue import BUFFERED, CHOSEN, MEMORY, ours, previous
from benchmarks.measure import Row, Work
from benchmarks.profiles import PROFILES
from benchmarks.results import MEBIBYTE, ScenarioResult
from benchmarks.scenarios.b4 import chosen_verdict
from benchmarks.server import put_noise
from benchmarks.verdicts import at_most, within

if TYPE_CHECKING:
    from benchmarks.measure import Bench
    from benchmarks.results import Table, Verdict

_LIMIT = "obstore get(), streamed"
_FACTOR = 1.1
_SEVERAL = "BufferedStoreReader, 18 requests"
_SEVERAL_GAIN = 3.0
_CONNECTIONS = 18
# MiB, twice what the documentation names, as it says: 2 buffers and 6 of the socket; 64 buffers.
_MEMORY, _MEMORY_OF_SEVERAL = 16.0, 128.0

_ROWS = [
    Row(_LIMIT, "obstore", "obstore", "streamed"),
    ours(BUFFERED, "buffered", MEMORY),
    ours(_SEVERAL, "buffered", None, max_concurrent_requests=_CONNECTIONS),
    ours(CHOSEN, "open_reader", MEMORY),
    ours("ParallelStoreReader", "parallel", MEMORY),
    previous(BUFFERED, "buffered", MEBIBYTE),
    Row("boto3 get_object, streamed", "boto3", "boto3", "streamed", quick=False),
    Row("smart_open", "smart_open", "smart_open", "s3", quick=False),
    Row("obstore.open_reader", "obstore", "obstore", "open_reader", {}, MEBIBYTE, quick=False),
    Row("s3fs readahead 5 MiB", "fsspec", "fsspec", "s3", {"block_size": 5 * MEBIBYTE}, 5 * MEBIBYTE, quick=False),
    Row(
        "s3fs background 4 MiB x 16",
        "fsspec",
        "fsspec",
        "s3",
        {"cache_type": "background", "block_size": 4 * MEBIBYTE, "cache_options": {"maxblocks": 16}},
        MEMORY,
    ),
    Row(
        "s3fs adaptive 4 MiB",
        "fsspec",
        "fsspec",
        "s3",
        {"cache_type": "adaptive", "block_size": 4 * MEBIBYTE},
        MEMORY,
        quick=False,
    ),
]


def run(bench: Bench) -> ScenarioResult:
    """Stream with and without work between the reads."""
    size = (32 if bench.quick else 128) * MEBIBYTE
    path, small = put_noise(bench.server, size), put_noise(bench.server, MEBIBYTE // 16)
    tables, verdicts = [], []
    for work in (0.0,) if bench.quick else (0.0, 0.001):
        what = f"{work * 1000:.0f} ms of work a MiB" if work else "no work"
        table = bench.table(
            f"B5-{'work' if work else 'plain'}",
            f"Stream {size // MEBIBYTE} MiB in 64 KiB reads, {what}",
            PROFILES["cloud"],
            [row for row in _ROWS if row.quick or not work],
            Work("stream", path, {"work": work}, warm_up=small, fresh=True),
            reference=_LIMIT,
            object_size=size,
            repeat=1,
        )
        tables.append(table)
        verdicts += _verdicts(table, what)
    return ScenarioResult("B5", "Stream", tables, verdicts)


def _verdicts(table: Table, what: str) -> list[Verdict]:
    plain, several = table.row(BUFFERED), table.row(_SEVERAL)
    gain = several.median / plain.median if plain and several and plain.median and several.median else None
    verdicts = [
        within(what, table, BUFFERED, _FACTOR, table.row(_LIMIT)),
        at_most(f"{what}: {_SEVERAL}, time relative to the default", gain, 1 / _SEVERAL_GAIN, " x"),
    ]
    for label, limit in ((BUFFERED, _MEMORY), (_SEVERAL, _MEMORY_OF_SEVERAL)):
        row = table.row(label)
        peak = row.median_peak / MEBIBYTE if row and row.median_peak is not None else None
        verdicts.append(at_most(f"{what}: peak memory of {label}", peak, limit, " MiB", 1))
    return [*verdicts, chosen_verdict(table)]
