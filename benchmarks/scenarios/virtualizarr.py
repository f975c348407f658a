"""VirtualiZarr: from a URL to a manifest of all chunks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.catalogue import CHOSEN, EAGER, PARALLEL, s3fs
from benchmarks.files import Layout
from benchmarks.measure import Row, Work
from benchmarks.results import ScenarioResult, best, within
from benchmarks.server import PROFILES, put_copies, put_netcdf

if TYPE_CHECKING:
    from benchmarks.measure import Bench
    from benchmarks.results import Table, Verdict

_GAIN = 5.0
_OVER_PARSING = 1.3
_FILES, _THREADS = 16, 8
_STACK = "Caching(Splitting)"


def _row(environment: str, reader: str, method: str, *, stacked: bool = False, quick: bool = True) -> Row:
    label = f"{'0.9.0 ' if environment == 'v09' else ''}{reader}, {_STACK if stacked else 'bare store'}"
    return Row(label, environment, "obspec_utils", "virtual", {"reader": method, "stacked": stacked}, quick=quick)


def _metadata_row(reader: str, method: str) -> Row:
    """Return a row of a reader that fetches the whole structure of the file when it is made."""
    row = _row("ours", f"{reader}, metadata", method)
    return replace(row, options={**row.options, "read_ahead": "metadata"})


_BARE_PARALLEL = _row("ours", PARALLEL, "parallel")
_PARSING = Row("io.BytesIO, no network", "ours", "memory", "memory")

_PARALLEL_METADATA = _metadata_row(PARALLEL, "parallel")
_CHOSEN_METADATA = _metadata_row(CHOSEN, "open_reader")
_ROWS = [
    _PARSING,
    _row("ours", EAGER, "eager"),
    _BARE_PARALLEL,
    _PARALLEL_METADATA,
    _row("ours", CHOSEN, "open_reader"),
    _CHOSEN_METADATA,
    _row("ours", PARALLEL, "parallel", stacked=True),
    _row("ours", CHOSEN, "open_reader", stacked=True, quick=False),
    _row("v09", EAGER, "eager"),
    _row("v09", "BlockStoreReader", "block"),
    _row("v09", "BlockStoreReader", "block", stacked=True),
]
# Left out for many files: one file shows how they compare. The last one is 0.9.0's slower method.
_FOR_ONE_FILE = ("0.9.0 EagerStoreReader, bare store", f"{CHOSEN}, {_STACK}")
_SLOWER = {False: "0.9.0 BlockStoreReader, bare store", True: f"0.9.0 BlockStoreReader, {_STACK}"}
_S3FS = replace(s3fs("blockcache", 4, 16, quick=True), method="virtual", memory=None)


def run(bench: Bench) -> ScenarioResult:
    """Parse one file, and many smaller ones in threads, in both layouts."""
    tables: list[Table] = []
    verdicts: list[Verdict] = []
    for paged in (False, True):
        large, small = (Layout(paged=paged, groups=False, variables=count) for count in (150, 50))
        tables.append(_table(bench, small if bench.quick else large, 1))
        verdicts += _verdicts(tables[-1], paged=paged)
        if not bench.quick:  # parsing many large files would take half a minute of CPU
            tables.append(_table(bench, small, _FILES))
            verdicts += _verdicts(tables[-1], paged=paged)
    return ScenarioResult("virtualizarr", "VirtualiZarr", tables, verdicts)


def _table(bench: Bench, layout: Layout, files: int) -> Table:
    folder = put_copies(bench.server, put_netcdf(bench.server, layout), files)
    rows = [*_ROWS, _S3FS]
    if files > 1:
        rows = [row for row in _ROWS if row.label not in (*_FOR_ONE_FILE, _SLOWER[layout.paged])]
    count = f"{files} files in {_THREADS} threads" if files > 1 else "one file"
    return bench.table(
        f"virtualizarr-{'paged' if layout.paged else 'scattered'}-{files}",
        f"VirtualiZarr, {layout.variables} variables, {layout.title}, {count}",
        PROFILES["cloud"],
        rows,
        Work("virtual", folder, {"files": files, "threads": min(files, _THREADS)}, warm=files > 1),
        reference=_BARE_PARALLEL.label,
        repeat=1 if bench.quick or files > 1 else 2,
    )


def _verdicts(table: Table, *, paged: bool) -> list[Verdict]:
    return [*_over_parsing(table), *_gains(table, paged=paged)]


def _over_parsing(table: Table) -> list[Verdict]:
    """Judge readers that have the structure before h5py takes its lock against the parsing, for many files."""
    if not table.name.endswith(f"-{_FILES}"):
        return []
    parsing = table.row(_PARSING.label)
    labels = (_CHOSEN_METADATA.label, _PARALLEL_METADATA.label)
    return [within(f"{table.name}, the parsing itself", table, label, _OVER_PARSING, parsing) for label in labels]


def _gains(table: Table, *, paged: bool) -> list[Verdict]:
    bare = _BARE_PARALLEL.label
    if paged:
        fastest = best(row for row in table.of_kind("ours") if row.label != bare)
        return [within(table.name, table, fastest.label if fastest else _STACK, 1.0, table.row(bare))]
    fastest, former = best(table.of_kind("ours")), best(table.of_kind("0.9.0"))
    label = fastest.label if fastest else _STACK
    parsing = table.value(_PARSING.label) or 0.0
    return [
        within(f"{table.name}, in all", table, label, 1 / _GAIN, former),
        within(f"{table.name}, without the parsing itself", table, label, 1 / _GAIN, former, beyond=parsing),
    ]
