"""virtual-tiff, which parses TIFF files for VirtualiZarr, through the registry and a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr

from obspec_utils.registry import ObjectStoreRegistry
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers import ObjectServer

virtual_tiff = pytest.importorskip("virtual_tiff", reason="virtual-tiff is not installed")

VALUES = np.arange(512 * 512, dtype="u2").reshape(512, 512)
STACKS: dict[str, Callable[[Any], Any]] = {
    "bare": lambda store: store,
    "caching": CachingReadableStore,
    "blocks": lambda store: CachingReadableStore(store, block_size="auto"),
    "stack": lambda store: CachingReadableStore(SplittingReadableStore(store), block_size=65536),
}


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
    profile = {"driver": "GTiff", "width": 512, "height": 512, "count": 1, "dtype": "uint16", "compress": "deflate"}
    place = rasterio.Affine(0.1, 0, 10, 0, -0.1, 50)
    with rasterio.open(
        tmp_path / "a.tif", "w", **profile, tiled=True, blockxsize=256, blockysize=256, transform=place
    ) as image:
        image.write(VALUES, 1)
    return (tmp_path / "a.tif").read_bytes()


@pytest.mark.filterwarnings("ignore::UserWarning")  # numcodecs' codecs are not of Zarr 3
@pytest.mark.parametrize("stack", STACKS)
def test_tiff(stack: str, object_server: ObjectServer, content: bytes) -> None:
    object_server.put("virtual/a.tif", content)
    registry = ObjectStoreRegistry({"s3://virtual": STACKS[stack](object_server.s3_store("virtual"))})
    manifests = virtual_tiff.VirtualTIFF(ifd=0)("s3://virtual/a.tif", registry)
    with xr.open_zarr(manifests, consolidated=False, zarr_format=3, chunks=None) as found:
        np.testing.assert_array_equal(found["0"].values, VALUES)
