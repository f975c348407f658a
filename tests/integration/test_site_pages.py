"""The code on the pages for newcomers, on those about libraries, and in docstrings runs as it stands there."""

from __future__ import annotations

import asyncio
import io

import numpy as np
import pytest
import xarray as xr

from obspec_utils.readers import BlockStoreReader
from tests.integration.documents import docstring_blocks, python_blocks, run

from .test_documentation import (  # noqa: F401 - fixtures
    LARGE,
    PUBLIC_BUCKET,
    contents,
    image,
    image_values,
    store,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),  # rasterio's own, about affine
    pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata"),
]
HDF5 = b"\x89HDF\r\n\x1a\n"


def test_getting_started(object_server, store, files, capsys):  # noqa: F811
    first, own, local, traced, cached = python_blocks("docs/getting-started.md")
    assert PUBLIC_BUCKET in first
    (path,) = [line.split('"')[1] for line in first.splitlines() if line.startswith("path")]
    values = np.arange(24, dtype="float32").reshape(2, 3, 4)
    buffer = io.BytesIO()
    xr.Dataset({"tasmax": (("time", "lat", "lon"), values)}).to_netcdf(buffer, engine="h5netcdf")
    object_server.put(f"docs/{path}", buffer.getvalue())
    names = {"store": store}
    run(first.replace(PUBLIC_BUCKET, "store"), "getting-started.md", names)
    for block in (own, local):
        run(block, "getting-started.md", {})
    object_server.clear()
    run(traced, "getting-started.md", names)
    size = len(buffer.getvalue())
    assert [(request.start, request.stop) for request in object_server.log()] == [(0, size)]
    run(cached, "getting-started.md", names)
    printed = capsys.readouterr().out
    assert printed.startswith(f"{values.mean(axis=(1, 2))}\n{np.arange(10.0)}\n1 requests, ")
    assert printed.splitlines()[-1].startswith("MemoryCache(268435456)  ")


def test_the_guide_to_hdf5(store, capsys):  # noqa: F811
    (block,) = python_blocks("docs/guide/hdf5.md")
    names = {"store": store}
    run(block, "hdf5.md", names)
    assert names["mean"] == np.arange(100).mean()
    assert capsys.readouterr().out.startswith("1 ")  # requests


def test_the_guide_to_xarray(store, dataset):  # noqa: F811
    names = {"store": store}
    for block in python_blocks("docs/guide/xarray.md"):
        run(block, "xarray.md", names)
    assert names["mean"] == names["result"] == pytest.approx(float(dataset["temperature"].mean()))
    assert names["groups"] == ["/"]


def test_the_guide_to_virtualizarr(object_server, store, dataset):  # noqa: F811
    virtual, parser = python_blocks("docs/guide/virtualizarr.md")
    names = {"store": store}
    run(virtual, "virtualizarr.md", names)
    np.testing.assert_array_equal(names["x"], dataset["x"])
    assert len(object_server.log()) == 1  # parsing brought the whole file, and loading nothing
    assert names["HDFParser"]().reader_factory is BlockStoreReader
    run(parser, "virtualizarr.md", names)
    assert names["parser"].reader_factory(store, "a.h5").read(8) == HDF5


def test_the_faq(object_server, store, capsys):  # noqa: F811
    names = {"store": store, "sign": lambda path: f"{object_server.url}/docs/{path}?signature=SIGNATURE"}
    for block in python_blocks("docs/faq.md"):
        if "skip_signature" in block:
            names.pop("store")  # that block makes one of its own
        run(block, "faq.md", names)
        names["store"] = store
        if "trace.summary" in block:
            assert sorted(names["names"]) == ["rain", "temperature", "time", "wind", "x", "y"]
            assert len(object_server.log()) == names["trace"].total_requests == 1
        if "same = " in block:
            assert len(names["data"]) == LARGE
            assert bytes(names["data"]) == names["same"]
    names["pool"].shutdown()
    np.testing.assert_array_equal(names["window"], image_values()[:256, :256])
    assert (names["signature"], names["start"]) == (HDF5, HDF5)
    assert asyncio.run(names["first_bytes"]("a.nc")) == HDF5
    assert repr(HDF5) in capsys.readouterr().out
    assert names["impatient"].retry_config["max_retries"] == 2


def test_the_examples_of_docstrings(object_server, store, dataset):  # noqa: F811
    names = {"store": store}
    for module, blocks in docstring_blocks().items():
        for block in blocks:
            if "open_zarr" in block:
                continue  # the next test
            run(block.replace("https://example.com/data", f"{object_server.url}/docs"), module, names)
    assert names["mean"] == pytest.approx(float(dataset["temperature"].mean()))
    assert names["content"] == bytes(names["data"]) == object_server.get("docs/large.bin")
    assert b"".join(map(bytes, names["chunks"])) == names["content"][:3000]
    assert bytes(names["start"])[50:60] == bytes(names["again"])
    assert names["window"].shape == (512, 512)
    assert asyncio.run(names["size_of"]("large")) == LARGE


def test_the_example_of_obspec_store(object_server, dataset, tmp_path):
    dataset.to_zarr(tmp_path / "climate.zarr")
    for path in (tmp_path / "climate.zarr").rglob("*"):
        if path.is_file():
            object_server.put(f"group/{path.relative_to(tmp_path / 'climate.zarr').as_posix()}", path.read_bytes())
    names = {"store": object_server.s3_store("group")}
    for block in docstring_blocks()["obspec_utils/zarr.py"]:
        run(block, "zarr.py", names)
    xr.testing.assert_identical(names["dataset"].load(), dataset)
