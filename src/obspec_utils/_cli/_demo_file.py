"""The file of the demo, and what is read of it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

__all__ = ["VARIABLES", "check_modules", "make_content", "read_means"]

_GROUPS = ("atmosphere", "ice", "land", "ocean")
_VARIABLES_PER_GROUP = 26
_SHAPE = (512, 512)
_WANTED = ("atmosphere/field_03", "land/field_11", "ocean/field_20")
VARIABLES = len(_GROUPS) * _VARIABLES_PER_GROUP


def check_modules() -> None:
    """Raise ModuleNotFoundError if what the demo needs is missing."""
    for name in ("xarray", "h5netcdf", "h5py"):
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            msg = f'the demo requires {error.name}: pip install "obspec-utils[cli,xarray]"'
            raise ModuleNotFoundError(msg, name=error.name) from error


def make_content() -> bytes:
    """Return a NetCDF4 file of about 110 MB: four groups of 26 variables, as xarray and h5netcdf lay them out."""
    numpy, xarray = import_module("numpy"), import_module("xarray")
    random = numpy.random.default_rng(seed=0)

    def variable(name: str) -> Any:  # noqa: ANN401 - of xarray
        values = random.random(_SHAPE, dtype=numpy.float32)  # noise, so that no compression could help
        return xarray.DataArray(values, dims=("y", "x"), attrs={"units": "K", "long_name": name.replace("_", " ")})

    names = [f"field_{number:02}" for number in range(_VARIABLES_PER_GROUP)]
    groups = {group: xarray.Dataset({name: variable(name) for name in names}) for group in _GROUPS}
    tree = xarray.DataTree.from_dict({"/": xarray.Dataset(attrs={"title": "A model run"}), **groups})
    with TemporaryDirectory() as folder:
        file = Path(folder, "demo.nc")
        tree.to_netcdf(file, engine="h5netcdf")
        return file.read_bytes()


def read_means(file: Any) -> tuple[float, ...]:  # noqa: ANN401 - any binary file
    """Open the file with xarray, which reads the metadata of all variables; return the means of three of them."""
    with import_module("xarray").open_datatree(file, engine="h5netcdf") as tree:
        return tuple(float(tree[name].mean()) for name in _WANTED)
