"""Small files of every format, really written by the libraries that read them, once per test session."""

from __future__ import annotations

import gc
import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor

import pytest

from obspec_utils.caches import DiskCache, RedisCache
from tests.integration._rasters import write_rasters
from tests.integration.files import WRITERS, climate
from tests.integration.sharing import WORKERS


@pytest.fixture(scope="session")
def dataset():
    """What the NetCDF files hold."""
    return climate()


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """The bytes of one file of each format, by its name."""
    folder = tmp_path_factory.mktemp("files")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # rasterio's own, about affine
        for name, write in WRITERS.items():
            write(folder / name)
    return {name: (folder / name).read_bytes() for name in WRITERS}


@pytest.fixture(scope="module", autouse=True)
def nothing_left_open():
    """Free what a module's tests left in reference cycles: HDF5 crashes at exit over files that are still open then."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def rasters(tmp_path_factory):
    """The bytes of one raster of each kind, by its name."""
    return write_rasters(tmp_path_factory.mktemp("rasters"))


@pytest.fixture(params=["disk", "redis"])
def shared_cache(request, tmp_path):
    """A cache that processes share, empty."""
    if request.param == "disk":
        return DiskCache(tmp_path / "cache", 64 << 20)
    return RedisCache(request.getfixturevalue("redis_server").url)


@pytest.fixture(scope="module")
def workers():
    """Worker processes that import what they run."""
    with ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


@pytest.fixture
def together(workers, tmp_path):
    """Have every worker do something at the same time, each with a copy of the store of its own."""

    def run(function, store, what, *args):
        place = str(tmp_path / f"meeting-{len(list(tmp_path.glob('meeting-*')))}")
        running = [workers.submit(function, store, what, place, *args) for _ in range(WORKERS)]
        return [future.result(timeout=60) for future in running]

    return run
