"""What worker processes run: importable by a process that has nothing but this module's name."""

from __future__ import annotations

import gc
import hashlib
import os
from typing import TYPE_CHECKING

from obspec_utils.wrappers import CacheInfo
from obspec_utils.wrappers.caching._process_caches import PROCESS_CACHES

if TYPE_CHECKING:
    from obspec_utils.wrappers import CachingReadableStore


def digest(data) -> str:
    return hashlib.sha256(memoryview(data)).hexdigest()


def process_files(store: CachingReadableStore, paths: list[str]) -> dict:
    """Read each file twice, and tell what was found and what this process keeps of it."""
    arrived_with = store.cache_size
    digests = {path: digest(store.get(path).buffer()) for path in paths for _ in range(2)}
    return {
        "process": os.getpid(),
        "digests": digests,
        "arrived_with": arrived_with,
        "max_size": store._max_size,
        "cached_paths": store.cached_paths,
    }


def rest_of(reader) -> dict:
    """Read on from where the reader stands, and tell where that was and how it is set."""
    position, options = reader.tell(), reader._options
    return {"position": position, "options": options, "size": reader.size, "digest": digest(reader.read())}


def describe(store) -> dict:
    """Tell what a wrapper and those below it are set to."""
    layers = []
    while hasattr(store, "_arguments"):
        layers.append((type(store).__name__, getattr(store, "cache_size", None), store._arguments()[:2]))
        store = store._store
    return {"layers": layers, "native": type(store).__name__}


def mean_of(store, path: str, reader) -> float:
    """Open a NetCDF4 file through a reader and compute something."""
    import xarray as xr

    with reader(store, path) as file, xr.open_dataset(file, engine="h5netcdf") as opened:
        return float(opened["temperature"].mean())


def read_start(store, path, _):
    """Return the process and the first bytes of an object."""
    return os.getpid(), bytes(store.get_range(path, start=0, length=100))


def kept_in_process(*, after_a_minute=False):
    """Return how many caches copies share in this process, now or after those that no copy uses were freed."""
    gc.collect()
    if after_a_minute:
        PROCESS_CACHES._free(0.0)
        PROCESS_CACHES._free(60.0)
    return len(PROCESS_CACHES)


def mean_of_zarr(store) -> float:
    """Open a Zarr group and compute something."""
    import xarray as xr

    with xr.open_zarr(store, chunks=None) as opened:
        return float(opened["temperature"].mean())


def misses_in_process():
    """Return how many requests the caches that copies share in this process have sent."""
    caches = [cache.parts for cache in PROCESS_CACHES._caches.values()]
    return sum(CacheInfo.of(parts["_counters"], parts["_entries"].memory, ()).misses for parts in caches)
