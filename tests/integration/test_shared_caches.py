"""Worker processes that read the same files at the same time, through one cache: the origin sends each byte once."""

from __future__ import annotations

import pytest

from obspec_utils.caches import DiskCache, MemoryCache, RedisCache
from obspec_utils.wrappers import CachingReadableStore
from tests.integration.sharing import HOW, WORKERS, each_byte_once, read_again_and_again, read_together
from tests.integration.work import digest
from tests.servers import random_bytes

BUCKET = "shared"
KIB, MIB = 1 << 10, 1 << 20
# One byte, some blocks, whole blocks exactly, and more than "auto" takes whole.
SIZES = {"byte": 1, "a/some": 300_001, "a/exact": 256 * KIB, "large.nc": 9 * MIB + 7}
TOTAL = sum(SIZES.values())
BLOCK_SIZES = {"whole objects": None, "blocks": 64 * KIB, "auto": "auto"}
BUDGET = 64 * MIB


@pytest.fixture(scope="module")
def digests():
    return {path: digest(random_bytes(size, seed=size)) for path, size in SIZES.items()}


@pytest.fixture
def store(object_server):
    for path, size in SIZES.items():
        object_server.put_random(f"{BUCKET}/{path}", size, seed=size)
    object_server.clear()
    object_server.configure(latency=0.02)
    return object_server.s3_store(BUCKET)


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    settings = {"n_workers": WORKERS, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    with distributed.LocalCluster(**settings) as running, distributed.Client(running) as client:
        yield client


def assert_all_was_read(results, digests):
    assert len({result["process"] for result in results}) == WORKERS
    assert [result["arrived_with"] for result in results] == [0] * WORKERS
    assert [result["digests"] for result in results] == [digests] * WORKERS


@pytest.mark.parametrize(
    ("kind", "how"), [(kind, how) for kind in BLOCK_SIZES for how in HOW if (kind, how) != ("whole objects", "pieces")]
)
def test_workers_fetch_each_byte_once(together, store, object_server, shared_cache, digests, kind, how):
    cached = CachingReadableStore(store, block_size=BLOCK_SIZES[kind], cache=[MemoryCache(BUDGET), shared_cache])
    results = together(read_together, cached, SIZES, how)
    assert_all_was_read(results, digests)
    assert each_byte_once(object_server, SIZES)
    assert sum(result["info"].bytes_fetched for result in results) == TOTAL
    object_server.clear()
    assert_all_was_read(together(read_together, cached, SIZES, how), digests)
    assert object_server.log() == []


@pytest.mark.parametrize("block_size", BLOCK_SIZES.values(), ids=BLOCK_SIZES)
def test_a_second_run_that_trusts_nothing_moves_no_bytes(
    together, store, object_server, shared_cache, digests, block_size
):
    together(read_together, CachingReadableStore(store, block_size=block_size, cache=shared_cache), SIZES, "whole")
    object_server.clear()
    doubting = CachingReadableStore(store, block_size=block_size, cache=shared_cache, max_age=0)
    results = together(read_together, doubting, SIZES, "whole")
    assert_all_was_read(results, digests)
    log = object_server.log()
    assert {request.status for request in log} == {304}
    assert sum(request.sent for request in log) == 0
    assert len(log) == sum(result["info"].revalidations for result in results) <= WORKERS * len(SIZES)


def test_memory_stays_at_home_and_what_is_shared_is_found(together, store, object_server, shared_cache, digests):
    cached = CachingReadableStore(store, block_size="auto", cache=[MemoryCache(BUDGET), shared_cache])
    assert cached.prefetch(SIZES) == {}
    assert each_byte_once(object_server, SIZES)
    assert cached.cache_size == TOTAL
    object_server.clear()
    results = together(read_together, cached, SIZES, "whole")
    assert_all_was_read(results, digests)
    assert object_server.log() == []
    for result in results:
        memory, found = result["info"].tiers
        assert (memory.hits, memory.size) == (0, TOTAL)
        # Three whole objects, and ten blocks.
        assert (found.hits, found.misses, result["info"].bytes_fetched) == (13, 0, 0)


def test_a_cache_fills_those_before_it(together, store, object_server, redis_server, tmp_path, digests):
    redis = RedisCache(redis_server.url)
    together(read_together, CachingReadableStore(store, cache=redis), SIZES, "whole")
    assert each_byte_once(object_server, SIZES)
    object_server.clear()
    node = DiskCache(tmp_path / "node", BUDGET)
    cached = CachingReadableStore(store, cache=[MemoryCache(BUDGET), node, redis])
    results = together(read_together, cached, SIZES, "whole")
    assert_all_was_read(results, digests)
    assert object_server.log() == []
    assert 0 < sum(result["info"].tiers[2].hits for result in results) <= len(SIZES) * WORKERS
    redis_server.client.flushall()
    results = together(read_together, cached, SIZES, "whole")
    assert_all_was_read(results, digests)
    assert [result["info"].tiers[1].hits for result in results] == [len(SIZES)] * WORKERS
    assert object_server.log() == []


def test_a_shared_cache_that_is_too_small_never_serves_wrong_bytes(together, store, tmp_path, digests):
    small = DiskCache(tmp_path / "small", 2 * MIB)
    cached = CachingReadableStore(store, block_size=256 * KIB, cache=small)
    for how in ("pieces", "whole"):
        assert_all_was_read(together(read_together, cached, SIZES, how), digests)
    assert 0 < small.size <= 2 * MIB


@pytest.mark.parametrize("block_size", BLOCK_SIZES.values(), ids=BLOCK_SIZES)
def test_no_worker_ever_gets_two_versions_in_one_answer(
    workers, store, object_server, shared_cache, tmp_path, block_size
):
    path, size = "replaced", 1_000_000
    versions = [random_bytes(size, seed=seed) for seed in range(8)]
    object_server.put(f"{BUCKET}/{path}", versions[0])
    cached = CachingReadableStore(store, block_size=block_size, cache=shared_cache, max_age=0)
    place = str(tmp_path / "meeting")
    running = [workers.submit(read_again_and_again, cached, path, place, 8) for _ in range(WORKERS)]
    put = 1
    while not all(future.done() for future in running):
        object_server.put(f"{BUCKET}/{path}", versions[put % len(versions)])
        put += 1
        object_server.get(f"{BUCKET}/{path}")  # so that it is not replaced all the time
    seen = set().union(*(future.result() for future in running))
    assert seen <= {digest(version) for version in versions}
    assert len(seen) > 1


@pytest.mark.slow
@pytest.mark.parametrize("block_size", BLOCK_SIZES.values(), ids=BLOCK_SIZES)
def test_dask_workers_fetch_each_byte_once(cluster, store, object_server, redis_server, tmp_path, digests, block_size):
    redis = RedisCache(redis_server.url)
    cached = CachingReadableStore(store, block_size=block_size, cache=[MemoryCache(BUDGET), redis])
    addresses = list(cluster.scheduler_info(n_workers=-1)["workers"])

    def run(name):
        place = str(tmp_path / name)
        return cluster.gather(
            [
                cluster.submit(read_together, cached, SIZES, place, "whole", workers=[address], pure=False)
                for address in addresses
            ]
        )

    assert_all_was_read(run("first"), digests)
    assert each_byte_once(object_server, SIZES)
    object_server.clear()
    assert_all_was_read(run("second"), digests)
    assert object_server.log() == []
