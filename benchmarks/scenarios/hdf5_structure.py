"""HDF5 files whose structure is read ahead: their metadata, and one variable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.catalogue import CHOSEN, MEMORY, PARALLEL, ours, previous, s3fs
from benchmarks.files import Layout
from benchmarks.hdf5_files import Granule, Steps
from benchmarks.measure import Row, Work
from benchmarks.results import ScenarioResult, at_most, within
from benchmarks.server import put_file, put_netcdf

if TYPE_CHECKING:
    from benchmarks.measure import Bench
    from benchmarks.results import Table, Verdict
    from benchmarks.server import Profile

_AUTO, _METADATA = f"{CHOSEN}, auto", f"{CHOSEN}, metadata"
_TODAY = f"{PARALLEL}, pattern"
_BLOCKCACHE = s3fs("blockcache", 4, quick=True)
_KERCHUNK = Row("kerchunk references made before", "kerchunk", "kerchunk", "references", quick=False)
_ROWS = [
    ours(_AUTO, "open_reader", MEMORY, read_ahead="auto"),
    ours(_METADATA, "open_reader", MEMORY, read_ahead="metadata"),
    replace(ours(f"{PARALLEL}, auto", "parallel", MEMORY, read_ahead="auto"), quick=False),
    ours(_TODAY, "parallel", MEMORY, read_ahead="pattern"),
    replace(previous("BlockStoreReader 1 MiB x 64", "block", MEMORY), quick=False),
    _BLOCKCACHE,
    Row("remfile", "remfile", "remfile", "http", {}, 1000 << 20, quick=False),
    replace(_BLOCKCACHE, label="pyfive, s3fs blockcache", environment="pyfive", adapter="pyfive", quick=False),
]
_PROFILES = ("cloud", "laptop")
# Requests that one after the other would take minutes take seconds when they are sent in parallel.
_PATIENCE = 180.0
_KERCHUNK_FACTOR = 1.5


@dataclass(frozen=True, slots=True)
class _Task:
    """One of the five works: its name in tables, its title, the object, and its goals for `cloud`.

    Parameters
    ----------
    variable
        The variable to read; None to read all metadata.
    seconds
        At most; None for no more than without the structure.
    megabytes
        At most.
    """

    name: str
    title: str
    path: str
    variable: str | None
    seconds: float | None
    megabytes: float

    def work(self) -> Work:
        """Return what a worker runs."""
        if self.variable is None:
            return Work("walk_h5py", self.path, patience=_PATIENCE)
        return Work("variable_h5py", self.path, {"variable": self.variable}, patience=_PATIENCE)


def run(bench: Bench) -> ScenarioResult:
    """Read the metadata of three files, and one variable of two, on two networks."""
    tables: list[Table] = []
    verdicts: list[Verdict] = []
    for task in _tasks(bench):
        for profile in bench.profiles(*_PROFILES[: 1 if bench.quick else None]):
            table = _table(bench, task, profile)
            tables.append(table)
            if profile.name == "cloud":
                verdicts += _verdicts(task, table)
    return ScenarioResult("hdf5_structure", "Read HDF5 files by their structure", tables, verdicts)


def _tasks(bench: Bench) -> list[_Task]:
    granule, steps = Granule(1 if bench.quick else 6), Steps(150 if bench.quick else 500)
    granule_path = put_file(bench.server, granule.name, granule.path)
    steps_path = put_file(bench.server, f"steps-{steps.steps}.h5", steps.path)
    of_steps, of_granule = steps.variable_size / 1e6, granule.variable_size / 1e6
    title = f"One of {steps.variables} variables of {of_steps:.0f} MB, written step by step"
    tasks = [
        _Task("granule", f"Metadata of {granule.datasets:,} datasets in groups", granule_path, None, 1.5, 12.0),
        _Task("steps", title, steps_path, steps.variable, 0.7, 1.2 * of_steps),
        _Task(
            "variable",
            f"A variable of {of_granule:.0f} MB of these datasets",
            granule_path,
            granule.variable,
            None,
            of_granule + 5,
        ),
    ]
    if bench.quick:
        return tasks
    scattered, paged = (Layout(paged=paged) for paged in (False, True))
    return [
        _Task(
            "scattered",
            f"Metadata of {scattered.variables} variables, scattered",
            put_netcdf(bench.server, scattered),
            None,
            0.65,
            4.0,
        ),
        *tasks,
        _Task(
            "paged",
            f"Metadata of {paged.variables} variables in {paged.title}",
            put_netcdf(bench.server, paged),
            None,
            0.36,
            4.0,
        ),
    ]


def _table(bench: Bench, task: _Task, profile: Profile) -> Table:
    rows = [*_ROWS, _KERCHUNK] if task.variable else _ROWS
    name = f"hdf5_structure-{task.name}-{profile.name}"
    return bench.table(name, task.title, profile, rows, task.work(), reference=_TODAY)


def _verdicts(task: _Task, table: Table) -> list[Verdict]:
    row = table.row(_AUTO)
    megabytes = row.sent / 1e6 if row else None
    verdicts = [at_most(f"{task.name}: MB of {_AUTO}", megabytes, task.megabytes, " MB", digits=1)]
    if task.seconds is None:
        verdicts.append(within(task.name, table, _AUTO, 1.0, table.row(_TODAY)))
    else:
        verdicts.append(at_most(f"{task.name}: seconds of {_AUTO}", table.value(_AUTO), task.seconds, " s"))
    if table.row(_KERCHUNK.label):
        verdicts.append(within(task.name, table, _AUTO, _KERCHUNK_FACTOR, table.row(_KERCHUNK.label)))
    return verdicts
