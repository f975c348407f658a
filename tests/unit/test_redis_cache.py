"""The cache in Redis keeps, forgets and leases what it is told to, by a real server."""

from __future__ import annotations

import array
import gc
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import redis

from obspec_utils._io import gc_pause
from obspec_utils.caches import _redis
from obspec_utils.caches._protocol import Cache, LeasingCache, ManyCache
from obspec_utils.caches._redis import RedisCache
from tests.servers.fixtures import wait_until
from tests.unit._redis import every_method, made

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.redis_server import RedisServer


@pytest.fixture(params=["url", "client"])
def cache(request: pytest.FixtureRequest, redis_server: RedisServer) -> RedisCache:
    return made(request.param, redis_server)


def commands(server: RedisServer) -> dict[str, int]:
    """How often each command was called since the statistics were reset."""
    stats = server.client.info("commandstats")
    return {name.removeprefix("cmdstat_"): told["calls"] for name, told in stats.items()}


class TestValues:
    def test_it_is_every_kind_of_cache(self, cache):
        assert isinstance(cache, Cache)
        assert isinstance(cache, ManyCache)
        assert isinstance(cache, LeasingCache)

    @pytest.mark.parametrize(
        "value",
        [
            b"",
            b"\x00\xff\r\n",
            bytearray(b"bytes"),
            memoryview(bytes(range(256)) * 1000),
            memoryview(bytes(range(256)) * 1000)[::3],
            array.array("d", [1.5, 2.5]),
            np.arange(60_000.0).reshape(300, 200),
            np.arange(60_000.0).reshape(300, 200)[:, ::2],
            np.zeros((0, 5)),
        ],
        ids=lambda value: f"{type(value).__name__}-{memoryview(value).nbytes}",
    )
    def test_any_buffer_comes_back_as_its_bytes(self, cache, value):
        cache.put("key", value)
        assert cache.get("key") == memoryview(value).tobytes()

    @pytest.mark.parametrize("key", ["", "a b", "ünï/çødé", "*", "\udc80", "x\r\ny", "lease:key"])
    def test_any_text_is_a_key(self, cache, key):
        cache.put("other", b"other")
        assert cache.get(key) is None
        cache.put(key, b"value")
        assert cache.get(key) == b"value"
        cache.put(key, b"again")
        assert cache.get_many(["other", key]) == [b"other", b"again"]
        cache.delete(key)
        cache.delete(key)
        assert cache.get_many(["other", key]) == [b"other", None]

    def test_many_keys_are_looked_up_in_one_round_trip(self, cache, redis_server):
        for number in range(20):
            cache.put(f"key {number}", b"%d" % number)
        redis_server.client.config_resetstat()
        found = cache.get_many([f"key {number}" for number in range(25)])
        assert found == [b"%d" % number for number in range(20)] + [None] * 5
        assert cache.get_many([]) == []
        assert {name: calls for name, calls in commands(redis_server).items() if "get" in name} == {"mget": 1}

    def test_values_larger_than_allowed_are_not_sent_and_replace_what_was_there(self, redis_server):
        cache = RedisCache(redis_server.url, max_value_size=10)
        assert cache.max_size == 10
        cache.put("key", bytes(10))
        assert cache.get("key") == bytes(10)
        redis_server.client.config_resetstat()
        cache.put("key", bytes(11))
        assert "set" not in commands(redis_server)
        assert cache.get("key") is None

    @pytest.mark.parametrize("ttl", [60, 60.0, timedelta(minutes=1)])
    def test_values_last_as_long_as_told(self, redis_server, ttl):
        RedisCache(redis_server.url, ttl=ttl).put("key", b"value")
        [name] = redis_server.client.keys()
        assert 0 < redis_server.client.pttl(name) <= 60_000
        RedisCache(redis_server.url).put("key", b"value")
        assert redis_server.client.pttl(name) == -1

    def test_an_ended_value_is_not_there(self, redis_server):
        cache = RedisCache(redis_server.url, ttl=0.001)
        cache.put("key", b"value")
        wait_until(lambda: cache.get("key") is None)

    def test_what_is_no_value_is_not_there_and_is_replaced(self, cache, redis_server):
        cache.put("key", b"value")
        [name] = redis_server.client.keys()
        redis_server.client.delete(name)
        redis_server.client.rpush(name, "a list")
        assert cache.get("key") is None
        cache.put("key", b"value")
        assert cache.get("key") == b"value"

    def test_threads_get_what_belongs_to_their_keys(self, cache):
        def work(thread: int) -> None:
            for number in range(50):
                key = f"{thread}-{number}"
                cache.put(key, key.encode() * 5000)
                assert cache.get(key) == key.encode() * 5000

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(work, range(16)))

    def test_more_threads_ask_at_once_than_redis_py_s_pools_allow(self, redis_server):
        cache = RedisCache(redis_server.url, timeout=30)
        cache.put("key", b"value")
        begin = threading.Barrier(130)

        def work(_: int) -> bytes | None:
            begin.wait()
            return cache.get("key")

        with ThreadPoolExecutor(130) as pool, ExitStack() as stack:
            stack.enter_context(redis_server.stopped())
            threading.Timer(0.5, stack.close).start()
            assert set(pool.map(work, range(130))) == {b"value"}

    def test_a_socket_of_this_machine_is_as_good(self, start_redis):
        with tempfile.TemporaryDirectory() as folder:
            start_redis(unixsocket=f"{folder}/redis.sock")
            cache = RedisCache(f"unix://{folder}/redis.sock")
            cache.put("key", b"value")
            assert cache.get("key") == b"value"

    def test_a_full_server_evicts_what_was_not_used_for_longest(self, start_redis):
        cache = RedisCache(start_redis(maxmemory="10mb", maxmemory_policy="allkeys-lru").url)
        for number in range(30):
            cache.put(str(number), bytes(1 << 20))
        assert cache.get("0") is None
        assert cache.get("29") == bytes(1 << 20)


class TestClear:
    def test_it_removes_what_begins_with_the_prefix_and_nothing_else(self, redis_server):
        server = redis_server.client
        cache = RedisCache(redis_server.url, prefix=r"a*?[x-z]^\:")
        others = {b"ab?[x-z]^\\:key", b"a*?x^\\:key", b"abcx^:key", b"key"}
        for name in others:
            server.set(name, b"")
        with server.pipeline() as pipeline:
            for number in range(2500):
                pipeline.set(cache._name(str(number)), b"")
            pipeline.execute()
        assert cache.lease("key") is not None
        cache.clear()
        assert set(server.keys()) == others


class TestLeases:
    def test_one_at_a_time_has_it(self, cache, redis_server):
        other = RedisCache(redis_server.url)
        lease = cache.lease("key")
        assert lease is not None
        assert (cache.lease("key"), other.lease("key")) == (None, None)
        assert other.lease("another") is not None
        assert cache.get("key") is None
        lease.release()
        assert other.lease("key") is not None

    def test_it_ends_by_itself(self, cache, redis_server, monkeypatch):
        assert cache.lease("key") is not None
        [name] = redis_server.client.keys()
        assert 0 < redis_server.client.pttl(name) <= 30_000
        monkeypatch.setattr(_redis, "_LEASE_MS", 1)
        assert cache.lease("short") is not None
        wait_until(lambda: cache.lease("short") is not None)

    def test_giving_it_back_after_it_ended_takes_it_from_nobody(self, cache, redis_server):
        ended = cache.lease("key")
        redis_server.client.flushall()
        lease = cache.lease("key")
        ended.release()
        assert cache.lease("key") is None
        lease.release()
        assert cache.lease("key") is not None

    def test_no_value_s_key_is_a_lease(self, cache, redis_server):
        assert cache.lease("key") is not None
        [name] = redis_server.client.keys()
        tail = name.decode().removeprefix("obspec-utils:")
        assert all(cache.get(key) is None for key in (tail, "key", "lease:key"))


class TestPause:
    def test_all_of_redis_py_runs_inside_the_pause(self, cache, monkeypatch):
        seen: list[tuple[bool, bool]] = []
        connection, release = redis.ConnectionPool.get_connection, redis.ConnectionPool.release

        def looking(method: Callable[..., Any]) -> Callable[..., Any]:
            def looks(*args: Any, **options: Any) -> Any:
                seen.append((gc.isenabled(), gc_pause.is_paused()))
                return method(*args, **options)

            return looks

        monkeypatch.setattr(redis.ConnectionPool, "get_connection", looking(connection))
        monkeypatch.setattr(redis.ConnectionPool, "release", looking(release))
        every_method(cache)
        assert len(seen) >= 2 * 10
        assert set(seen) == {(False, True)}
