"""What worker processes never share: secrets, the bytes of other stores, what has no version; and what if one dies."""

from __future__ import annotations

import multiprocessing
from contextlib import nullcontext

import pytest
from obstore.store import HTTPStore, MemoryStore

from obspec_utils.caches import DiskCache, RedisCache
from obspec_utils.wrappers import CachingReadableStore
from tests.integration.sharing import WORKERS, each_byte_once, get_stuck, read_together, spans_asked_for
from tests.integration.work import digest
from tests.servers import random_bytes
from tests.servers.fixtures import wait_until
from tests.unit._disk import files

KIB = 1 << 10
BLOCK = 64 * KIB
PATH = "same/path.nc"
SIZES = {PATH: 300_000}
SECRETS = {
    "access_key_id": "AKIARECOGNISABLE",
    "secret_access_key": "s3cr3tRecognisable",
    "session_token": "t0kenRecognisable",
}
PASSWORD = "redisPa55word"


def put(object_server, bucket, seed):
    object_server.put_random(f"{bucket}/{PATH}", SIZES[PATH], seed)
    object_server.clear()
    return digest(random_bytes(SIZES[PATH], seed))


def everything_in(cache, tmp_path, client):
    """Return all that a shared cache holds: names and contents."""
    if isinstance(cache, DiskCache):
        files = [path for path in tmp_path.rglob("*") if path.is_file() and "meeting" not in str(path)]
        return [part for path in files for part in (str(path).encode(), path.read_bytes())]
    keys = client.keys("*")
    return [*keys, *(value for value in client.mget(keys) if value is not None)]


@pytest.mark.parametrize("kind", ["disk", "redis"])
def test_no_secret_gets_into_a_shared_cache(together, object_server, start_redis, tmp_path, kind):
    expected = put(object_server, "private", seed=1)
    client = None
    if kind == "disk":
        cache = DiskCache(tmp_path / "cache", 1 << 30)
    else:
        server = start_redis(password=PASSWORD)
        client = server.client
        cache = RedisCache(f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0")
    store = object_server.s3_store("private", **SECRETS, skip_signature=False)
    cached = CachingReadableStore(store, block_size=BLOCK, cache=cache)
    results = together(read_together, cached, SIZES, "whole")
    assert [result["digests"] for result in results] == [{PATH: expected}] * WORKERS
    held = everything_in(cache, tmp_path, client)
    assert len(held) >= 2 * (1 + 5)  # a version and five blocks
    shown = [*held, *(str(result["info"]).encode() for result in results), repr(cached).encode()]
    for secret in (*SECRETS.values(), PASSWORD):
        assert not [text for text in shown if secret.encode() in text]


def test_a_url_with_a_password_needs_a_namespace_and_is_not_shown(tmp_path):
    store = HTTPStore("http://user:recognisable@localhost:1/x", client_options={"allow_http": True})
    with pytest.raises(ValueError, match="namespace=") as caught:
        CachingReadableStore(store, cache=DiskCache(tmp_path, 1 << 20))
    assert "recognisable" not in str(caught.value)


def others(object_server, how):
    """Return a store that differs from the bucket "one" in where it reads from."""
    if how == "prefix":
        return object_server.s3_store("one", prefix="deeper"), "one/deeper"
    if how == "kind":
        return object_server.http_store("two"), "two"
    return object_server.s3_store("two"), "two"


@pytest.mark.parametrize("how", ["bucket", "prefix", "kind", "namespace"])
def test_stores_never_serve_each_other_s_bytes(together, object_server, shared_cache, how):
    one, (other, place) = object_server.s3_store("one"), others(object_server, how)
    right, other_right = put(object_server, "one", seed=1), put(object_server, place, seed=2)
    names = [{"namespace": name} if how == "namespace" else {} for name in ("one", "two")]
    for store, expected, name in ((one, right, names[0]), (other, other_right, names[1])):
        cached = CachingReadableStore(store, block_size=BLOCK, cache=shared_cache, **name)
        results = together(read_together, cached, SIZES, "whole")
        assert [result["digests"] for result in results] == [{PATH: expected}] * WORKERS
        assert sum(result["info"].bytes_fetched for result in results) == SIZES[PATH]


def test_one_namespace_makes_two_stores_one(together, object_server, shared_cache):
    expected = put(object_server, "one", seed=1)
    for store in (object_server.s3_store("one"), object_server.http_store("one")):
        cached = CachingReadableStore(store, cache=shared_cache, namespace="the same bucket")
        results = together(read_together, cached, SIZES, "whole")
        assert [result["digests"] for result in results] == [{PATH: expected}] * WORKERS
    assert each_byte_once(object_server, SIZES)


@pytest.mark.parametrize("block_size", [None, BLOCK, "auto"])
def test_objects_without_a_version_never_reach_shared_caches(
    together, object_server, shared_cache, tmp_path, request, block_size
):
    expected = put(object_server, "plain", seed=1)
    object_server.add_fault("no_etag")
    object_server.add_fault("no_last_modified")
    cached = CachingReadableStore(object_server.http_store("plain"), block_size=block_size, cache=shared_cache)
    results = together(read_together, cached, SIZES, "whole")
    assert [result["digests"] for result in results] == [{PATH: expected}] * WORKERS
    if isinstance(shared_cache, RedisCache):
        assert request.getfixturevalue("redis_server").client.keys("*") == []
    else:
        assert files(tmp_path / "cache") == []
    spans = spans_asked_for(object_server, SIZES)[PATH]
    assert sum(stop - start for start, stop in spans) == WORKERS * SIZES[PATH]


@pytest.mark.parametrize("cache", [None, "disk"])
def test_a_store_in_memory_has_to_be_named_where_a_cache_is_shared(tmp_path, cache):
    if cache is None:
        CachingReadableStore(MemoryStore())
        return
    with pytest.raises(ValueError, match="namespace="):
        CachingReadableStore(MemoryStore(), cache=DiskCache(tmp_path, 1 << 20))
    CachingReadableStore(MemoryStore(), cache=DiskCache(tmp_path, 1 << 20), namespace="mine")


@pytest.mark.parametrize("before", [0, 1], ids=["asking for the version", "fetching a block"])
def test_a_killed_worker_stops_nobody(together, object_server, shared_cache, before):
    expected = put(object_server, "one", seed=1)
    cached = CachingReadableStore(object_server.s3_store("one"), block_size=BLOCK, cache=shared_cache)
    object_server.add_fault("stall", seconds=120, skip=before, times=1)
    context = multiprocessing.get_context("spawn")
    stuck = context.Process(target=get_stuck, args=(cached, PATH, SIZES[PATH], 1_000))
    stuck.start()
    try:
        wait_until(lambda: any(request.status is None for request in object_server.log()))
    finally:
        stuck.kill()
        stuck.join()
    got = before * BLOCK
    object_server.clear()
    object_server.configure(latency=0.1)
    results = together(read_together, cached, SIZES, "whole")
    assert [result["digests"] for result in results] == [{PATH: expected}] * WORKERS
    # Once more what it was fetching, by one of the others; nobody waited so long as to fetch it as well.
    assert spans_asked_for(object_server, SIZES)[PATH][0][0] == got
    assert sum(request.sent for request in object_server.log()) == SIZES[PATH] - got


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_redis_server_that_goes_away_stops_nobody(together, object_server, start_redis, how):
    expected = put(object_server, "one", seed=1)
    server = start_redis()
    cached = CachingReadableStore(object_server.s3_store("one"), block_size=BLOCK, cache=RedisCache(server.url))
    together(read_together, cached, SIZES, "whole")
    assert each_byte_once(object_server, SIZES)
    object_server.clear()
    if how == "killed":
        server.kill()
    with server.stopped() if how == "stopped" else nullcontext():
        results = together(read_together, cached, SIZES, "whole")
    assert [result["digests"] for result in results] == [{PATH: expected}] * WORKERS
    assert sum(request.sent for request in object_server.log()) == WORKERS * SIZES[PATH]


def test_what_one_process_puts_the_others_read(together, object_server, shared_cache):
    put(object_server, "one", seed=1)
    cached = CachingReadableStore(object_server.s3_store("one"), block_size=BLOCK, cache=shared_cache)
    together(read_together, cached, SIZES, "whole")
    new = random_bytes(SIZES[PATH], seed=2)
    cached.put(PATH, bytes(new))
    object_server.clear()
    results = together(read_together, cached, SIZES, "whole")
    assert [result["digests"] for result in results] == [{PATH: digest(new)}] * WORKERS
    assert each_byte_once(object_server, SIZES)
