"""Libraries that read through fsspec, from moto's S3: by URL after register("s3"), or with an ObspecFileSystem."""

from __future__ import annotations

import asyncio
import io
import json

import fsspec
import numpy as np
import pytest
import xarray as xr
from fsspec.registry import _registry

from obspec_utils.fsspec import ObspecFileSystem, register
from obspec_utils.readers import EagerStoreReader

LINES = {"logs/1.txt": b"one\ntwo\n", "logs/2.txt": b"three\n"}
# zarr warns of codecs that are not in its specification yet.
pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr")


@pytest.fixture(autouse=True)
def _s3_is_registered(monkeypatch):
    monkeypatch.setitem(_registry, "s3", None)
    register("s3")


@pytest.fixture
def table():
    import pandas as pd

    return pd.DataFrame({"id": np.arange(5_000), "value": np.arange(5_000.0) / 7})


@pytest.fixture
def store(servers, files, table):
    bucket = servers.fresh_name()
    servers.moto.create_bucket(bucket)
    store = servers.moto.s3_store(bucket)
    store.put("daily/climate.nc", files["climate.nc"])
    for number in (1, 2):
        buffer = io.BytesIO()
        table.to_parquet(buffer)
        store.put(f"table/part-{number}.parquet", buffer.getvalue())
    for path, content in LINES.items():
        store.put(path, content)
    return store


@pytest.fixture
def url(store):
    return f"s3://{store.config['bucket']}"


@pytest.fixture
def options(servers, store):
    return {
        "endpoint": servers.moto.url,
        "region": "us-east-1",
        "access_key_id": "test",
        "secret_access_key": "test",
        "virtual_hosted_style_request": False,
        "client_options": {"allow_http": True},
    }


@pytest.fixture
def fs(store):
    return ObspecFileSystem(store)


@pytest.mark.parametrize("extra", [{}, {"caching": {"block_size": "auto"}, "splitting": True}, {"coalescing": True}])
def test_xarray_with_h5netcdf(url, options, dataset, extra):
    storage_options = {**options, **extra}
    with xr.open_dataset(f"{url}/daily/climate.nc", engine="h5netcdf", storage_options=storage_options) as opened:
        xr.testing.assert_identical(opened.load(), dataset)


def test_xarray_gets_a_reader(fs, dataset):
    with fs.open("daily/climate.nc") as file, xr.open_dataset(file) as opened:
        assert type(file) is EagerStoreReader
        xr.testing.assert_identical(opened.load(), dataset)


def test_pandas(url, options, fs, table):
    import pandas as pd

    pd.testing.assert_frame_equal(pd.read_parquet(f"{url}/table/part-1.parquet", storage_options=options), table)
    pd.testing.assert_frame_equal(pd.read_parquet("table/part-1.parquet", filesystem=fs), table)
    assert len(pd.read_parquet(f"{url}/table", storage_options=options)) == 10_000
    read = pd.read_csv(f"{url}/logs/1.txt", storage_options=options, header=None)
    assert read[0].tolist() == ["one", "two"]


def test_polars(url, options, fs, table):
    import polars as pl
    from pyarrow import dataset as arrow

    with fs.open("table/part-1.parquet") as file:
        assert pl.read_parquet(file).to_pandas().equals(table)
    by_url = pl.read_parquet(f"{url}/table/part-1.parquet", use_pyarrow=True, storage_options=options)
    assert by_url.to_pandas().equals(table)
    scanned = pl.scan_pyarrow_dataset(arrow.dataset("table", filesystem=fs))
    assert scanned.filter(pl.col("id") < 3).select("id").collect()["id"].to_list() == [0, 1, 2] * 2


def test_pyarrow_datasets(store, options, fs):
    from pyarrow import dataset as arrow

    whole = arrow.dataset("table", filesystem=fs)
    assert whole.count_rows() == 10_000
    assert whole.to_table(columns=["id"], filter=arrow.field("id") == 9)["id"].to_pylist() == [9, 9]
    by_bucket = arrow.dataset(f"{store.config['bucket']}/table", filesystem=fsspec.filesystem("s3", **options))
    assert by_bucket.count_rows() == 10_000


def test_kerchunk_scans_and_its_references_are_read(url, options, fs, dataset):
    from kerchunk.hdf import SingleHdf5ToZarr

    path = f"{url}/daily/climate.nc"
    with fs.open("daily/climate.nc") as file:
        references = SingleHdf5ToZarr(file, path, inline_threshold=0).translate()
    by_url = SingleHdf5ToZarr(path, storage_options=options, inline_threshold=0).translate()
    assert by_url["refs"] == references["refs"]
    storage_options = {
        "fo": references,
        "remote_protocol": "s3",
        "remote_options": {**options, "asynchronous": True},
        "asynchronous": True,
    }
    with xr.open_dataset(
        "reference://", engine="zarr", storage_options=storage_options, consolidated=False, chunks=None
    ) as opened:
        xr.testing.assert_equal(opened.load(), dataset)


@pytest.fixture
def written(store, dataset):
    """A Zarr group in the bucket, with a sharded array."""
    import zarr

    inner = zarr.storage.MemoryStore()
    dataset.to_zarr(inner, zarr_format=3, consolidated=False)
    group = zarr.open_group(inner)
    sharded = group.create_array("sharded", shape=(100,), chunks=(10,), shards=(50,), dtype="i4", dimension_names=["s"])
    sharded[:] = np.arange(100)
    for key, value in inner._store_dict.items():
        store.put(f"group.zarr/{key}", value.to_bytes())
    return dataset


def test_zarr_reads_a_url(url, options, written):
    with xr.open_zarr(f"{url}/group.zarr", storage_options=options, consolidated=False, chunks=None) as opened:
        xr.testing.assert_equal(opened.drop_vars("sharded").load(), written)
        assert opened["sharded"][45:55].to_numpy().tolist() == list(range(45, 55))


@pytest.mark.parametrize("asynchronous", [True, False])
def test_zarr_reads_through_its_fsspec_store(store, written, asynchronous):
    import zarr
    from zarr.core.buffer import default_buffer_prototype

    fs = ObspecFileSystem(store, asynchronous=asynchronous)
    if asynchronous:
        of_fsspec = zarr.storage.FsspecStore(fs, path="group.zarr", read_only=True)
    else:
        of_fsspec = zarr.storage.FsspecStore.from_mapper(fs.get_mapper("group.zarr"), read_only=True)
    group = zarr.open_group(of_fsspec, mode="r")
    assert sorted(group) == sorted([*written.variables, "sharded"])
    assert group["sharded"][45:55].tolist() == list(range(45, 55))
    np.testing.assert_array_equal(group["rain"][:], written["rain"])

    async def read():
        ranges = [("zarr.json", None), ("zarr.json", zarr.abc.store.RangeByteRequest(0, 5)), ("missing", None)]
        return await of_fsspec.get_partial_values(default_buffer_prototype(), ranges)

    whole, part, missing = asyncio.run(read())
    assert whole.to_bytes()[:5] == part.to_bytes()
    assert json.loads(whole.to_bytes())["node_type"] == "group"
    assert missing is None


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_dask_bag(url, options, scheduler):
    import dask.bag

    lines = dask.bag.read_text(f"{url}/logs/*.txt", storage_options=options).map(str.strip)
    assert lines.compute(scheduler=scheduler) == ["one", "two", "three"]


def test_dask_dataframe(url, options, fs, table):
    import dask.dataframe

    for frame in (
        dask.dataframe.read_parquet(f"{url}/table/*.parquet", storage_options=options),
        dask.dataframe.read_parquet("table", filesystem=fs),
        dask.dataframe.read_parquet(f"{url}/table", storage_options=options, filesystem="fsspec"),
    ):
        assert len(frame) == 10_000
        assert frame["value"].sum().compute(scheduler="threads") == pytest.approx(2 * table["value"].sum())


def test_caches_and_directories_of_fsspec(url, options, fs, tmp_path):
    cached = fsspec.open(
        f"simplecache::{url}/logs/1.txt", "rt", s3=options, simplecache={"cache_storage": str(tmp_path)}
    )
    with cached as file:
        assert file.read() == "one\ntwo\n"
    assert fsspec.filesystem("dir", path="logs", fs=fs).cat("", recursive=True) == {
        path.removeprefix("logs/"): content for path, content in LINES.items()
    }


def test_a_missing_bucket_has_nothing(url, options):
    fs = fsspec.filesystem("s3", **options)
    missing = f"{url}-missing"
    assert [fs.exists(path) for path in (url, f"{url}/logs", missing, f"{missing}/a")] == [True, True, False, False]
    assert fs.find(missing) == fs.find(missing, maxdepth=1) == fs.glob(f"{missing}/*") == []
    for call in (fs.ls, fs.info, fs.cat_file):
        for path in (missing, f"{missing}/a"):
            with pytest.raises(FileNotFoundError):
                call(path)
