"""Readers as the files that other libraries' annotations ask for: checked by mypy and pyright, never run."""

from __future__ import annotations

import csv
import gzip
import io
import json
import pickle
import tarfile
import zipfile
from typing import IO, TYPE_CHECKING, Any, BinaryIO, assert_type

import pandas as pd
import xarray as xr
from PIL import Image

from obspec_utils.readers import (
    BlockStoreReader,
    BufferedStoreReader,
    EagerStoreReader,
    ParallelStoreReader,
    open_reader,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from obspec import Get
    from pandas._typing import BaseBuffer, ReadBuffer, ReadCsvBuffer, ReadPickleBuffer
    from xarray.core.types import ReadBuffer as XarrayReadBuffer

    from obspec_utils.protocols import ReadableFile


def any_binary_file(binary: BinaryIO, generic: IO[bytes], base: io.IOBase, buffered: io.BufferedIOBase) -> None: ...


def any_pandas_buffer(
    base: BaseBuffer, read: ReadBuffer[bytes], csv: ReadCsvBuffer[bytes], pickled: ReadPickleBuffer
) -> None: ...


def any_xarray_buffer(file: XarrayReadBuffer[bytes]) -> None: ...


def readers_are_files(store: Get) -> None:
    for file in (
        EagerStoreReader(store, "path"),
        ParallelStoreReader(store, "path"),
        BlockStoreReader(store, "path"),
        BufferedStoreReader(store, "path"),
        open_reader(store, "path"),
    ):
        any_binary_file(file, file, file, file)
        any_pandas_buffer(file, file, file, file)
        any_xarray_buffer(file)
        readable: ReadableFile = file
        assert_type(readable.read(), bytes)
        assert_type(file.mode, str)
        assert_type(file.read(), bytes)
        assert_type(file.readlines(), list[bytes])
        assert_type(next(file), bytes)


def consumers_take_readers(store: Get) -> None:
    with open_reader(store, "a.nc") as file:
        assert_type(xr.open_dataset(file), xr.Dataset)
        assert_type(xr.open_datatree(file, engine="h5netcdf"), xr.DataTree)
        xr.open_mfdataset([file], engine="h5netcdf")
        xr.load_dataset(file)
    with BufferedStoreReader(store, "a.csv") as table:
        assert_type(pd.read_csv(table), pd.DataFrame)
        assert_type(pd.read_parquet(table), pd.DataFrame)
        pd.read_json(table)
        pd.read_pickle(table)
        pd.read_feather(table)
        pd.read_excel(table)
        pd.read_stata(table)
        csv.reader(io.TextIOWrapper(table))
    with EagerStoreReader(store, "a.tif") as picture, Image.open(picture) as image:
        assert_type(image.width, int)
    with ParallelStoreReader(store, "a.zip") as zipped, zipfile.ZipFile(zipped) as archive:
        archive.namelist()
    with BlockStoreReader(store, "a.tar.gz") as compressed:
        with tarfile.open(fileobj=compressed) as tar:
            tar.getnames()
        with gzip.open(compressed) as plain:
            assert_type(plain.read(), bytes)
    with open_reader(store, "a.json") as file:
        json.load(file)
        pickle.load(file)


def factories(open_file: Callable[[Get, str], BinaryIO]) -> list[Callable[[Get, str], Any]]:
    return [open_file, EagerStoreReader, ParallelStoreReader, BlockStoreReader, BufferedStoreReader, open_reader]
