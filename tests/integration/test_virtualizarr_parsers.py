"""VirtualiZarr's parsers through the registry and a cache: what they find is what is in the file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr

from obspec_utils.registry import ObjectStoreRegistry
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore
from tests.integration.documents import python_blocks, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers import ObjectServer

parsers = pytest.importorskip("virtualizarr.parsers", reason="VirtualiZarr is not installed")
if not hasattr(parsers, "ENVIParser"):
    pytest.skip("VirtualiZarr 2.8, which has these parsers, requires Python 3.12", allow_module_level=True)

STACKS: dict[str, Callable[[Any], Any]] = {
    "bare": lambda store: store,
    "caching": CachingReadableStore,
    "blocks": lambda store: CachingReadableStore(store, block_size="auto"),
    "stack": lambda store: CachingReadableStore(SplittingReadableStore(store), block_size=65536),
}
VALUES = np.arange(24 * 32, dtype=">f4").reshape(24, 32)


def fits_file() -> bytes:
    import io

    from astropy.io import fits

    buffer = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(VALUES)]).writeto(buffer)
    return buffer.getvalue()


def kerchunk_references(content: bytes) -> bytes:
    import io

    from kerchunk.hdf import SingleHdf5ToZarr

    return json.dumps(SingleHdf5ToZarr(io.BytesIO(content), "s3://virtual/climate.nc").translate()).encode()


ENVI_HEADER = b"""ENVI
samples = 32
lines = 24
bands = 1
header offset = 0
data type = 4
interleave = bsq
byte order = 1
"""


@pytest.fixture(params=STACKS)
def registry(request: pytest.FixtureRequest, object_server: ObjectServer) -> ObjectStoreRegistry:
    return ObjectStoreRegistry({"s3://virtual": STACKS[request.param](object_server.s3_store("virtual"))})


def loaded(manifests: Any) -> xr.Dataset:
    with xr.open_zarr(manifests, consolidated=False, zarr_format=3, chunks=None) as opened:
        return opened.load()


@pytest.mark.parametrize("name", ["climate.nc", "climate3.nc"])
def test_netcdf(name: str, registry: Any, object_server: ObjectServer, files: dict[str, bytes], dataset: Any) -> None:
    object_server.put("virtual/a.nc", files[name])
    parser = parsers.NetCDF3Parser() if name == "climate3.nc" else parsers.HDFParser()
    found = loaded(parser("s3://virtual/a.nc", registry))
    for variable in ("temperature", "wind", "rain"):
        np.testing.assert_array_equal(found[variable].values, dataset[variable].values)


def test_fits(registry: Any, object_server: ObjectServer) -> None:
    object_server.put("virtual/a.fits", fits_file())
    found = loaded(parsers.FITSParser()("s3://virtual/a.fits", registry))
    (variable,) = found.data_vars
    np.testing.assert_array_equal(found[variable].values, VALUES)


def test_envi(registry: Any, object_server: ObjectServer) -> None:
    object_server.put("virtual/a.img", VALUES.tobytes())
    object_server.put("virtual/a.hdr", ENVI_HEADER)
    found = loaded(parsers.ENVIParser()("s3://virtual/a.img", registry))
    (variable,) = found.data_vars
    np.testing.assert_array_equal(found[variable].values.squeeze(), VALUES)


def test_kerchunk(registry: Any, object_server: ObjectServer, files: dict[str, bytes], dataset: Any) -> None:
    object_server.put("virtual/climate.nc", files["climate.nc"])
    object_server.put("virtual/references.json", kerchunk_references(files["climate.nc"]))
    found = loaded(parsers.KerchunkJSONParser()("s3://virtual/references.json", registry))
    np.testing.assert_array_equal(found["temperature"].values, dataset["temperature"].values)


def put_zarr(server: ObjectServer, dataset: Any, folder: Path) -> None:
    dataset.to_zarr(folder / "a.zarr", zarr_format=3, consolidated=False)
    for path in folder.rglob("*"):
        if path.is_file():
            server.put(f"virtual/{path.relative_to(folder).as_posix()}", path.read_bytes())


@pytest.mark.parametrize("wrap", [CachingReadableStore, lambda store: CachingReadableStore(store, block_size="auto")])
def test_zarr_is_parsed_over_the_bare_store_and_loaded_through_a_wrapper(
    object_server: ObjectServer, dataset: Any, tmp_path: Path, wrap: Any
) -> None:
    put_zarr(object_server, dataset, tmp_path)
    store = object_server.s3_store("virtual")
    with pytest.raises(TypeError, match="expected ObjectStore class, got CachingReadableStore"):
        parsers.ZarrParser()("s3://virtual/a.zarr", ObjectStoreRegistry({"s3://virtual": wrap(store)}))
    registry = ObjectStoreRegistry({"s3://virtual": store})
    manifests = parsers.ZarrParser()("s3://virtual/a.zarr", registry)
    registry.register("s3://virtual", wrap(store))
    for _ in range(2):
        found = loaded(manifests)
        np.testing.assert_array_equal(found["temperature"].values, dataset["temperature"].values)
        requests = len(object_server.log())
    object_server.clear()
    loaded(manifests)
    assert requests > 0
    assert object_server.log() == []  # from the cache


def test_the_recipe_of_the_guide(object_server: ObjectServer, dataset: Any, tmp_path: Path) -> None:
    put_zarr(object_server, dataset, tmp_path)
    block = next(block for block in python_blocks("docs/guide/recipes.md") if "ZarrParser" in block)
    names: dict[str, Any] = {"bucket": object_server.s3_store("virtual")}
    run(block.replace("s3://bucket", "s3://virtual"), "recipes.md", names)
    np.testing.assert_array_equal(names["dataset"]["temperature"].values, dataset["temperature"].values)
