"""Stores and readers travel to worker processes: settings and positions arrive, caches stay at home."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import pytest
from obspec.exceptions import PreconditionError

from obspec_utils.caches import DiskCache
from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.readers import BlockStoreReader, BufferedStoreReader, EagerStoreReader, ParallelStoreReader
from obspec_utils.wrappers import (
    CachingReadableStore,
    RequestTrace,
    SplittingReadableStore,
    TracingReadableStore,
)
from tests.integration.work import (
    describe,
    digest,
    kept_in_process,
    mean_of,
    misses_in_process,
    process_files,
    read_start,
    rest_of,
)
from tests.servers import random_bytes
from tests.servers.fixtures import wait_until

BUCKET = "work"
PATHS = [f"file{number}.nc" for number in range(1, 5)]
CONTENTS = {path: random_bytes(50_000, seed=number) for number, path in enumerate(PATHS)}
MAX_SIZE = 512 * 1024

# What each reader is given, which must arrive in the worker.
READERS = {
    "eager": (EagerStoreReader, {"request_size": 8_192, "file_size": None, "max_concurrent_requests": 3}),
    "parallel": (ParallelStoreReader, {"chunk_size": 4_096, "max_cached_chunks": 5}),
    "block": (BlockStoreReader, {"block_size": 2_048, "max_cached_blocks": 6}),
    "buffered": (BufferedStoreReader, {"buffer_size": 1_000, "max_concurrent_requests": None}),
    "batches": (BufferedStoreReader, {"buffer_size": 1_000, "max_concurrent_requests": 2}),
}


@pytest.fixture
def store(object_server):
    for path, content in CONTENTS.items():
        object_server.put(f"{BUCKET}/{path}", content)
    return object_server.s3_store(BUCKET)


@pytest.fixture(scope="module", params=["spawn", "forkserver"])
def pool(request):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(request.param)) as executor:
        yield executor


# How a process was started makes no difference to what each reader's pickle holds.
one_start_method = pytest.mark.parametrize("pool", ["spawn"], indirect=True)


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    with distributed.LocalCluster(**settings) as running, distributed.Client(running) as client:
        yield client


def assert_partitions_were_processed(results, partitions):
    for result, paths in zip(results, partitions, strict=True):
        assert result["digests"] == {path: digest(CONTENTS[path]) for path in paths}
        assert result["max_size"] == MAX_SIZE


def test_each_worker_fills_a_cache_of_its_own(pool, store, object_server):
    cached = CachingReadableStore(SplittingReadableStore(store), max_size=MAX_SIZE)
    cached.get(PATHS[0])
    object_server.clear()
    partitions = [PATHS[:2], PATHS[2:]]
    results = list(pool.map(partial(process_files, cached), partitions))
    assert_partitions_were_processed(results, partitions)
    assert [result["arrived_with"] for result in results] == [0, 0]
    assert [result["cached_paths"] for result in results] == partitions
    assert sorted(request.path for request in object_server.log()) == [f"{BUCKET}/{path}" for path in PATHS]
    assert cached.cached_paths == [PATHS[0]]


def test_the_tasks_of_a_dask_worker_share_a_cache_that_is_freed_afterwards(cluster, store, object_server):
    cached = CachingReadableStore(store, share="process")
    found = cluster.gather([cluster.submit(read_start, cached, PATHS[0], number) for number in range(30)])
    workers = {worker for worker, _ in found}
    assert {bytes(start) for _, start in found} == {bytes(CONTENTS[PATHS[0]][:100])}
    assert len(object_server.log()) == len(workers) <= 2
    assert 0 < sum(cluster.run(kept_in_process).values()) <= 2
    del cached
    # Dask releases what a task had a moment after its result.
    wait_until(lambda: set(cluster.run(kept_in_process, after_a_minute=True).values()) == {0})


@pytest.mark.parametrize("kind", ["share", "disk"])
def test_many_files_are_computed_in_a_worker_without_fetching_them_twice(kind, store, object_server, tmp_path):
    distributed = pytest.importorskip("distributed")
    xr = pytest.importorskip("xarray")
    paths = [f"many/{number}.nc" for number in range(20)]
    for number, path in enumerate(paths):
        xr.Dataset({"t": (("y", "x"), np.full((40, 50), float(number)))}).to_netcdf(
            tmp_path / "a.nc", engine="h5netcdf"
        )
        object_server.put(f"{BUCKET}/{path}", (tmp_path / "a.nc").read_bytes())
    object_server.clear()
    options = {"share": "process"} if kind == "share" else {"cache": DiskCache(tmp_path / "cache", 64 << 20)}
    cached = CachingReadableStore(store, **options)
    settings = {"n_workers": 1, "threads_per_worker": 2, "processes": True, "dashboard_address": ":0"}
    with distributed.LocalCluster(**settings) as running, distributed.Client(running) as client:
        readers = [ParallelStoreReader(cached, path) for path in paths]
        with xr.open_mfdataset(readers, engine="h5netcdf", combine="nested", concat_dim="file", chunks={}) as opened:
            assert len(object_server.log()) == 20
            assert opened["t"].mean(("y", "x")).values.tolist() == [float(number) for number in range(20)]
        if kind == "share":  # the scheduler, in the process that opened the files, reads them again through copies
            assert set(client.run(misses_in_process).values()) == {20}
            assert len(object_server.log()) <= 60
        else:
            assert len(object_server.log()) == 20


def test_wrappers_arrive_with_their_settings_in_any_order(pool, store):
    trace = RequestTrace()
    stacks = [
        CachingReadableStore(SplittingReadableStore(TracingReadableStore(store, trace), 8_192, 4), MAX_SIZE),
        SplittingReadableStore(CachingReadableStore(store, 1_000), 512),
    ]
    stacks[0].get(PATHS[0])
    caching, splitting, tracing = pool.submit(describe, stacks[0]).result()["layers"]
    assert caching == ("CachingReadableStore", 0, (MAX_SIZE,))
    assert splitting == ("SplittingReadableStore", None, (8_192, 4))
    assert (tracing[0], tracing[2][0].total_requests) == ("TracingReadableStore", trace.total_requests)
    other = pool.submit(describe, stacks[1]).result()
    assert [layer[0] for layer in other["layers"]] == ["SplittingReadableStore", "CachingReadableStore"]
    assert other["native"] == "S3Store"


@one_start_method
@pytest.mark.parametrize(("kind", "options"), READERS.values(), ids=READERS)
def test_a_reader_goes_on_where_it_stood(pool, store, kind, options):
    path = PATHS[1]
    with kind(store, path, **options) as reader:
        reader.read(1_234)
        told = pool.submit(rest_of, reader).result()
    rest = digest(CONTENTS[path][1_234:])
    known = {**options, "check_version": "auto", "version": None}
    if issubclass(kind, ParallelStoreReader):
        known["read_ahead"] = "auto"
    if issubclass(kind, EagerStoreReader):
        known["progress"] = None
    assert told == {"position": 1_234, "options": known, "size": len(CONTENTS[path]), "digest": rest}


@one_start_method
@pytest.mark.parametrize(("kind", "options"), READERS.values(), ids=READERS)
def test_a_reader_keeps_to_the_version_it_began_with(pool, store, object_server, kind, options):
    path = PATHS[2]
    with kind(store, path, **options) as reader:
        reader.read(1_234)
        object_server.put(f"{BUCKET}/{path}", random_bytes(len(CONTENTS[path]), seed=99))
        with pytest.raises(ObjectChangedError, match=path) as caught:
            pool.submit(rest_of, reader).result()
    assert isinstance(caught.value, PreconditionError)


@one_start_method
@pytest.mark.parametrize("kind", [kind for kind, _ in READERS.values()], ids=READERS)
def test_a_worker_opens_netcdf4_through_a_cached_store(pool, object_server, files, dataset, kind):
    object_server.put(f"{BUCKET}/climate.nc", files["climate.nc"])
    cached = CachingReadableStore(object_server.s3_store(BUCKET))
    mean = pool.submit(mean_of, cached, "climate.nc", kind).result()
    assert mean == float(dataset["temperature"].mean())


@pytest.mark.slow
def test_dask_workers_get_a_cache_each(cluster, store, object_server):
    import dask

    cached = CachingReadableStore(store, max_size=MAX_SIZE)
    cached.get(PATHS[0])
    object_server.clear()
    tasks = [dask.delayed(process_files)(cached, [path]) for path in PATHS]
    results = dask.compute(*tasks)
    assert_partitions_were_processed(results, [[path] for path in PATHS])
    # Which worker got which task is the scheduler's choice: at most a fetch for each task, from processes not this one.
    assert len(object_server.log()) == len(PATHS)
    assert cached.cached_paths == [PATHS[0]]


@pytest.mark.slow
def test_dask_arrays_are_computed_through_a_reader_in_the_workers(cluster, object_server, files, dataset):
    import xarray as xr

    object_server.put(f"{BUCKET}/climate.nc", files["climate.nc"])
    cached = CachingReadableStore(object_server.s3_store(BUCKET))
    with ParallelStoreReader(cached, "climate.nc") as file, xr.open_dataset(file, chunks={"time": 4}) as opened:
        computed = opened["temperature"].mean("time").compute()
    xr.testing.assert_allclose(computed, dataset["temperature"].mean("time"))
