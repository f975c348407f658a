"""B8: VirtualiZarr's road from a URL to a manifest of all chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.catalogue import CHOSEN, EAGER, PARALLEL
from benchmarks.files import Layout
from benchmarks.measure import Row, Work
from benchmarks.profiles import PROFILES
from benchmarks.results import MEBIBYTE, ScenarioResult
from benchmarks.server import put_copies, put_netcdf
from benchmarks.verdicts import best, within

if TYPE_CHECKING:
    from benchmarks.measure import Bench
    from benchmarks.results import Measurement, Table, Verdict

_GAIN = 5.0
_FILES, _THREADS = 16, 8
_STACK = "Caching(Splitting)"


def _row(environment: str, reader: str, way: str, *, stacked: bool = False, quick: bool = True) -> Row:
    label = f"{'0.9.0 ' if environment == 'v09' else ''}{reader}, {_STACK if stacked else 'bare store'}"
    return Row(label, environment, "obspec_utils", "virtual", {"reader": way, "stacked": stacked}, quick=quick)


_BARE_PARALLEL = _row("ours", PARALLEL, "parallel")
_WORK = Row("io.BytesIO, no network", "ours", "memory", "memory")
_ROWS = [
    _WORK,
    _row("ours", EAGER, "eager"),
    _BARE_PARALLEL,
    _row("ours", CHOSEN, "open_reader"),
    _row("ours", PARALLEL, "parallel", stacked=True),
    _row("ours", CHOSEN, "open_reader", stacked=True, quick=False),
    _row("v09", EAGER, "eager"),
    _row("v09", "BlockStoreReader", "block"),
    _row("v09", "BlockStoreReader", "block", stacked=True),
]
# Left out where many files are parsed: one file shows already how they compare. The last one is 0.9.0's slower way.
_FOR_ONE_FILE = ("0.9.0 EagerStoreReader, bare store", f"{CHOSEN}, {_STACK}")
_SLOWER = {False: "0.9.0 BlockStoreReader, bare store", True: f"0.9.0 BlockStoreReader, {_STACK}"}
_S3FS = Row(
    "s3fs blockcache 4 MiB x 16",
    "fsspec",
    "fsspec",
    "virtual",
    {"cache_type": "blockcache", "block_size": 4 * MEBIBYTE, "cache_options": {"maxblocks": 16}},
)


def run(bench: Bench) -> ScenarioResult:
    """Parse one file, and many smaller ones in threads, in both layouts."""
    tables, verdicts = [], []
    for paged in (False, True):
        large, small = (Layout(paged=paged, groups=False, variables=count) for count in (150, 50))
        tables.append(_table(bench, small if bench.quick else large, 1))
        verdicts += _verdicts(tables[-1], paged=paged)
        if not bench.quick:  # parsing many large files takes the processor half a minute, whoever reads them
            tables.append(_table(bench, small, _FILES))
            verdicts += _verdicts(tables[-1], paged=paged)
    return ScenarioResult("B8", "VirtualiZarr", tables, verdicts)


def _table(bench: Bench, layout: Layout, files: int) -> Table:
    folder = put_copies(bench.server, put_netcdf(bench.server, layout), files)
    kind = "4 MiB pages" if layout.paged else "scattered metadata"
    how = f"{files} files in {_THREADS} threads" if files > 1 else "one file"
    return bench.table(
        f"B8-{'paged' if layout.paged else 'scattered'}-{files}",
        f"VirtualiZarr, {layout.variables} variables, {kind}, {how}",
        PROFILES["cloud"],
        [*_ROWS, _S3FS]
        if files == 1
        else [row for row in _ROWS if row.label not in (*_FOR_ONE_FILE, _SLOWER[layout.paged])],
        Work("virtual", folder, {"files": files, "threads": min(files, _THREADS)}, warm=files > 1),
        reference=_BARE_PARALLEL.label,
        repeat=1 if bench.quick or files > 1 else 2,
    )


def _verdicts(table: Table, *, paged: bool) -> list[Verdict]:
    fastest = best(table.of_kind("ours"))
    if paged:
        stacked = best(row for row in table.of_kind("ours") if row.label != _BARE_PARALLEL.label)
        label = stacked.label if stacked else _STACK
        return [within(table.name, table, label, 1.0, table.row(_BARE_PARALLEL.label))]
    former, work = best(table.of_kind("0.9.0")), table.row(_WORK.label)
    label = fastest.label if fastest else _STACK
    parsing = work.median if work and work.median else 0.0
    return [
        within(f"{table.name}, all of it", table, label, 1 / _GAIN, former),
        within(
            f"{table.name}, without the work itself", table, label, 1 / _GAIN, former, lambda row: _beyond(row, parsing)
        ),
    ]


def _beyond(row: Measurement, parsing: float) -> float | None:
    """Return what a row took longer than parsing bytes that are in memory."""
    return None if row.median is None else max(row.median - parsing, 0.0)
