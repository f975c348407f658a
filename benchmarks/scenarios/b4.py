"""B4: open NetCDF4 files and look at everything in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.catalogue import BUFFERED, CHOSEN, EAGER, PARALLEL, distinct, readers
from benchmarks.files import Layout
from benchmarks.measure import Work
from benchmarks.profiles import PROFILES
from benchmarks.results import ScenarioResult
from benchmarks.server import put_netcdf
from benchmarks.verdicts import at_most, best, within

if TYPE_CHECKING:
    from benchmarks.measure import Bench
    from benchmarks.results import Table, Verdict

_EAGER_SECONDS = 0.6
_PAGED_SECONDS, _PAGED_REQUESTS = 0.30, 3
_CHOSEN_FACTOR = 1.1
# What would send small requests for longer is left out, with what they would be.
_PATIENCE = 15.0


def run_walk(bench: Bench) -> ScenarioResult:
    """B4a: h5py over scattered metadata."""
    table = _table(bench, "B4a", "walk", paged=False)
    verdicts = _reader_verdicts(table, _file_size(bench))
    eager = table.row(EAGER)
    verdicts.append(at_most(f"seconds of {EAGER}", eager.median if eager else None, _EAGER_SECONDS, " s"))
    return ScenarioResult("B4a", "Walk a NetCDF4 file, scattered metadata, h5py", [table], verdicts)


def run_xarray(bench: Bench) -> ScenarioResult:
    """B4b: the same file through xarray and h5netcdf."""
    table = _table(bench, "B4b", "datatree", paged=False, repeat=None if bench.quick else 2)
    verdicts = _reader_verdicts(table, _file_size(bench))
    return ScenarioResult("B4b", "Open a NetCDF4 file, scattered metadata, xarray", [table], verdicts)


def run_paged(bench: Bench) -> ScenarioResult:
    """B4c: h5py over the same data with metadata in pages."""
    table = _table(bench, "B4c", "walk", paged=True)
    row = table.row(PARALLEL)
    verdicts = [
        at_most(f"seconds of {PARALLEL}", row.median if row else None, _PAGED_SECONDS, " s"),
        at_most(f"requests of {PARALLEL}", row.requests if row else None, _PAGED_REQUESTS, digits=0),
        chosen_verdict(table),
    ]
    return ScenarioResult("B4c", "Walk a NetCDF4 file, 4 MiB pages, h5py", [table], verdicts)


def chosen_verdict(table: Table) -> Verdict:
    """Judge the reader for those who don't want to choose, against the best of ours in its memory."""
    chosen = table.row(CHOSEN)
    others = [row for row in table.of_kind("ours") if row.label != CHOSEN and row.memory is not None]
    return within("its choice", table, CHOSEN, _CHOSEN_FACTOR, best(others, chosen.memory if chosen else None))


def _layout(bench: Bench, *, paged: bool) -> Layout:
    return Layout(paged=paged, variables=50 if bench.quick else 150)


def _file_size(bench: Bench) -> int:
    path = put_netcdf(bench.server, _layout(bench, paged=False))
    return len(bench.server.get(f"bench/{path}"))


def _table(bench: Bench, name: str, task: str, *, paged: bool, repeat: int | None = None) -> Table:
    layout = _layout(bench, paged=paged)
    path = put_netcdf(bench.server, layout)
    kind = "4 MiB pages" if paged else "scattered metadata"
    title = f"NetCDF4, {layout.variables} variables, {kind}"
    rows = distinct(readers()) if name == "B4b" else readers()
    work = Work(task, path, patience=_PATIENCE)
    return bench.table(name, title, PROFILES["cloud"], rows, work, reference=EAGER, repeat=repeat)


def _reader_verdicts(table: Table, size: int) -> list[Verdict]:
    verdicts = []
    for label in (EAGER, PARALLEL, BUFFERED):
        row = table.row(label)
        rival = best(table.of_kind("alternative", "0.9.0"), row.memory if row else None)
        verdicts.append(within("best of equal memory", table, label, 1.0, rival))
        megabytes = row.sent / 1e6 if row else None
        verdicts.append(at_most(f"bytes moved by {label}, of the file's", megabytes, size / 1e6, " MB", digits=1))
    return [*verdicts, chosen_verdict(table)]
