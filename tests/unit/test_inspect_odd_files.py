"""Advice is safe to follow, and odd files are told as they are."""

from __future__ import annotations

import shlex

import h5py
import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from obspec_utils._inspect import inspect
from obspec_utils.readers import ParallelStoreReader
from tests.unit._inspected import hdf5, inspected, kinds, raster, traced

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # rasterio's own, about affine

TILED = {"tiled": True, "blockxsize": 256, "blockysize": 256}


def rechunking(name):
    """Return the advice about a variable of tiny chunks of that name."""
    content = hdf5(lambda file: file.create_dataset(name, data=np.zeros((300, 400)), chunks=(10, 10)))
    return next(advice for advice in inspected(content).advice if advice.kind == "rechunking")


def test_a_shell_takes_a_variables_name_as_one_argument():
    arguments = shlex.split(rechunking("group/a b;rm $HOME").command)
    assert arguments == ["h5repack", "-l", "group/a b;rm $HOME:CHUNK=300x400", "in.h5", "out.h5"]


@pytest.mark.parametrize("name", ["a,b", "a:b", "a\nb"])
def test_names_that_h5repack_does_not_take_are_in_no_command(name):
    assert rechunking(name).command is None


def test_no_copy_that_would_open_as_slowly():
    def write(file):
        for number in range(8000):
            file[f"{number}"] = number

    inspection = inspected(hdf5(write))
    assert inspection.opening.requests >= 8
    assert "paging" not in kinds(inspection)


def test_large_chunks_that_compress_well_are_not_tiny():
    options = {"chunks": (512, 512), "compression": "gzip"}
    content = hdf5(lambda file: file.create_dataset("a", data=np.zeros((4096, 4096)), **options))
    assert inspected(content).arrays[0].stored_bytes < 64 * (64 << 10)
    assert kinds(inspected(content)) == []


def test_the_cost_of_huge_chunks_is_that_of_the_reader():
    content = hdf5(lambda file: file.create_dataset("a", data=np.zeros((64, 1 << 20), "u1"), chunks=(32, 1 << 20)))
    store, trace = traced(content)
    cost = inspect(store, "a").arrays[0].cost
    with ParallelStoreReader(store, "a", read_ahead="metadata") as reader, h5py.File(reader) as file:
        trace.clear()
        assert not file["a"][()].any()
    assert cost.requests == pytest.approx(trace.total_requests, abs=2)


def test_values_in_heaps_have_unknown_costs():
    def write(file):
        file["text"] = "a" * 1000
        file.create_dataset("lists", (3,), h5py.vlen_dtype("f8"))[0] = np.zeros(4)
        file.create_dataset("record", (2,), [("x", "i4"), ("y", h5py.string_dtype())])[0] = (1, "a")
        file["number"] = 1
        file["places"] = np.array([file["number"].ref], h5py.ref_dtype)
        file["fixed"] = np.array([b"abc"])

    arrays = {array.name: array for array in inspected(hdf5(write)).arrays}
    assert {name for name, array in arrays.items() if array.cost is None} == {"/text", "/lists", "/record"}
    assert (arrays["/places"].dtype, arrays["/lists"].dtype) == ("reference", "variable length")


@pytest.mark.parametrize("size", [512, 4096, 1 << 17])
def test_a_file_behind_a_user_block(size):
    def write(file):
        file.create_dataset("a", data=np.zeros((100, 100)), chunks=(10, 100))

    store, trace = traced(hdf5(write, userblock_size=size))
    inspection = inspect(store, "a")
    assert [array.name for array in inspection.arrays] == ["/a"]
    assert inspection.metadata.stop > size
    assert trace.total_requests == inspection.requests


def test_a_jpeg_stays_one(tmp_path):
    commands = {advice.command for advice in inspected(raster(tmp_path / "a.tif", compress="jpeg")).advice}
    assert commands == {"rio cogeo create --cog-profile jpeg in.tif out.tif"}


def test_several_images_are_not_to_become_one(tmp_path):
    path = tmp_path / "a.tif"
    raster(path)
    raster(path, APPEND_SUBDATASET="YES")
    inspection = inspected(path.read_bytes())
    assert len(inspection.arrays) == 2
    assert inspection.advice
    assert {advice.command for advice in inspection.advice} == {None}


def test_an_image_without_stored_tiles_is_not_to_be_compressed(tmp_path):
    path = tmp_path / "a.tif"
    content = raster(path, width=16, height=16)
    assert kinds(inspected(content)) == []
    empty = inspected(_sparse(path))
    assert (empty.arrays[0].stored_bytes, kinds(empty)) == (0, ["overviews"])


def _sparse(path):
    options = {"driver": "GTiff", "width": 2048, "height": 2048, "count": 1, "dtype": "uint8", "SPARSE_OK": "TRUE"}
    with rasterio.open(path, "w", transform=from_origin(0, 0, 10, 10), **options, **TILED):
        pass
    return path.read_bytes()


def test_a_truncated_image(tmp_path):
    content = raster(tmp_path / "a.tif", **TILED)
    assert inspected(content).unread == ()
    half = inspected(content[: len(content) // 2])
    assert half.unread == ("image 0: 25 of 48 tiles or strips lie outside of the file",)
