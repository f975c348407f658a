"""Open NetCDF4 files and read all metadata in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.catalogue import ALL_READERS, BUFFERED, EAGER, PARALLEL, READERS, chosen_verdict
from benchmarks.files import Layout
from benchmarks.measure import Work
from benchmarks.results import ScenarioResult, at_most, best, within
from benchmarks.server import PROFILES, put_netcdf

if TYPE_CHECKING:
    from benchmarks.measure import Bench
    from benchmarks.results import Table, Verdict

_EAGER_SECONDS = 0.6
_PAGED_SECONDS, _PAGED_REQUESTS = 0.30, 3
# Rows whose small requests would take longer are left out.
_PATIENCE = 15.0


def run(bench: Bench) -> ScenarioResult:
    """Read scattered metadata by h5py and by xarray, and metadata in pages by h5py."""
    walked = _table(bench, "h5py", paged=False)
    paged = _table(bench, "h5py", paged=True)
    size = len(bench.server.get(f"bench/{put_netcdf(bench.server, _layout(bench, paged=False))}"))
    verdicts = [
        *_reader_verdicts(walked, size),
        at_most(f"h5py: seconds of {EAGER}", walked.value(EAGER), _EAGER_SECONDS, " s"),
    ]
    tables = [walked, paged]
    if not bench.quick:
        tables.insert(1, _table(bench, "xarray", paged=False, repeat=2))
        verdicts += _reader_verdicts(tables[1], size)
    verdicts += [
        at_most(f"h5py, pages: seconds of {PARALLEL}", paged.value(PARALLEL), _PAGED_SECONDS, " s"),
        at_most(f"h5py, pages: requests of {PARALLEL}", paged.value(PARALLEL, "requests"), _PAGED_REQUESTS, digits=0),
        chosen_verdict(paged, "h5py, pages"),
    ]
    return ScenarioResult("netcdf_metadata", "Read the metadata of a NetCDF4 file", tables, verdicts)


def _layout(bench: Bench, *, paged: bool) -> Layout:
    return Layout(paged=paged, variables=50 if bench.quick else 150)


def _table(bench: Bench, library: str, *, paged: bool, repeat: int | None = None) -> Table:
    layout = _layout(bench, paged=paged)
    rows = READERS if library == "xarray" else ALL_READERS
    name = f"netcdf_metadata-{library}-{'paged' if paged else 'scattered'}"
    title = f"{library}, {layout.variables} variables, {layout.title}"
    work = Work(f"walk_{library}", put_netcdf(bench.server, layout), patience=_PATIENCE)
    return bench.table(name, title, PROFILES["cloud"], rows, work, reference=EAGER, repeat=repeat)


def _reader_verdicts(table: Table, size: int) -> list[Verdict]:
    library = table.title.split(",")[0]
    verdicts = []
    for label in (EAGER, PARALLEL, BUFFERED):
        row = table.row(label)
        rival = best(table.of_kind("alternative", "0.9.0"), row.memory if row else None)
        verdicts.append(within(f"{library}, best of equal memory", table, label, 1.0, rival))
        megabytes = row.sent / 1e6 if row else None
        verdicts.append(at_most(f"{library}: MB of the file moved by {label}", megabytes, size / 1e6, " MB", digits=1))
    return [*verdicts, chosen_verdict(table, library)]
