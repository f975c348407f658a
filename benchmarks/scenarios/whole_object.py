"""Load a large object whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.catalogue import EAGER, ours, previous
from benchmarks.measure import Row, Work
from benchmarks.results import MEBIBYTE, ScenarioResult, best, within
from benchmarks.server import put_noise

if TYPE_CHECKING:
    from benchmarks.measure import Bench
    from benchmarks.results import Table, Verdict

LIMIT = "obstore get_range, 18 threads"
PARTS = (EAGER, "Splitting.get(), iterated", "Splitting.get_async(), iterated")
BUFFER = "Splitting.get().buffer()"
_ON_ONE_LINE = (LIMIT, EAGER, PARTS[1], BUFFER, "0.9.0 EagerStoreReader")
_PARTS_FACTOR, _BUFFER_FACTOR, _LOCAL_GAIN = 1.25, 1.5, 2.0


def loading_rows(size: int) -> list[Row]:
    """Return every method to load an object into memory."""
    return [
        Row(LIMIT, "obstore", "obstore", "threads", {"size": size}),
        ours(PARTS[0], "eager"),
        ours(PARTS[1], "splitting iterated"),
        ours(PARTS[2], "splitting async"),
        ours(BUFFER, "splitting buffer"),
        previous("EagerStoreReader", "eager"),
        replace(previous("Splitting.get().buffer()", "splitting buffer"), quick=False),
        Row("obstore get().buffer()", "obstore", "obstore", "get", quick=False),
        Row("boto3 transfer manager, 10 threads", "boto3", "boto3", "transfer"),
        Row("boto3 transfer manager, 18 threads", "boto3", "boto3", "transfer", {"max_concurrency": 18}, quick=False),
        Row("s3fs cat_file", "fsspec", "fsspec", "s3", quick=False),
        Row("fsspec http cat_file", "fsspec", "fsspec", "http", quick=False),
        Row("smart_open read()", "smart_open", "smart_open", "s3", quick=False),
    ]


def run(bench: Bench) -> ScenarioResult:
    """Load on every network."""
    size = 256 * MEBIBYTE  # smaller sizes say little about parts of 12 MiB
    path = put_noise(bench.server, size)
    tables: list[Table] = []
    verdicts: list[Verdict] = []
    for profile in bench.profiles("cloud") if bench.quick else bench.profiles("cloud", "region", "laptop", "local"):
        rows = loading_rows(size)
        if profile.total_bandwidth:  # the shared line is the limit of every row
            rows = [row for row in rows if row.label in _ON_ONE_LINE]
        elif profile.name == "region":  # the others compare as on "cloud"
            rows = [row for row in rows if row.quick]
        work = Work("load", path, warm=bool(tables))
        title = f"Load {size // MEBIBYTE} MiB"
        tables.append(bench.table(f"whole_object-{profile.name}", title, profile, rows, work, reference=LIMIT))
        verdicts += _verdicts(tables[-1], profile.name)
    return ScenarioResult("whole_object", "Load a large object", tables, verdicts)


def _verdicts(table: Table, profile: str) -> list[Verdict]:
    if profile == "local":
        former = best(table.of_kind("0.9.0"))
        return [within("local", table, label, 1 / _LOCAL_GAIN, former) for label in (*PARTS, BUFFER)]
    limit = table.row(LIMIT)
    found = [within(f"{profile}, parts", table, label, _PARTS_FACTOR, limit) for label in PARTS if table.row(label)]
    return [*found, within(f"{profile}, contiguous", table, BUFFER, _BUFFER_FACTOR, limit)]
