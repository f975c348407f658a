"""Inspect a file by its structure alone."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from obspec_utils._formats import hdf5, tiff
from obspec_utils._inspect._advice import advice_for_hdf5, advice_for_tiff
from obspec_utils._inspect._cost import cost, cost_of_whole
from obspec_utils._inspect._hdf5 import read_hdf5
from obspec_utils._inspect._inspection import Inspection
from obspec_utils._inspect._records import Metadata
from obspec_utils._inspect._structure import extent_of, find_metadata
from obspec_utils._inspect._tiff import read_tiff
from obspec_utils._redact import redacted
from obspec_utils.readers import ParallelStoreReader

if TYPE_CHECKING:
    from obspec import Get

    from obspec_utils._formats.interface import FileStructure
    from obspec_utils._inspect._hdf5 import FoundHdf5
    from obspec_utils._inspect._records import Advice, Cost
    from obspec_utils._inspect._structure import Extent
    from obspec_utils._inspect._tiff import FoundTiff

__all__ = ["inspect"]

# Small blocks of 16 KiB, since metadata lies scattered and is to be read without data; and memory for much of it.
_CHUNK_SIZE = 256 << 10
_MAX_CHUNKS = 1024
# First requests of `open_reader`, and of the files that rasterio reads through `opener`.
_FIRST_SIZE, _FIRST_SIZE_OF_TIFF = 1 << 20, 32 << 10


def inspect(store: Get, path: str) -> Inspection:
    """Inspect an HDF5, NetCDF4 or TIFF file: what it costs to open and to read, and what would make it cheaper.

    Only metadata is read: all of it, in a few parallel requests.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`.
    path
        The object's path in the store.

    Returns
    -------
    Inspection
        A record of numbers, which `str` makes a report of.

    Raises
    ------
    FileNotFoundError
        If there is no such object.
    ValueError
        If it is of another format, or damaged.
    ModuleNotFoundError
        If it is an HDF5 file and h5py is missing.
    """
    with closing(ParallelStoreReader(store, path, _CHUNK_SIZE, _MAX_CHUNKS, read_ahead="metadata")) as reader:
        first = reader.read(_CHUNK_SIZE)  # an HDF5 file may begin with a user block
        if hdf5.is_hdf5(first):
            return _inspect_hdf5(reader)
        if tiff.is_tiff(first):
            return _inspect_tiff(reader)
    what = f"begins with {first[:4]!r}" if first else "is empty"
    msg = f"{redacted(path)!r} {what}: only HDF5, NetCDF4 and TIFF files can be inspected"
    raise ValueError(msg)


def _inspect_hdf5(reader: ParallelStoreReader) -> Inspection:
    found = read_hdf5(reader)
    extent, opening = _opening(reader, hdf5.Structure(reader.size), _FIRST_SIZE)
    metadata = Metadata(*extent, page_size=found.page_size)
    return _inspection(reader, metadata, opening, found, advice_for_hdf5(metadata, found.arrays, opening))


def _inspect_tiff(reader: ParallelStoreReader) -> Inspection:
    found = read_tiff(reader)
    extent, opening = _opening(reader, tiff.Structure(reader.size), _FIRST_SIZE_OF_TIFF)
    metadata = Metadata(*extent, page_size=None)
    return _inspection(reader, metadata, opening, found, advice_for_tiff(metadata, found.arrays))


def _opening(reader: ParallelStoreReader, structure: FileStructure, first_size: int) -> tuple[Extent, Cost]:
    ranges, batches = find_metadata(structure, reader, first_size)
    return extent_of(ranges, reader.size), cost(batches)


def _inspection(
    reader: ParallelStoreReader,
    metadata: Metadata,
    opening: Cost,
    found: FoundHdf5 | FoundTiff,
    advice: tuple[Advice, ...],
) -> Inspection:
    stats = reader.stats()
    return Inspection(
        path=reader.path,
        format=found.format,
        size=reader.size,
        metadata=metadata,
        arrays=found.arrays,
        opening=opening,
        whole=cost_of_whole(reader.size),
        advice=advice,
        unread=found.unread,
        requests=stats.requests,
        bytes_fetched=stats.bytes_fetched,
    )
