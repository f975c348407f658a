"""References that VirtualiZarr parsed through our wrappers are kept in icechunk and lead to the original values."""

from __future__ import annotations

import icechunk
import pytest
import xarray as xr
from virtualizarr import open_virtual_dataset
from virtualizarr.parsers import HDFParser

from obspec_utils.registry import ObjectStoreRegistry
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

BUCKET = "chunks"
PREFIX = f"s3://{BUCKET}/"

pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr")


def test_virtual_chunks_are_read_back(object_server, files, dataset):
    object_server.put(f"{BUCKET}/climate.nc", files["climate.nc"])
    store = CachingReadableStore(SplittingReadableStore(object_server.s3_store(BUCKET)), block_size="auto")
    config = icechunk.RepositoryConfig.default()
    place = icechunk.s3_store(
        region="us-east-1", endpoint_url=object_server.url, allow_http=True, s3_compatible=True, force_path_style=True
    )
    config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(PREFIX, place))
    credentials = icechunk.containers_credentials({PREFIX: icechunk.s3_anonymous_credentials()})
    repository = icechunk.Repository.create(
        icechunk.in_memory_storage(), config=config, authorize_virtual_chunk_access=credentials
    )
    session = repository.writable_session("main")
    registry = ObjectStoreRegistry({f"s3://{BUCKET}": store})
    with open_virtual_dataset(f"{PREFIX}climate.nc", registry, HDFParser()) as virtual:
        virtual.vz.to_icechunk(session.store)
    session.commit("references")
    readable = repository.readonly_session("main")
    with xr.open_zarr(readable.store, consolidated=False, chunks=None) as opened:
        xr.testing.assert_identical(opened.load(), dataset)
