"""xarray, dask and worker processes read Zarr groups from S3 through ObspecStore over wrapped stores."""

from __future__ import annotations

import pickle

import pytest
import xarray as xr
import zarr.storage

from obspec_utils.wrappers import CachingReadableStore, CoalescingReadableStore, SplittingReadableStore
from obspec_utils.zarr import ObspecStore
from tests.integration.work import mean_of_zarr

pytestmark = pytest.mark.filterwarnings("ignore:.*not.* in the Zarr:", "ignore:Consolidated metadata")

WRAPPED = {
    "bare": lambda store: store,
    "caching": CachingReadableStore,
    "blocks": lambda store: CachingReadableStore(SplittingReadableStore(store), block_size=1000),
    "coalescing": CoalescingReadableStore,
}


@pytest.fixture
def native(servers, dataset):
    """The dataset as a Zarr group on moto, written by zarr's own store."""
    bucket = servers.fresh_name()
    servers.moto.create_bucket(bucket)
    store = servers.moto.s3_store(bucket, prefix="data/climate.zarr")
    dataset.to_zarr(zarr.storage.ObjectStore(store))
    return store


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_xarray_reads_what_was_written(native, dataset, wrap):
    store = ObspecStore(wrap(native))
    for chunks in (None, {}):
        with xr.open_zarr(store, chunks=chunks) as opened:
            xr.testing.assert_identical(opened.load(), dataset)
    with xr.open_zarr(store, consolidated=False, chunks=None) as opened:
        copy = pickle.loads(pickle.dumps(opened))
        xr.testing.assert_identical(copy.load(), dataset)


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_worker_processes_read_it(native, dataset, workers, wrap):
    mean = float(dataset["temperature"].mean())
    assert workers.submit(mean_of_zarr, ObspecStore(wrap(native))).result(timeout=120) == pytest.approx(mean)


def test_dask_reads_it_in_processes(native, dataset, workers):
    with xr.open_zarr(ObspecStore(CachingReadableStore(native)), chunks={}) as opened:
        mean = opened["temperature"].mean().compute(scheduler="processes", pool=workers)
    assert float(mean) == pytest.approx(float(dataset["temperature"].mean()))
