"""Small files of every format, really written by the libraries that read them, once per test session."""

from __future__ import annotations

import gc
import warnings

import pytest

from tests.integration.files import WRITERS, climate


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
