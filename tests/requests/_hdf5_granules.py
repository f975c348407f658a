"""HDF5 files laid out as they are found in archives, and walks through them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import h5py
import numpy as np

from tests.unit._hdf5_files import GrowingFile

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["STEPS", "VARIABLES", "chunked_in_steps", "grouped", "scattered", "walk"]

VARIABLES = 12
STEPS = 60
STEP_SHAPE = (100, 100)  # chunks of 40,000 bytes


def _made(make: Callable[[h5py.File], None]) -> bytes:
    file = GrowingFile()
    with h5py.File(file, "w") as made:
        make(made)
    return file.getvalue()


@cache
def scattered() -> bytes:
    """Return a file of 30 MB: 150 variables, each with its metadata next to its data."""

    def make(file: h5py.File) -> None:
        for number in range(150):
            data = file.create_dataset(f"variable {number:03}", data=np.full(50_000, number, "i4"))
            for name in ("units", "long_name", "standard_name", "comment", "valid_min", "valid_max"):
                data.attrs[name] = f"{name} of variable {number}" * 5

    return _made(make)


@cache
def grouped(chunk: int = 10_000) -> bytes:
    """Return a file of 1,000 datasets in 20 groups, of two chunks of 40,000 bytes each: 82 MB."""

    def make(file: h5py.File) -> None:
        for group in range(20):
            for number in range(50):
                path = f"beam {group:02}/part/dataset {number:02}"
                data = file.create_dataset(path, data=np.full(2 * chunk, number, "i4"), chunks=(chunk,))
                for name in ("units", "long_name", "comment"):
                    data.attrs[name] = f"{name} of dataset {number}" * 5

    return _made(make)


@cache
def chunked_in_steps() -> bytes:
    """Return a file of 29 MB: 12 variables, of which each step has a chunk of 40,000 bytes."""

    def make(file: h5py.File) -> None:
        for number in range(VARIABLES):
            options = {"maxshape": (None, *STEP_SHAPE), "chunks": (1, *STEP_SHAPE), "dtype": "i4"}
            file.create_dataset(f"v{number:02}", (0, *STEP_SHAPE), **options)
        for step in range(STEPS):
            for number in range(VARIABLES):
                data = file[f"v{number:02}"]
                data.resize(step + 1, axis=0)
                data[step] = step * VARIABLES + number

    return _made(make)


def walk(file: h5py.File) -> int:
    """Look at all names, shapes, types and attributes; return the number of datasets."""
    datasets: list[str] = []

    def look(name: str, found: h5py.Group | h5py.Dataset) -> None:
        dict(found.attrs)
        if isinstance(found, h5py.Dataset):
            datasets.append(f"{name} {found.shape} {found.dtype} {found.chunks}")

    file.visititems(look)
    return len(datasets)
