"""The metadata of an HDF5 file of 1,021 datasets, by the size of the file."""

from __future__ import annotations

import io
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from benchmarks.catalogue import CHOSEN, MEMORY, ours
from benchmarks.hdf5_files import Granule
from benchmarks.measure import Work
from benchmarks.results import ScenarioResult, at_most, within
from benchmarks.server import PROFILES, map_file
from benchmarks.tasks.formats import walk_h5py

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.measure import Bench
    from benchmarks.results import Table, Verdict

# Elements of a chunk, and the size of the file that they make.
_SIZES = {2_400: "0.1 GB", 16_700: "0.7 GB", 238_000: "10 GB"}
_SAME_TIME = 1.2
_TIMES_WHAT_IS_READ = 4.0


class _CountingFile(io.FileIO):
    """A file that counts the bytes read."""

    read_bytes = 0

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = super().readinto(buffer)
        self.read_bytes += count or 0
        return count or 0


def run(bench: Bench) -> ScenarioResult:
    """Read all metadata of files that differ in the length of their chunks."""
    tables: list[Table] = []
    verdicts: list[Verdict] = []
    row = ours(f"{CHOSEN}, auto", "open_reader", MEMORY, read_ahead="auto")
    for chunk, size in _SIZES.items():
        granule = Granule(1 if bench.quick else 6, chunk, is_sparse=True)
        path = map_file(bench.server, granule.name, granule.path())
        title = f"Metadata of {granule.datasets:,} datasets in a file of {size}"
        work = Work("walk_h5py", path, patience=60.0)
        table = bench.table(f"hdf5_sizes-{chunk}", title, PROFILES["cloud"], [row], work)
        sent = table.row(row.label)
        limit = _TIMES_WHAT_IS_READ * _bytes_read(granule.path()) / 1e6
        verdicts.append(at_most(f"{size}: MB", sent.sent / 1e6 if sent else None, limit, " MB", digits=1))
        if tables:
            verdicts.append(within(f"{size} and 0.1 GB", table, row.label, _SAME_TIME, tables[0].row(row.label)))
        tables.append(table)
    return ScenarioResult("hdf5_sizes", "HDF5 metadata by the size of the file", tables, verdicts)


def _bytes_read(path: Path) -> int:
    """Return how many bytes h5py reads of a file for its metadata."""
    with _CountingFile(path) as counted:
        source: Any = SimpleNamespace(has=lambda _: False, open=lambda: nullcontext(counted))
        clock: Any = nullcontext()
        walk_h5py(source, clock)
        return counted.read_bytes
