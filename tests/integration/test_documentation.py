"""The code in README and the guides runs as it stands there, over files that other libraries have written."""

from __future__ import annotations

import asyncio
import re

import distributed
import fsspec
import h5py
import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
import zarr.storage
from fsspec.registry import _registry
from rasterio.transform import from_origin

from obspec_utils.wrappers import CachingReadableStore
from tests.integration.documents import python_blocks, run
from tests.integration.files import GRIB_LEVELS, SHAPE, frame, grib_values

PUBLIC_BUCKET = 'S3Store("nex-gddp-cmip6", region="us-west-2", skip_signature=True)'
IMAGE_SIDE = 4608  # of float32 values, 85 MB: more than open_reader loads whole
LARGE = 20_000_000  # bytes: several parts

pytestmark = [
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr"),
]


def image_values():
    return np.arange(IMAGE_SIDE**2, dtype="float32").reshape(IMAGE_SIDE, IMAGE_SIDE)


def write_image(path):
    profile = {"driver": "GTiff", "height": IMAGE_SIDE, "width": IMAGE_SIDE, "count": 1, "dtype": "float32"}
    layout = {"crs": "EPSG:4326", "transform": from_origin(0, 10, 0.001, 0.001), "tiled": True}
    with rasterio.open(path, "w", blockxsize=256, blockysize=256, **profile, **layout) as file:
        file.write(image_values(), 1)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The bytes of a GeoTIFF that is larger than open_reader's memory."""
    path = tmp_path_factory.mktemp("image") / "a.tif"
    write_image(path)
    return path.read_bytes()


@pytest.fixture
def contents(files, image, tmp_path):
    """The bytes of the objects that the documents read, by their paths."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["values"] = np.arange(100)
    return {
        "a.nc": files["climate.nc"],
        "a.h5": (tmp_path / "a.h5").read_bytes(),
        "a.parquet": files["frame.parquet"],
        "a.grib2": files["fields.grib2"],
        "a.tif": image,
        "2024/05/tas_1.nc": bytes(10),
        "2024/06/tas_2.nc": bytes(20),
    }


@pytest.fixture
def store(object_server, contents):
    """A bucket with all of them, and two larger objects."""
    for path, content in contents.items():
        object_server.put(f"docs/{path}", content)
    for path in ("large", "large.bin"):
        object_server.put_random(f"docs/{path}", LARGE)
    object_server.clear()
    return object_server.s3_store("docs")


def check_formats(names):
    """Check what the block about other libraries has read."""
    np.testing.assert_array_equal(names["values"], np.arange(10))
    pd.testing.assert_frame_equal(names["frame"], frame()[["value"]])
    assert list(names["fields"]) == list(GRIB_LEVELS)
    for level, values in names["fields"].items():
        np.testing.assert_allclose(values.reshape(SHAPE), grib_values(level), atol=1e-4)
    np.testing.assert_array_equal(names["window"], image_values()[:256, :256])


@pytest.mark.parametrize("document", ["README.md", "docs/index.md"])
def test_the_first_example(object_server, tmp_path, capsys, document):
    values = np.arange(60, dtype="float32").reshape(3, 4, 5)
    xr.Dataset({"tasmax": (("time", "lat", "lon"), values)}).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    block = python_blocks(document)[0]
    (path,) = re.findall(r'"(NEX-.*\.nc)"', block)
    object_server.put(f"docs/{path}", (tmp_path / "a.nc").read_bytes())
    assert PUBLIC_BUCKET in block
    run(block.replace(PUBLIC_BUCKET, "store"), document, {"store": object_server.s3_store("docs")})
    assert capsys.readouterr().out == f"{values.mean(axis=(1, 2))}\n"


def test_readme(object_server, store, contents, tmp_path):
    first, formats, *wrappers = python_blocks("README.md")
    names = {"store": store}
    run(next(line for line in first.splitlines() if "import open_reader" in line), "README.md", names)
    run(formats, "README.md", names)
    check_formats(names)
    # What it says of rasterio: ranges through an opener.
    assert len(contents["a.tif"]) == pytest.approx(85e6, rel=0.01)
    assert sum(request.sent for request in object_server.log() if request.path == "docs/a.tif") < 1.15e6

    for block in wrappers:
        run(block.replace("/scratch/cache", str(tmp_path / "cache")), "README.md", names)
        for _ in range(2):
            assert len(names["store"].get("large").buffer()) == LARGE
    assert len(wrappers) == 2
    assert sum(request.path == "docs/large" for request in object_server.log()) == 2  # two parts, once


def test_the_guide_to_readers(store):
    blocks = python_blocks("docs/guide/readers.md")
    assert len(blocks) == 5
    names = {"store": store}
    for block in blocks:
        run(block, "readers.md", names)
    check_formats(names)
    np.testing.assert_array_equal(names["everything"][0], image_values())
    assert names["signature"] == b"\x89HDF\r\n\x1a\n"


def test_the_guide_to_wrappers(object_server, store, capsys):
    blocks = python_blocks("docs/guide/wrappers.md")
    assert len(blocks) == 2
    names = {"store": store}
    run(blocks[0], "wrappers.md", names)
    assert capsys.readouterr().out == f"3 {LARGE}\n"
    assert len(object_server.log()) == 3
    for block in blocks[1:]:
        run(block, "wrappers.md", names)


def test_the_guide_to_splitting(object_server, store):
    (block,) = python_blocks("docs/guide/splitting.md")
    chunks = []
    names = {"store": store, "process": chunks.append}
    run(block, "splitting.md", names)
    assert b"".join(chunks) == bytes(names["data"]) == object_server.get("docs/large")
    assert len(object_server.log()) == 2 * 3


def test_the_guide_to_coalescing(object_server, store):
    coalesce, for_zarr = python_blocks("docs/guide/coalescing.md")
    names = {"store": store}
    run(coalesce, "coalescing.md", names)
    assert [(request.start, request.stop) for request in object_server.log()] == [(0, 100_000)]
    object_server.clear()
    assert asyncio.run(names["read_chunks"]()) == names["chunks"]
    assert [(request.start, request.stop) for request in object_server.log()] == [(0, 100_000)]
    with zarr.config.set({"async.concurrency": 10}):
        run(for_zarr, "coalescing.md", names)
        assert names["registry"].resolve("s3://bucket/large")[1] == "large"


def test_the_guide_to_the_registry(capsys):
    (resolve,) = python_blocks("docs/guide/registry.md")
    names = {}
    run(resolve, "registry.md", names)
    assert capsys.readouterr().out == "2024/a.nc\n"
    assert names["store"].prefix == "archive"


def test_the_guide_to_globbing(store):
    (find,) = python_blocks("docs/guide/glob.md")
    names = {"store": store}
    run(find, "glob.md", names)
    assert names["paths"] == ["2024/05/tas_1.nc", "2024/06/tas_2.nc"]
    assert names["total"] == 30


def test_the_guide_to_workers(store, tmp_path, dataset, monkeypatch):
    shared, by_process, tasks, processes = python_blocks("docs/guide/workers.md")
    (tmp_path / "tasks.py").write_text(tasks)
    monkeypatch.syspath_prepend(tmp_path)
    names = {"store": store, "paths": ["a.nc", "a.nc"], "__name__": "__main__"}
    run(shared.replace("/scratch/cache", str(tmp_path / "cache")), "workers.md", names)
    assert names["means"] == pytest.approx([float(dataset["temperature"].mean())] * 2)
    run(by_process, "workers.md", names)
    assert names["again"] == names["means"]
    run(processes, "workers.md", names)
    assert names["results"] == [store.head("a.nc")["size"]] * 2


def test_the_page_about_a_thousand_workers(store, redis_server, tmp_path):
    (block,) = python_blocks("docs/guide/thousand-workers.md")
    names = {"store": store}
    block = block.replace("/scratch/cache", str(tmp_path / "cache"))
    run(block.replace("redis://cache.example:6379/0", redis_server.url), "thousand-workers.md", names)
    assert len(names["store"].get("large").buffer()) == LARGE
    assert redis_server.client.dbsize() > 0


def test_the_guide_to_rasterio(store):
    names = {"store": store}
    for block in python_blocks("docs/guide/rasterio.md"):
        run(block, "rasterio.md", names)
    np.testing.assert_array_equal(names["window"], image_values()[:256, :256])
    np.testing.assert_array_equal(names["tile"], image_values()[:256, :256])
    assert names["overview"].shape == (64, 64)


def test_the_guide_to_http_servers(object_server, store, dataset):
    blocks = python_blocks("docs/guide/http.md")
    assert len(blocks) == 9
    chunks = []
    names = {
        "handle": chunks.append,
        "log_in": lambda: "TOKEN",
        "log_in_to_s3": lambda: ("key", "secret", "token"),
        "sign": lambda path: f"{object_server.url}/docs/{path}?signature=SIGNATURE",
    }
    for block in blocks:
        text = block.replace("https://example.com/data", f"{object_server.url}/docs")
        run(text.replace("https://user:password@example.com/data", f"{object_server.url}/docs"), "http.md", names)
    assert names["mean"] == pytest.approx(float(dataset["temperature"].mean()))
    assert names["start"][1:4] == b"HDF"
    assert (names["size"], names["status"]) == (store.head("a.nc")["size"], 404)
    parts = asyncio.run(names["first_bytes"](["a.nc", "a.h5"]))
    assert [part[1:4] for part in parts] == [b"HDF", b"HDF"]
    assert sum(map(len, chunks)) == LARGE
    assert len(chunks) > 1
    assert asyncio.run(names["size_of"]("large")) == LARGE


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_the_guide_to_zarr(object_server, store, dataset, tmp_path):
    dataset.to_zarr(tmp_path / "climate.zarr")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            object_server.put(f"docs/{path.relative_to(tmp_path).as_posix()}", path.read_bytes())
    names = {"store": store}
    for block in python_blocks("docs/guide/zarr.md"):
        run(block, "zarr.md", names)
    assert names["mean"] == pytest.approx(float(dataset["temperature"].mean()))


def test_the_guide_to_fsspec(object_server, store, dataset, monkeypatch):
    blocks = python_blocks("docs/guide/fsspec.md")
    assert len(blocks) == 7
    for path, content in written_by_zarr().items():
        object_server.put(f"docs/group.zarr/{path}", content)
    monkeypatch.setitem(_registry, "s3", None)
    monkeypatch.setitem(_registry, "archive", None)
    options = {
        "endpoint": object_server.url,
        "region": "us-east-1",
        "skip_signature": True,
        "virtual_hosted_style_request": False,
        "client_options": {"allow_http": True},
    }
    with distributed.Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        names = {"store": store, "client": client}
        for block in blocks:
            text = block.replace("s3://bucket", "s3://docs")
            run(text.replace('{"region": "us-west-2", "skip_signature": True}', repr(options)), "fsspec.md", names)
        url = "s3://docs/a.nc"
        assert client.submit(open_there, url, options).result() == "EagerStoreReader"
    assert names["mean"] == pytest.approx(float(dataset["temperature"].mean()))
    pd.testing.assert_frame_equal(names["frame"], frame())
    np.testing.assert_array_equal(names["time"], dataset["time"])
    assert (names["first"][1:], names["last"]) == (b"HDF", b"PAR1")
    assert names["total"] == 4950
    assert asyncio.run(names["first_bytes"]("a.nc"))[1:] == b"HDF"
    assert fsspec.filesystem("archive", region="here")._locate("archive://bucket/a")[1] == "a"


def written_by_zarr():
    """The objects of a Zarr group by their paths."""
    inner = zarr.storage.MemoryStore()
    values = zarr.create_group(inner).create_array("values", shape=(100,), chunks=(10,), dtype="i4")
    values[:] = np.arange(100)
    return {path: value.to_bytes() for path, value in inner._store_dict.items()}


def open_there(url, options):
    """Open a URL in a worker; return the name of the reader."""
    with fsspec.open(url, **options) as file:
        return type(file).__name__


def test_zarr_takes_no_wrapped_store(store):
    """If this fails, the guide to Zarr has to say since when zarr takes them."""
    with pytest.raises(TypeError):
        zarr.storage.ObjectStore(CachingReadableStore(store))
