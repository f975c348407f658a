"""What is done with a file to compare readers."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import TYPE_CHECKING, Any, TypeAlias

from obspec_utils._redact import redacted, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

__all__ = ["WORKLOADS", "Workload", "workload_of"]

# Its argument is a binary file, open for reading.
Work: TypeAlias = "Callable[[BinaryIO], object]"

_PIECE = 1024 * 1024
_WINDOW = 1024


@dataclass(frozen=True, slots=True)
class Workload:
    """A function of a file.

    Attributes
    ----------
    name
        The name, for tables.
    run
        The function.
    modules
        The modules that it imports: before it is measured.
    extra
        The extra of this library that installs them.
    """

    name: str
    run: Work
    modules: tuple[str, ...] = ()
    extra: str = ""

    def prepare(self) -> None:
        """Import what it needs.

        Raises
        ------
        ModuleNotFoundError
            If a module is not installed.
        """
        for module in self.modules:
            try:
                import_module(module)
            except ModuleNotFoundError as error:
                msg = f'workload {self.name!r} needs {error.name}: pip install "obspec-utils[{self.extra}]"'
                raise ModuleNotFoundError(msg, name=error.name) from error


def workload_of(workload: object) -> Workload:
    """Return a built-in workload by its name, or that of a function; its modules are imported.

    Raises
    ------
    TypeError
        If it is neither a str nor callable, or an async function or a generator.
    ValueError
        If there is no built-in workload of that name.
    ModuleNotFoundError
        If it needs a module that is not installed.
    """
    if not isinstance(workload, str):
        if not callable(workload):
            msg = f"workload must be a function of a file, or one of {', '.join(WORKLOADS)}, got {shown(workload)}"
            raise TypeError(msg)
        if any(is_one(workload) for is_one in (iscoroutinefunction, isgeneratorfunction, isasyncgenfunction)):
            msg = f"workload must read the file when it is called, not be async or a generator, got {shown(workload)}"
            raise TypeError(msg)
        return Workload(redacted(str(getattr(workload, "__name__", type(workload).__name__))), workload)
    if workload not in WORKLOADS:
        msg = f"workload must be a function of a file, or one of {', '.join(WORKLOADS)}, got {shown(workload)}"
        raise ValueError(msg)
    found = WORKLOADS[workload]
    found.prepare()
    return found


def _open_groups(file: Any) -> None:  # noqa: ANN401 - as xarray takes it
    """Open all groups with xarray, as `xarray.open_datatree` does; this reads the coordinates that it indexes."""
    xarray = import_module("xarray")
    groups = xarray.open_groups(file, engine="h5netcdf", phony_dims="access", decode_timedelta=False)
    for dataset in groups.values():
        dataset.close()


def _walk(file: Any) -> None:  # noqa: ANN401 - as h5py takes it
    """Visit all objects with h5py, and read their shapes, types and attributes, but no data."""
    h5py = import_module("h5py")
    seen: dict[str, object] = {}

    def look(name: str, found: Any) -> None:  # noqa: ANN401 - of h5py, which has no type hints
        dict(found.attrs)
        if isinstance(found, h5py.Dataset):
            seen[name] = found.shape, found.dtype, found.chunks, found.compression

    with h5py.File(file) as opened:
        dict(opened.attrs)
        opened.visititems(look)


def _read_window(file: Any) -> None:  # noqa: ANN401 - any binary file
    """Open a raster, and read the middle of its first band at full resolution, up to 1,024 x 1,024 pixels."""
    raster = import_module("obspec_utils._explain._raster")
    with raster.opened(file) as dataset:
        rows, columns = (_middle(length) for length in dataset.shape)
        dataset.read(1, window=(rows, columns))


def _middle(length: int) -> tuple[int, int]:
    start = max(0, (length - _WINDOW) // 2)
    return start, min(length, start + _WINDOW)


def _read_column(file: Any) -> None:  # noqa: ANN401 - as pyarrow takes it
    """Read the metadata of a Parquet file, and the first column of its first row group."""
    parquet = import_module("pyarrow.parquet")
    with parquet.ParquetFile(file) as opened:
        if opened.num_row_groups and opened.metadata.num_columns:
            # By the name of the field: a nested column is several.
            opened.read_row_group(0, columns=[opened.schema_arrow.names[0]], use_threads=False)


def _read_all(file: BinaryIO) -> None:
    """Read the file from its start to its end, in pieces of 1 MiB."""
    while file.read(_PIECE):
        pass


WORKLOADS = {
    it.name: it
    for it in (
        Workload("h5netcdf", _open_groups, ("xarray", "h5netcdf"), "xarray"),
        Workload("h5py", _walk, ("h5py",), "xarray"),
        Workload("rasterio", _read_window, ("rasterio",), "rasterio"),
        Workload("parquet", _read_column, ("pyarrow", "pyarrow.parquet"), "parquet"),
        Workload("read-all", _read_all),
    )
}
