"""Read HDF5 and NetCDF4 files with h5py, xarray and VirtualiZarr: their metadata, and one variable."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.tasks._run import Checksum

if TYPE_CHECKING:
    from collections.abc import Iterator

    import h5py

    from benchmarks.tasks._run import Clock, Source


def walk_h5py(source: Source, clock: Clock) -> tuple[str, dict[str, float]]:
    """Open the file and read all metadata: groups, variables, attributes and chunk indexes."""
    seen: list[str] = []
    with clock, _hdf5(source) as file:
        file.visititems(lambda name, item: seen.append(_describe(name, item)))
    return str(Checksum([";".join(sorted(seen)).encode()])), {}  # libraries visit in different orders


def variable_h5py(source: Source, clock: Clock, *, variable: str) -> tuple[str, dict[str, float]]:
    """Open the file and read all values of one variable."""
    with clock, _hdf5(source) as file:
        values = file[variable][...]
    return str(Checksum([values])), {}


@contextmanager
def _hdf5(source: Source) -> Iterator[Any]:
    """Open the file by the adapter's own library for HDF5, if it has one, else by h5py."""
    if source.has("HDF5"):
        with source.call("HDF5") as file:
            yield file
        return
    import h5py  # noqa: PLC0415 - not in every environment

    with source.open() as opened, h5py.File(opened, "r") as file:
        yield file


def _describe(name: str, item: h5py.Dataset | h5py.Group) -> str:
    facts: list[object] = [name, sorted((key, _plain(value)) for key, value in item.attrs.items())]
    if hasattr(item, "shape"):
        # Without the names of its scales: HDF5 searches the whole file for those, which measures HDF5 alone.
        facts += [item.shape, item.dtype.str, item.chunks, item.id.get_num_chunks() if item.chunks else 0]
    return repr(facts)


def _plain(value: Any) -> object:
    if isinstance(value, str):
        return str(value)  # pyfive's strings have a dtype
    # References to dimension scales print as addresses in memory, which differ from run to run.
    return len(value) if getattr(getattr(value, "dtype", None), "kind", "") in "OV" else str(value)


def walk_xarray(source: Source, clock: Clock) -> tuple[str, dict[str, float]]:
    """Open the file by h5netcdf and read the metadata of every variable; of the values only the indexes."""
    import xarray as xr  # noqa: PLC0415 - not in every environment

    seen = []
    with clock, source.open() as opened, xr.open_datatree(opened, engine="h5netcdf") as tree:
        for node in tree.subtree:
            variables = node.to_dataset(inherit=False).variables
            seen += [f"{node.path}/{name}: {it.dims} {it.shape} {it.attrs}" for name, it in variables.items()]
    return str(Checksum([";".join(seen).encode()])), {}


def virtual(source: Source, clock: Clock, *, files: int, threads: int) -> tuple[str, dict[str, float]]:
    """Open `{path}/0`, `{path}/1`, … as virtual datasets: registry, store, reader and parser."""
    from virtualizarr import open_virtual_dataset  # noqa: PLC0415
    from virtualizarr.parsers import HDFParser  # noqa: PLC0415

    from obspec_utils.registry import ObjectStoreRegistry  # noqa: PLC0415 - not in every environment

    store, reader_factory = source.call("VIRTUAL")
    base = f"s3://{source.bucket}"
    registry = ObjectStoreRegistry({base: store})

    def parse(number: int) -> str:
        parser = HDFParser(reader_factory=reader_factory)
        url = f"{base}/{source.path}/{number}"
        with open_virtual_dataset(url, registry, parser, loadable_variables=[], decode_times=False) as dataset:
            return ";".join(_chunks(name, it.data) for name, it in sorted(dataset.variables.items()))

    with clock:
        if threads == 1:
            seen = [parse(number) for number in range(files)]
        else:
            with ThreadPoolExecutor(threads) as pool:
                seen = list(pool.map(parse, range(files)))
    return str(Checksum(text.replace(source.path, "").encode() for text in seen)), {}


def _chunks(name: object, array: Any) -> str:
    return f"{name}: {sorted((key, it['offset'], it['length']) for key, it in array.manifest.dict().items())}"
