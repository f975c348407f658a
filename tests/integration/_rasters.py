"""Rasters of several kinds, written by GDAL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.io import MemoryFile
from rasterio.shutil import copy

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KINDS", "SIDE", "TILE", "pixels", "write_rasters"]

SIDE = 2048
TILE = 256
KINDS: dict[str, dict[str, Any]] = {
    "cog": {"driver": "COG", "compress": "deflate", "blocksize": TILE, "overview_resampling": "nearest"},
    "big": {"driver": "GTiff", "tiled": True, "blockxsize": TILE, "blockysize": TILE, "bigtiff": "yes"},
    "big-endian": {"driver": "GTiff", "tiled": True, "compress": "lzw", "endianness": "big"},
    "bands": {"driver": "GTiff", "tiled": True, "interleave": "band", "compress": "deflate"},
    "strips": {"driver": "GTiff", "compress": "deflate"},
    "sparse": {"driver": "GTiff", "tiled": True, "sparse_ok": True, "compress": "deflate"},
}


def pixels(bands: int) -> np.ndarray:
    data = np.random.default_rng(4).integers(0, 255, (bands, SIDE, SIDE), dtype=np.uint8)
    data[:, :600, :600] = 0  # which sparse files do not store
    return data


def write_rasters(folder: Path) -> dict[str, bytes]:
    options = {"width": SIDE, "height": SIDE, "count": 3, "dtype": "uint8", "crs": "EPSG:32633", "nodata": 0}
    transform = rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", transform=transform, interleave="pixel", **options) as dataset:
            dataset.write(pixels(3))
        for name, creation in KINDS.items():
            copy(memory.name, folder / name, **creation)
    return {name: (folder / name).read_bytes() for name in KINDS}
