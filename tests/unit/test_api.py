"""What must import, and with which parameters: the public interface, name by name."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import obspec_utils

PUBLIC = {
    "obspec_utils": [
        "Explanation",
        "Network",
        "ObjectStoreRegistry",
        "__version__",
        "explain",
        "glob",
        "glob_async",
        "glob_objects",
        "glob_objects_async",
    ],
    "obspec_utils.readers": [
        "BlockStoreReader",
        "BufferedStoreReader",
        "EagerStoreReader",
        "ParallelStoreReader",
        "ReaderStats",
        "open_reader",
        "open_reader_async",
    ],
    "obspec_utils.wrappers": [
        "CacheInfo",
        "CachingReadableStore",
        "CoalescingReadableStore",
        "RequestRecord",
        "RequestTrace",
        "SplittingReadableStore",
        "TierInfo",
        "TracingReadableStore",
    ],
    "obspec_utils.caches": [
        "Cache",
        "DiskCache",
        "Lease",
        "LeasingCache",
        "ManyCache",
        "MemoryCache",
        "RedisCache",
    ],
    "obspec_utils.stores": ["AiohttpGetResult", "AiohttpGetResultAsync", "AiohttpStore"],
    "obspec_utils.rasterio": ["opener"],
    "obspec_utils.zarr": ["ObspecStore"],
    "obspec_utils.registry": ["ObjectStoreRegistry", "PathEntry", "UrlKey", "get_url_key", "path_segments"],
    "obspec_utils.protocols": ["ReadableFile", "ReadableStore"],
    "obspec_utils.typing": ["Path", "Url"],
    "obspec_utils.glob": ["glob", "glob_async", "glob_objects", "glob_objects_async"],
    "obspec_utils.fsspec": ["ObspecFileSystem", "register"],
    "obspec_utils.exceptions": ["IncompleteReadError", "ObjectChangedError"],
}
VERSION = {"check_version": "auto", "version": None}
DEFAULTS = {
    "readers.EagerStoreReader": {
        "request_size": 12 << 20,
        "file_size": None,
        "max_concurrent_requests": 18,
        **VERSION,
        "progress": None,
    },
    "readers.ParallelStoreReader": {"chunk_size": 1 << 20, "max_cached_chunks": 64, "read_ahead": "auto", **VERSION},
    "readers.BlockStoreReader": {"block_size": 1 << 20, "max_cached_blocks": 64, "read_ahead": "auto", **VERSION},
    "readers.BufferedStoreReader": {"buffer_size": 1 << 20, "max_concurrent_requests": None, **VERSION},
    "readers.open_reader": {"memory": 64 << 20, "read_ahead": "auto", **VERSION, "progress": None},
    "readers.open_reader_async": {"memory": 64 << 20, "read_ahead": "auto", **VERSION, "progress": None},
    "wrappers.CachingReadableStore": {
        "max_size": 256 << 20,
        "block_size": None,
        "max_age": None,
        "cache": None,
        "namespace": None,
        "check_version": "auto",
        "share": None,
        "read_ahead": True,
    },
    "wrappers.SplittingReadableStore": {
        "request_size": 12 << 20,
        "max_concurrent_requests": 18,
        "check_version": "auto",
        "progress": None,
    },
    "wrappers.CoalescingReadableStore": {"max_gap": 0, "max_request_size": 8 << 20, "check_version": "auto"},
    "wrappers.TracingReadableStore": {"on_request": None},
    "zarr.ObspecStore": {},
}


@pytest.mark.parametrize("module", PUBLIC)
def test_all_is_exact(module: str) -> None:
    imported = importlib.import_module(module)
    assert sorted(imported.__all__) == sorted(PUBLIC[module])
    assert all(hasattr(imported, name) for name in PUBLIC[module])


@pytest.mark.parametrize("name", DEFAULTS)
def test_parameters_and_defaults(name: str) -> None:
    module, _, cls = name.partition(".")
    parameters = inspect.signature(getattr(importlib.import_module(f"obspec_utils.{module}"), cls)).parameters
    first = ["store", "path"] if module == "readers" else ["store"]
    assert list(parameters)[: len(first)] == first
    found = {key: value.default for key, value in parameters.items() if value.default is not inspect.Parameter.empty}
    assert found == DEFAULTS[name]


@pytest.mark.parametrize("module", ["aiohttp", "cache", "obspec", "splitting", "tracing"])
def test_old_module_names_still_work_and_say_where_to_go(module: str) -> None:
    sys.modules.pop(f"obspec_utils.{module}", None)
    with pytest.warns(DeprecationWarning, match=rf"obspec_utils\.{module} is deprecated") as warned:
        old = importlib.import_module(f"obspec_utils.{module}")
    assert len(warned) == 1
    for name in old.__all__:
        assert any(getattr(old, name) is getattr(importlib.import_module(new), name, None) for new in PUBLIC)


def test_the_version_is_that_of_the_distribution() -> None:
    assert obspec_utils.__version__ == "0.10.0"


def test_importing_it_imports_nothing_but_its_two_dependencies() -> None:
    code = (
        "import sys, obspec_utils, obspec_utils.readers, obspec_utils.wrappers;"
        "print(*{m.partition('.')[0] for m in sys.modules} & {'numpy', 'pandas', 'xarray', 'h5py', 'aiohttp'})"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_the_package_is_marked_as_typed() -> None:
    assert (Path(obspec_utils.__file__).parent / "py.typed").exists()
