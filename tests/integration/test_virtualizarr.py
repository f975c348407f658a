"""VirtualiZarr parses through our readers and loads through our registry and wrappers."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
import zarr
from virtualizarr import open_virtual_dataset
from virtualizarr.manifests import ChunkManifest, ManifestArray, ManifestGroup, ManifestStore
from virtualizarr.manifests.utils import create_v3_array_metadata
from virtualizarr.parsers import HDFParser

from obspec_utils.registry import ObjectStoreRegistry
from obspec_utils.wrappers import CachingReadableStore, CoalescingReadableStore, SplittingReadableStore
from tests.integration.readers import ALL_READERS

BUCKET = "virtual"
REQUEST_SIZE = 64 * 1024
PATH = "daily/climate.nc"
URL = f"s3://{BUCKET}/{PATH}"


# zarr warns of codecs that are not in its specification yet.
pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr")

PARSERS = {
    "default": HDFParser,
    **{name: lambda reader=reader: HDFParser(reader_factory=reader) for name, reader in ALL_READERS.items()},
}


@pytest.fixture
def s3_store(object_server, files):
    object_server.put(f"{BUCKET}/{PATH}", files["climate.nc"])
    return object_server.s3_store(BUCKET)


@pytest.fixture
def registry(s3_store):
    store = CachingReadableStore(SplittingReadableStore(s3_store, request_size=REQUEST_SIZE))
    return ObjectStoreRegistry({f"s3://{BUCKET}": store})


@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)
def test_loaded_variables_equal_the_original(registry, parser, dataset):
    everything = list(dataset.variables)
    with open_virtual_dataset(URL, registry, parser(), loadable_variables=everything) as opened:
        xr.testing.assert_identical(opened.load(), dataset)


@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)
def test_references_lead_to_the_original_values(registry, parser, dataset):
    manifests = parser()(URL, registry)
    with xr.open_zarr(manifests, consolidated=False, zarr_format=3, chunks=None) as opened:
        xr.testing.assert_identical(opened.load(), dataset)


def test_variables_are_references_unless_they_are_to_be_loaded(registry):
    with open_virtual_dataset(URL, registry, HDFParser()) as virtual:
        assert {type(virtual[name].variable.data) for name in ("temperature", "wind", "rain")} == {ManifestArray}


def test_parsing_and_loading_fetch_the_object_once(registry, object_server, files, dataset):
    manifests = HDFParser()(URL, registry)
    with xr.open_zarr(manifests, consolidated=False, zarr_format=3, chunks=None) as opened:
        opened.load()
    log = object_server.log()
    assert len(log) == -(-len(files["climate.nc"]) // REQUEST_SIZE)
    assert sum(request.sent for request in log) == len(files["climate.nc"])


def open_adjacent(server, store, chunks, size):
    """Store adjacent chunks in one object; return their array, read through a store, and its values."""
    data = np.random.default_rng(0).integers(0, 255, chunks * size, dtype="u1")
    server.put("virtual/adjacent", data.tobytes())
    offsets = {
        str(number): {"path": "s3://virtual/adjacent", "offset": number * size, "length": size}
        for number in range(chunks)
    }
    metadata = create_v3_array_metadata(
        shape=(chunks * size,), data_type=data.dtype, chunk_shape=(size,), codecs=[{"name": "bytes"}]
    )
    array = ManifestArray(metadata=metadata, chunkmanifest=ChunkManifest(offsets))
    manifests = ManifestStore(ManifestGroup(arrays={"x": array}), registry=ObjectStoreRegistry({"s3://virtual": store}))
    return zarr.open_array(manifests, path="x", mode="r", zarr_format=3), data


@pytest.mark.parametrize(
    ("size", "concurrency", "requests"), [(500, 10, 98), (500, 256, 4), (500, 973, 2), (4096, 256, 16)]
)
def test_adjacent_chunks_are_few_requests_and_no_byte_more(object_server, size, concurrency, requests):
    """zarr requests `async.concurrency` chunks at a time; those that it requests together are coalesced."""
    store = CoalescingReadableStore(object_server.s3_store("virtual"))
    array, data = open_adjacent(object_server, store, 973, size)
    with zarr.config.set({"async.concurrency": concurrency}):
        assert (array[:] == data).all()
    log = object_server.log()
    assert len(log) == requests
    assert sum(request.sent for request in log) == data.nbytes


@pytest.mark.parametrize(
    ("options", "requests", "in_flight"),
    [({"block_size": "auto"}, 17, 8), ({"block_size": "auto", "read_ahead": False}, 17, 1)],
)
def test_a_cache_reads_ahead_of_adjacent_chunks(object_server, options, requests, in_flight):
    """Steps that double: of 1 MiB, 1, 2, 4, 8 and the rest, so six round trips instead of 17 (98 without a cache)."""
    store = CachingReadableStore(object_server.s3_store("virtual"), **options)
    array, data = open_adjacent(object_server, store, 973, 17_900)
    object_server.configure(latency=0.02, gather=1)
    assert (array[:] == data).all()
    log = object_server.log()
    assert len(log) == requests
    assert sum(request.sent for request in log) == data.nbytes
    assert object_server.most_in_flight() == in_flight
    array[:]
    assert len(object_server.log()) == requests
