"""Open a NetCDF4 file with all its groups in xarray (B4b)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.tasks._source import Checksum

if TYPE_CHECKING:
    from benchmarks.tasks._clock import Clock
    from benchmarks.tasks._source import Source


def run(source: Source, clock: Clock) -> tuple[str, dict[str, float]]:
    """Open the file by h5netcdf and look at the metadata of every variable; values other than indexes stay there."""
    import xarray as xr  # noqa: PLC0415 - not in every environment

    seen = []
    with clock, source.open() as opened, xr.open_datatree(opened, engine="h5netcdf") as tree:
        for node in tree.subtree:
            variables = node.to_dataset(inherit=False).variables
            seen += [f"{node.path}/{name}: {it.dims} {it.shape} {it.attrs}" for name, it in variables.items()]
    return str(Checksum([";".join(seen).encode()])), {}
