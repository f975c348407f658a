"""The libraries that people read files with take every reader for an ordinary file."""

from __future__ import annotations

import tarfile
import zipfile

import eccodes
import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import rasterio
import xarray as xr
from PIL import Image

from tests.integration.files import GRIB_LEVELS, MEMBERS, SHAPE, frame, grib_values, grid
from tests.integration.readers import ALL_READERS, READERS, SMALL_READERS

rasterio_warns = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")


@pytest.fixture(params=[*(("http", name) for name in READERS), *(("s3", name) for name in SMALL_READERS)], ids=" ".join)
def open_reader(request, object_server, files):
    """Return a function that opens a file: over HTTP with readers as they come, from S3 with small pieces."""
    kind, reader = request.param
    for name, content in files.items():
        object_server.put(f"formats/{name}", content)
    store = getattr(object_server, f"{kind}_store")("formats")
    return lambda name: ALL_READERS[reader](store, name)


def test_xarray_detects_netcdf4(open_reader, dataset):
    with open_reader("climate.nc") as file, xr.open_dataset(file) as opened:
        xr.testing.assert_identical(opened.load(), dataset)


def test_xarray_detects_netcdf3(open_reader, dataset):
    with open_reader("climate3.nc") as file, xr.open_dataset(file) as opened:
        xr.testing.assert_identical(opened.load(), dataset)


def test_h5py_reads_datasets_and_attributes(open_reader):
    with open_reader("grid.h5") as reader, h5py.File(reader) as file:
        assert file.attrs["title"] == "made for a test"
        np.testing.assert_array_equal(file["plain"][...], grid())
        np.testing.assert_array_equal(file["group/packed"][40:50, 20:100], grid()[40:50, 20:100])


@rasterio_warns
def test_rasterio_opens_the_file_object(open_reader):
    with open_reader("grid.tif") as reader, rasterio.open(reader) as file:
        assert file.crs.to_epsg() == 4326
        assert file.shape == SHAPE
        np.testing.assert_array_equal(file.read(1), grid())


@rasterio_warns
def test_rasterio_reads_a_window_through_an_opener(open_reader):
    window = ((10, 40), (50, 90))
    with rasterio.open("grid.tif", opener=lambda path, mode="rb": open_reader("grid.tif")) as file:
        np.testing.assert_array_equal(file.read(1, window=window), grid()[10:40, 50:90])


def test_eccodes_reads_one_grib_message_after_the_other(open_reader):
    with open_reader("fields.grib2") as reader:
        fields = {message["level"]: message.data for message in eccodes.StreamReader(reader)}
    assert list(fields) == list(GRIB_LEVELS)
    for level, values in fields.items():
        np.testing.assert_allclose(values.reshape(SHAPE), grib_values(level), atol=1e-4)


@rasterio_warns
def test_rasterio_reads_grib_through_an_opener(open_reader):
    with rasterio.open("fields.grib2", opener=lambda path, mode="rb": open_reader("fields.grib2")) as file:
        assert (file.driver, file.shape, file.count) == ("GRIB", SHAPE, len(GRIB_LEVELS))
        kelvin = file.read(2) + 273.15
    np.testing.assert_allclose(kelvin, grib_values(GRIB_LEVELS[1]), atol=1e-4)


def test_pandas_reads_parquet(open_reader):
    with open_reader("frame.parquet") as reader:
        pd.testing.assert_frame_equal(pd.read_parquet(reader), frame())


def test_pyarrow_reads_one_column_of_one_row_group(open_reader):
    with open_reader("frame.parquet") as reader, pyarrow.parquet.ParquetFile(reader) as file:
        column = file.read_row_group(2, columns=["value"]).column("value").to_numpy()
    np.testing.assert_array_equal(column, frame()["value"].to_numpy()[2_000:3_000])


def test_zipfile_checks_and_reads_members(open_reader):
    with open_reader("members.zip") as reader, zipfile.ZipFile(reader) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == MEMBERS


def test_tarfile_reads_members(open_reader):
    with open_reader("members.tar.gz") as reader, tarfile.open(fileobj=reader) as archive:
        assert {member.name: archive.extractfile(member).read() for member in archive} == MEMBERS


def test_pillow_decodes_an_image(open_reader):
    with open_reader("grid.png") as reader, Image.open(reader) as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), (grid() * 255).astype("uint8"))
