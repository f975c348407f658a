"""GDAL and Pillow see through a reader what they see of the file, and windows of TIFF files take few requests."""

from __future__ import annotations

import io
import os
import random
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import pytest
import rasterio
from obstore.store import MemoryStore
from rasterio.io import MemoryFile
from rasterio.windows import Window

from obspec_utils._formats.tiff import Structure
from obspec_utils.readers import ParallelStoreReader, open_reader
from tests.requests.test_structure_requests import in_sequence, sent, sent_twice

from ._rasters import KINDS, SIDE, TILE, pixels

if TYPE_CHECKING:
    from collections.abc import Callable

MODES = ["auto", "metadata", "pattern", None]


def read_window(opener: Callable[[], Any], window: Window | None) -> np.ndarray:
    def open_only(path: str, mode: str = "rb") -> Any:
        if not path.endswith("object.tif"):
            raise FileNotFoundError(path)
        return opener()

    with rasterio.open("object.tif", opener=open_only) as dataset:
        return dataset.read(window=window)


@pytest.mark.parametrize("name", KINDS)
def test_tiles_and_strips_are_where_gdal_finds_them(rasters: dict[str, bytes], name: str) -> None:
    content = rasters[name]
    structure = Structure(len(content))
    structure.parse(lambda start, stop: content[start:stop])
    table = structure.chunks[0]
    bands = 3 if name == "bands" else 1
    rows = 0
    with MemoryFile(content) as memory, memory.open() as dataset:
        height, width = dataset.block_shapes[0]
        rows, columns = -(-SIDE // height), -(-SIDE // width)
        expected = {}
        for band in range(bands):
            for row in range(rows):
                for column in range(columns):
                    offset, size = (
                        dataset.get_tag_item(f"BLOCK_{item}_{column}_{row}", "TIFF", bidx=band + 1)
                        for item in ("OFFSET", "SIZE")
                    )
                    if offset is not None:
                        expected[(band * rows + row) * columns + column] = (int(offset), int(size))
    assert dict(zip(table.numbers, zip(table.offsets, table.sizes, strict=True), strict=True)) == expected
    assert table.row_length == columns
    assert len(expected) == rows * columns * bands - (4 if name == "sparse" else 0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", KINDS)
def test_windows_are_those_of_the_file(rasters: dict[str, bytes], name: str, mode: Any) -> None:
    store = MemoryStore()
    store.put("f", rasters[name])
    expected = pixels(3)
    for window in (Window(0, 0, 1, 1), Window(500, 300, 700, 900), Window(1800, 1900, 248, 148), None):
        found = read_window(lambda: ParallelStoreReader(store, "f", 65536, 32, read_ahead=mode), window)
        part = expected if window is None else expected[(slice(None), *window.toslices())]
        assert np.array_equal(found, part)
    if name not in {"bands", "sparse"}:  # which Pillow does not read
        with PIL.Image.open(open_reader(store, "f", memory=1 << 20, read_ahead=mode)) as image:
            assert np.array_equal(np.asarray(image), np.moveaxis(expected, 0, -1))


@pytest.fixture
def log_of(object_server: Any, rasters: dict[str, bytes]) -> Callable[..., Any]:
    """Read a window of a file over a slow server; return the requests."""

    def read(name: str, window: Window, **options: Any) -> Any:
        object_server.put("bucket/object", rasters[name])
        object_server.configure(latency=0.15, gather=1)
        object_server.clear()
        found = read_window(lambda: ParallelStoreReader(object_server.s3_store("bucket"), "object", **options), window)
        assert np.array_equal(found, pixels(3)[(slice(None), *window.toslices())])
        return object_server.log()

    return read


@pytest.mark.parametrize("name", ["cog", "big", "big-endian"])
def test_a_window_takes_two_rounds_after_the_first_request(log_of: Callable[..., Any], name: str) -> None:
    for side, tiles in ((300, 4), (700, 16)):
        log = log_of(name, Window(1100, 1100, side, side), chunk_size=65536, max_cached_chunks=1024)
        assert in_sequence(log) <= 3
        assert sent_twice(log) == 0
        assert sent(log) <= (1.4 if name == "big-endian" else 1.1) * tiles * TILE * TILE * 3 + 3 * 65536


def test_by_structure_a_window_takes_fewer_bytes_than_by_the_access_pattern(log_of: Callable[..., Any]) -> None:
    window = Window(600, 600, 600, 600)
    by_structure = log_of("cog", window, read_ahead="auto")
    by_pattern = log_of("cog", window, read_ahead="pattern")
    assert sent(by_structure) < sent(by_pattern)
    assert in_sequence(by_structure) <= 3


def outcome(open_file: Callable[[], Any]) -> Any:
    """Return what Pillow reads of a file that may be damaged, or its error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PIL.Image.open(open_file()) as image:
                image.load()
                return image.size, image.mode, image.tobytes()
    except Exception as error:  # noqa: BLE001 - of any kind, the same for both
        return type(error)


def same_over_readers(content: bytes) -> None:
    store = MemoryStore()
    store.put("f", content)
    expected = outcome(lambda: io.BytesIO(content))
    for mode in ("auto", "metadata"):
        for chunk_size, chunks in ((1 << 20, 64), (4096, 16)):
            opened = outcome(lambda: ParallelStoreReader(store, "f", chunk_size, chunks, read_ahead=mode))  # noqa: B023
            assert opened == expected


def test_damaged_files_are_read_as_without_a_reader(rasters: dict[str, bytes]) -> None:
    damage = random.Random(5)
    for name in ("cog", "strips", "big-endian"):
        for _ in range(12):
            content = bytearray(rasters[name])
            for _ in range(damage.randint(1, 4)):
                content[damage.randrange(3000)] = damage.randrange(256)
            same_over_readers(bytes(content))


@pytest.mark.skipif("OBSPEC_UTILS_CORPUS" not in os.environ, reason="OBSPEC_UTILS_CORPUS does not name a folder")
def test_files_of_others_are_read_as_without_a_reader() -> None:
    paths = sorted(Path(os.environ["OBSPEC_UTILS_CORPUS"], "tiff").glob("*.tif"))
    assert paths
    for path in paths:
        same_over_readers(path.read_bytes())
