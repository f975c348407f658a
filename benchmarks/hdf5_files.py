"""HDF5 files with their metadata all over the file: one of many groups, and one written step by step."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import h5py
import numpy as np

from benchmarks.files import once_made

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Granule", "Steps"]

_GRANULE_CHUNK = 10_000  # elements of 4 bytes
_STEP = 5_000  # elements of 8 bytes


class Granule:
    """A file in the layout of laser altimeters' granules: a group for each beam, with groups of datasets in it.

    Each beam has five long datasets, of 250 chunks of 40 kB, and short ones in groups named by what they describe;
    two more groups have datasets of one chunk. The datasets are written one after the other, in HDF5's oldest format,
    so that symbol tables, object headers and B-trees of chunks lie between the data.

    Parameters
    ----------
    beams
        Up to 6, which make 1,021 datasets in 420 MB.
    chunk
        Elements of a chunk, of 4 bytes each.
    is_sparse
        Whether to allocate the chunks without writing them: the metadata is what it would be, and the file takes no
        space on disk.
    """

    _groups = ("geolocation", "geophys_corr", "bckgrd_atlas", "signal_find_output", "land_ice", "stats", "quality")
    _beams = ("gt1l", "gt1r", "gt2l", "gt2r", "gt3l", "gt3r")
    _long = ("h_ph", "lat_ph", "lon_ph", "delta_time", "dist_ph_along")
    _chunks, _short_chunks, _per_group, _others = 250, 3, 23, 25

    def __init__(self, beams: int, chunk: int = _GRANULE_CHUNK, *, is_sparse: bool = False) -> None:
        self.beams = beams
        self.chunk = chunk
        self.is_sparse = is_sparse

    @property
    def datasets(self) -> int:
        """Number of datasets."""
        return self.beams * (len(self._long) + len(self._groups) * self._per_group) + self._others

    @property
    def variable(self) -> str:
        """A long dataset, in the middle of the file."""
        return f"{self._beams[self.beams // 2]}/heights/h_ph"

    @property
    def variable_size(self) -> int:
        """Bytes of the variable."""
        return self._chunks * self.chunk * 4

    @property
    def name(self) -> str:
        """File name."""
        return f"granule-{self.beams}-{self.chunk}{'-sparse' if self.is_sparse else ''}.h5"

    def path(self) -> Path:
        """Return the file, which is written first if it is not there."""
        return once_made(self.name, self._write)

    def _write(self, path: Path) -> None:
        add = partial(self._add, random=None if self.is_sparse else np.random.default_rng(seed=1))
        with h5py.File(path, "w", libver="earliest") as file:
            file.attrs["title"] = "An altimeter's granule, made for benchmarks"
            for beam in self._beams[: self.beams]:
                for name in self._long:
                    add(file, f"{beam}/heights/{name}", self._chunks)
                for group in self._groups:
                    for number in range(self._per_group):
                        add(file, f"{beam}/{group}/value_{number:02}", self._short_chunks)
            for number in range(self._others):
                add(file, f"{'orbit_info' if number % 2 else 'ancillary_data'}/value_{number:02}", 1)

    def _add(self, file: h5py.File, name: str, chunks: int, *, random: np.random.Generator | None) -> None:
        if random is None:
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            shape = (chunks * self.chunk,)
            dataset = file.create_dataset(name, shape, np.float32, chunks=(self.chunk,), dcpl=plist)
        else:  # noise, so that no compression could help
            data = random.random(chunks * self.chunk, dtype=np.float32)
            dataset = file.create_dataset(name, data=data, chunks=(self.chunk,))
        _add_attributes(dataset, name.replace("/", " "))


def _add_attributes(dataset: h5py.Dataset, words: str) -> None:
    attributes = {
        "units": "meters",
        "long_name": f"The {words}",
        "description": f"The {words} of a satellite that does not exist, above an ellipsoid that is not there. " * 3,
        "source": "Derived via Time Tagging",
        "contentType": "physicalMeasurement",
        "coordinates": "delta_time lat_ph lon_ph",
        "valid_min": np.float32(0),
        "valid_max": np.float32(1),
    }
    for key, value in attributes.items():
        dataset.attrs[key] = value


class Steps:
    """A file of 12 variables, written step by step as a model does: each step adds a chunk of 40 kB to each variable.

    Parameters
    ----------
    steps
        500 make 240 MB.
    """

    variable = "field_03"
    variables = 12

    def __init__(self, steps: int) -> None:
        self.steps = steps

    @property
    def variable_size(self) -> int:
        """Bytes of the variable."""
        return self.steps * _STEP * 8

    def path(self) -> Path:
        """Return the file, which is written first if it is not there."""
        return once_made(f"steps-{self.steps}.h5", self._write)

    def _write(self, path: Path) -> None:
        random = np.random.default_rng(seed=2)
        with h5py.File(path, "w") as file:
            options = {"shape": (0, _STEP), "maxshape": (None, _STEP), "chunks": (1, _STEP), "dtype": "f8"}
            fields = [file.create_dataset(f"field_{number:02}", **options) for number in range(self.variables)]
            for step in range(self.steps):
                for field in fields:
                    field.resize(step + 1, 0)
                    field[step] = random.random(_STEP)
