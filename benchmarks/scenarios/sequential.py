"""Read an object from front to back in small reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.catalogue import BUFFERED, CHOSEN, MEMORY, PARALLEL, chosen_verdict, ours, previous, s3fs
from benchmarks.measure import Row, Work
from benchmarks.results import MEBIBYTE, ScenarioResult, at_most, within
from benchmarks.server import PROFILES, put_noise

if TYPE_CHECKING:
    from benchmarks.measure import Bench
    from benchmarks.results import Table, Verdict

_LIMIT = "obstore get(), streamed"
_FACTOR = 1.1
_SEVERAL = "BufferedStoreReader, 18 requests"
_SEVERAL_GAIN = 3.0
# MiB, twice what the documentation promises, as it says: 2 buffers and 6 of the socket; 64 buffers.
_MEMORY, _MEMORY_OF_SEVERAL = 16.0, 128.0

_ROWS = [
    Row(_LIMIT, "obstore", "obstore", "streamed"),
    ours(BUFFERED, "buffered", MEMORY),
    ours(_SEVERAL, "buffered", max_concurrent_requests=18),
    ours(CHOSEN, "open_reader", MEMORY),
    ours(PARALLEL, "parallel", MEMORY),
    previous(BUFFERED, "buffered", MEBIBYTE),
    Row("boto3 get_object, streamed", "boto3", "boto3", "streamed", quick=False),
    Row("smart_open", "smart_open", "smart_open", "s3", quick=False),
    Row("obstore.open_reader", "obstore", "obstore", "open_reader", {}, MEBIBYTE, quick=False),
    s3fs("readahead", 5),
    s3fs("background", 4, 16, quick=True),
    s3fs("adaptive", 4),
]


def run(bench: Bench) -> ScenarioResult:
    """Stream with and without work between the reads."""
    size = (32 if bench.quick else 128) * MEBIBYTE
    path, small = put_noise(bench.server, size), put_noise(bench.server, MEBIBYTE // 16)
    tables: list[Table] = []
    verdicts: list[Verdict] = []
    for work in (0.0,) if bench.quick else (0.0, 0.001):
        condition = f"{work * 1000:.0f} ms of work per MiB" if work else "no work"
        table = bench.table(
            f"sequential-{'work' if work else 'plain'}",
            f"Read {size // MEBIBYTE} MiB in 64 KiB reads, {condition}",
            PROFILES["cloud"],
            _ROWS,
            Work("stream", path, {"work": work}, warm_up=small, fresh=True),
            reference=_LIMIT,
            object_size=size,
            repeat=1,
        )
        tables.append(table)
        verdicts += _verdicts(table, condition)
    return ScenarioResult("sequential", "Read sequentially", tables, verdicts)


def _verdicts(table: Table, condition: str) -> list[Verdict]:
    verdicts = [
        within(condition, table, BUFFERED, _FACTOR, table.row(_LIMIT)),
        within(condition, table, _SEVERAL, 1 / _SEVERAL_GAIN, table.row(BUFFERED)),
    ]
    for label, limit in ((BUFFERED, _MEMORY), (_SEVERAL, _MEMORY_OF_SEVERAL)):
        peak = table.value(label, "peak")
        verdicts.append(at_most(f"{condition}: peak memory of {label}", peak and peak / MEBIBYTE, limit, " MiB", 1))
    return [*verdicts, chosen_verdict(table, condition)]
