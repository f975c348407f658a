"""pyfive, which reads HDF5 without libhdf5, as the backend of h5netcdf over a file of s3fs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import h5netcdf

from benchmarks.adapters.fsspec import OPEN, close, connect

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HDF5", "close", "connect"]


@contextmanager
def _s3(client: Any, path: str, **options: Any) -> Iterator[Any]:
    opened = OPEN["s3"](client, path, **options)
    with opened, h5netcdf.File(opened, "r", backend="pyfive", phony_dims="access") as file:
        yield file._h5file  # noqa: SLF001 - with the interface of h5py's files


HDF5 = {"s3": _s3}
