"""NetCDF4 files with the same seeded data in two layouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import h5netcdf
import numpy as np

from benchmarks.environments import SCRATCH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Layout", "netcdf_file", "once_made"]

# To be raised when the contents change, since existing files are kept.
_EDITION = 2
_CHUNKS_PER_VARIABLE = 16
_VARIABLES_PER_GROUP = 25
_PAGE = 4 << 20


@dataclass(frozen=True, slots=True)
class Layout:
    """Layout of a file.

    Parameters
    ----------
    paged
        HDF5's paged allocation, which gathers metadata in pages of 4 MiB. Without it the libraries' defaults apply:
        each variable's metadata lies beside its data, all over the file.
    groups
        25 variables per group, or all in the root, where one call of VirtualiZarr finds them.
    variables
        Their number; each has 0.8 MB of data.
    """

    paged: bool = False
    groups: bool = True
    variables: int = 150

    @property
    def title(self) -> str:
        """The layout in words."""
        return "4 MiB pages" if self.paged else "scattered metadata"

    @property
    def name(self) -> str:
        """File name."""
        kind = "paged" if self.paged else "scattered"
        return f"{kind}-{'groups' if self.groups else 'flat'}-{self.variables}.nc"


def once_made(name: str, write: Callable[[Path], object]) -> Path:
    """Return a file of that name, which is written first if it is not there."""
    path = SCRATCH / "files" / f"v{_EDITION}-{name}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        write(partial)
        partial.rename(path)
    return path


def netcdf_file(layout: Layout) -> Path:
    """Return a file of that layout, which is written first if it is not there."""

    def write(path: Path) -> None:
        options = {"fs_strategy": "page", "fs_page_size": _PAGE} if layout.paged else {}
        with h5netcdf.File(path, "w", **options) as file:
            _fill(file, layout)

    return once_made(layout.name, write)


def _fill(file: h5netcdf.File, layout: Layout) -> None:
    """Write variable after variable, as xarray does."""
    random = np.random.default_rng(seed=0)
    file.attrs["title"] = "A model run, made for benchmarks"
    for first in range(0, layout.variables, _VARIABLES_PER_GROUP):
        number = first // _VARIABLES_PER_GROUP
        place = file.create_group(f"realm_{number}") if layout.groups else file
        if layout.groups or not number:
            _add_dimensions(place)
        for index in range(first, min(first + _VARIABLES_PER_GROUP, layout.variables)):
            _add_variable(place, f"field_{index:03}", random)


def _add_dimensions(group: h5netcdf.Group) -> None:
    group.dimensions = {"time": 8, "lat": 160, "lon": 160}
    for name, size in (("time", 8), ("lat", 160), ("lon", 160)):
        scale = group.create_variable(name, (name,), data=np.arange(size, dtype="f8"))
        scale.attrs["standard_name"] = name
        scale.attrs["units"] = "days since 2000-01-01" if name == "time" else "degrees"


def _add_variable(group: h5netcdf.Group, name: str, random: np.random.Generator) -> None:
    # Noise, so that no compression could help, in 16 chunks of 51 kB.
    data = random.random((8, 160, 160), dtype=np.float32)
    variable = group.create_variable(name, ("time", "lat", "lon"), data=data, chunks=(1, 80, 160))
    attributes = {"units": "K", "long_name": f"{name} of a model that does not exist", "cell_methods": "time: mean"}
    for key, value in attributes.items():
        variable.attrs[key] = value
