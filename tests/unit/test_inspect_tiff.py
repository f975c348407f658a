"""TIFF files are inspected by their directories."""

from __future__ import annotations

import struct

import pytest
import rasterio

from obspec_utils._inspect import inspect
from obspec_utils.rasterio import opener
from tests.unit._inspected import inspected, kinds, raster, traced

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # rasterio's own, about affine

COG = {"driver": "COG", "compress": "deflate", "blocksize": 512}
TILED = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}


def test_strips_without_overviews_and_compression(tmp_path):
    inspection = inspected(raster(tmp_path / "a.tif"))
    image = inspection.arrays[0]
    assert (inspection.format, image.name, image.layout, image.compression) == ("TIFF", "image 0", "strips", None)
    assert (image.shape, image.dtype, image.stored_bytes) == ((1536, 2048), "uint8", 1536 * 2048)
    assert kinds(inspection) == ["tiling", "overviews", "compression"]
    assert str(inspection).count("rio cogeo create in.tif out.tif") == 1


def test_tiles_with_overviews_that_were_added_later(tmp_path):
    inspection = inspected(raster(tmp_path / "a.tif", overviews=(2, 4), **TILED))
    assert [array.name for array in inspection.arrays] == ["image 0", "overview 1", "overview 2"]
    assert {array.layout for array in inspection.arrays} == {"tiles"}
    assert [array.shape for array in inspection.arrays] == [(1536, 2048), (768, 1024), (384, 512)]
    assert kinds(inspection) == ["consolidating"]
    assert inspection.opening.requests == 2


def test_a_cog_needs_nothing(tmp_path):
    path = tmp_path / "a.tif"
    inspection = inspected(raster(path, **COG))
    with rasterio.open(path) as image:
        blocks, factors = image.block_shapes[0], image.overviews(1)
    assert inspection.advice == ()
    assert inspection.arrays[0].chunk_shape == blocks
    assert len(inspection.arrays) == 1 + len(factors)
    assert (inspection.metadata.pieces, inspection.opening.requests, inspection.requests) == (1, 1, 1)
    assert "Nothing in its layout makes this file slow to read." in str(inspection)


@pytest.mark.parametrize("options", [TILED, COG, {"BIGTIFF": "YES", **TILED}])
def test_the_cost_of_reading_is_that_of_the_reader(tmp_path, options):
    content = raster(tmp_path / "a.tif", width=4096, height=3072, **options)
    store, trace = traced(content)
    image = inspect(store, "a").arrays[0]
    with rasterio.open("a", opener=opener(store)) as file:
        trace.clear()
        file.read()
    assert image.cost.requests == pytest.approx(trace.total_requests, rel=0.35)
    assert image.cost.bytes == pytest.approx(sum(record.length for record in trace.requests), rel=0.1)


def chain(count, apart):
    """Return a TIFF file of directories that are far apart, each with one strip of one byte."""
    content = bytearray(struct.pack("<4sI", b"II*\0", 8))
    for number in range(count):
        tags = ((256, 1), (257, 1), (258, 8), (259, 1), (273, 8), (277, 1), (278, 1), (279, 1))
        directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, it) for tag, it in tags)
        content += directory
        following = len(content) + 4 + apart if number < count - 1 else 0
        content += struct.pack("<I", following) + bytes(apart if following else 0)
    return bytes(content)


def test_pages_far_apart_are_inspected_as_far_as_a_few_requests_go():
    store, trace = traced(chain(300, 128 << 10))
    inspection = inspect(store, "a")
    assert trace.total_requests < 120
    assert 50 < len(inspection.arrays) < 300
    assert "only the first" in inspection.unread[0]
    assert "Not read: image" in str(inspection)


def test_a_stack_of_pages():
    inspection = inspected(chain(300, 0))
    assert len(inspection.arrays) == 300
    assert (inspection.unread, inspection.requests) == ((), 1)


def test_a_loop_of_directories_ends():
    content = bytearray(chain(2, 100))
    content[-4:] = struct.pack("<I", 8)
    assert len(inspected(bytes(content)).arrays) == 2


@pytest.mark.parametrize("content", [b"II*\0", b"II*\0" + bytes(4), b"II*\0\xff\xff\xff\xff", b"MM\0*" + bytes(100)])
def test_damaged_files(content):
    with pytest.raises(ValueError, match=r"^'a' is a (damaged TIFF file|TIFF file without images)"):
        inspected(content)


def test_values_outside_of_the_file_are_told():
    content = bytearray(chain(1, 0))
    at = content.index(struct.pack("<HHII", 273, 4, 1, 8))
    content[at : at + 12] = struct.pack("<HHII", 273, 4, 1 << 20, 1 << 20)
    with pytest.raises(ValueError, match="without images"):
        inspected(bytes(content))
