"""The requests of ObspecFileSystem beside those of s3fs, for the same calls, counted at our own server."""

from __future__ import annotations

import io
import tempfile

import fsspec
import pytest
import s3fs
from fsspec.registry import _registry

from obspec_utils.fsspec import register

SIZE = 10_000
CHUNK = 4096
CHUNKS = 973  # of a virtual dataset, one after the other


def open_dataset(fs):
    import xarray as xr

    with fs.open("bucket/climate.nc") as file, xr.open_dataset(file, engine="h5netcdf") as opened:
        opened.load()


def read_table(fs):
    import pandas as pd

    pd.read_parquet("bucket/table.parquet", filesystem=fs)


def download(fs):
    with tempfile.TemporaryDirectory() as folder:
        fs.get_file("bucket/small", f"{folder}/copy")


# What is called, and what it costs here.
CALLS = {
    "open": (lambda fs: fs.open("bucket/small").read(), {"GET": 1}),
    "first bytes": (lambda fs: fs.head("bucket/small", 100), {"GET": 1}),
    "cat_file": (lambda fs: fs.cat_file("bucket/small"), {"GET": 1}),
    "range": (lambda fs: fs.cat_file("bucket/small", start=10, end=20), {"GET": 1}),
    "suffix": (lambda fs: fs.cat_file("bucket/small", start=-20), {"GET": 1}),
    "adjacent ranges": (
        lambda fs: fs.cat_ranges(
            ["bucket/large"] * CHUNKS,
            [CHUNK * number for number in range(CHUNKS)],
            [CHUNK * (number + 1) for number in range(CHUNKS)],
        ),
        {"GET": 16},
    ),
    "separate ranges": (
        lambda fs: fs.cat_ranges(["bucket/large"] * 20, list(range(0, 200_000, 10_000)), [*range(9, 200_000, 10_000)]),
        {"GET": 20},
    ),
    "get_file": (download, {"GET": 1}),
    "glob": (lambda fs: fs.glob("bucket/*.nc"), {"GET": 1}),
    "exists": (lambda fs: fs.exists("bucket/small"), {"HEAD": 1}),
    "missing": (lambda fs: fs.exists("bucket/missing"), {"HEAD": 1, "GET": 1}),
    "xarray": (open_dataset, {"GET": 1}),
    "pandas": (read_table, None),
}


@pytest.fixture
def objects(object_server, files):
    import pandas as pd

    object_server.put_random("bucket/small", SIZE)
    object_server.put_random("bucket/large", CHUNK * CHUNKS)
    object_server.put("bucket/climate.nc", files["climate.nc"])
    buffer = io.BytesIO()
    pd.DataFrame({"id": range(5_000)}).to_parquet(buffer)
    object_server.put("bucket/table.parquet", buffer.getvalue())
    return object_server


def requests(server, fs, call):
    server.clear()
    call(fs)
    methods = [request.method for request in server.log()]
    return {method: methods.count(method) for method in set(methods)}


@pytest.mark.parametrize("name", CALLS)
def test_no_call_takes_more_requests_than_s3fs(objects, monkeypatch, name):
    call, expected = CALLS[name]
    monkeypatch.setitem(_registry, "s3", None)
    register("s3")
    ours = fsspec.filesystem(
        "s3",
        endpoint=objects.url,
        region="us-east-1",
        skip_signature=True,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    theirs = s3fs.S3FileSystem(
        key="test",
        secret="test",
        endpoint_url=objects.url,
        client_kwargs={"region_name": "us-east-1"},
        use_listings_cache=False,
    )
    found = requests(objects, ours, call)
    assert expected in (found, None)
    other = requests(objects, theirs, call)
    assert sum(found.values()) <= sum(other.values())
    if name in {"open", "first bytes", "cat_file", "xarray", "pandas"}:
        assert sum(found.values()) < sum(other.values())
    if name == "adjacent ranges":
        assert sum(other.values()) == CHUNKS
