"""Files to inspect, as the libraries of their formats write them."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import h5py
import numpy as np
import rasterio
from obstore.store import MemoryStore
from rasterio.transform import from_origin

from obspec_utils._inspect import inspect
from obspec_utils.wrappers import RequestTrace, TracingReadableStore

FIELDS = 40
_NOISE = np.random.default_rng(0)


def hdf5(write, **options):
    """Return the bytes of a file that a function writes into."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.h5")
        with h5py.File(path, "w", **options) as file:
            write(file)
        return path.read_bytes()


def scattered(file):
    """Write variables of 128 KiB in four groups, with metadata between them."""
    for number in range(FIELDS):
        values = _NOISE.random((128, 256), dtype="f4")
        dataset = file.create_dataset(f"group_{number % 4}/field_{number:02}", data=values, chunks=(32, 256))
        dataset.attrs["units"] = "K"


def raster(path, *, width=2048, height=1536, overviews=(), **options):
    """Return the bytes of a raster of noise."""
    profile = {"driver": "GTiff", "width": width, "height": height, "count": 1, "dtype": "uint8"}
    profile |= {"crs": "EPSG:32632", "transform": from_origin(0, 0, 10, 10), **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rasterio's own, about affine
        with rasterio.open(path, "w", **profile) as image:
            image.write(_NOISE.integers(0, 255, (1, height, width), dtype="u1"))
        if overviews:
            with rasterio.open(path, "r+") as image:
                image.build_overviews(overviews)
    return path.read_bytes()


def traced(content):
    """Return a store of one object "a", and the trace of its requests."""
    store = MemoryStore()
    store.put("a", content)
    trace = RequestTrace()
    return TracingReadableStore(store, trace), trace


def inspected(content):
    """Return the inspection of an object."""
    return inspect(traced(content)[0], "a")


def kinds(inspection):
    """Return the kinds of the advice."""
    return [advice.kind for advice in inspection.advice]
