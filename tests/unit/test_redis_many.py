"""Many keys of the cache in Redis take few round trips, by a real server."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import redis

from obspec_utils.caches import _redis
from obspec_utils.caches._redis import RedisCache
from obspec_utils.wrappers import CachingReadableStore
from tests.contracts._stores import OnlyGet
from tests.unit._redis import counted_attempts, in_trouble, let_try_again, made

if TYPE_CHECKING:
    from tests.servers.redis_server import RedisServer

MIB = 1 << 20


@pytest.fixture(params=["url", "client"])
def cache(request: pytest.FixtureRequest, redis_server: RedisServer) -> RedisCache:
    return made(request.param, redis_server)


def test_values_are_put_by_8_mib_in_a_round_trip(cache: RedisCache, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {f"small {number}": b"%d" % number for number in range(500)}
    large = {f"large {number}": bytes([number]) * 3 * MIB for number in range(5)}
    with counted_attempts(monkeypatch) as attempts:
        cache.put_many(small)
        assert len(attempts) == 1
        cache.put_many(large)
        assert len(attempts) == 1 + 3
        cache.put_many({})
        assert len(attempts) == 1 + 3
    for values in (small, large):
        assert cache.get_many(list(values)) == list(values.values())


def test_what_is_too_large_among_them_replaces_what_was_there(redis_server: RedisServer) -> None:
    cache = RedisCache(redis_server.url, max_value_size=10, ttl=60)
    cache.put_many({"a": b"old", "b": b"old"})
    cache.put_many({"a": bytes(11), "b": b"new", "c": bytes(10)})
    assert cache.get_many(["a", "b", "c"]) == [None, b"new", bytes(10)]
    assert all(0 < redis_server.client.pttl(name) <= 60_000 for name in redis_server.client.scan_iter())


def test_leases_are_taken_and_given_back_by_1000_in_a_round_trip(
    cache: RedisCache, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [str(number) for number in range(1500)]
    other = RedisCache(redis_server.url)
    theirs, lease = other.lease_many(["3", "7", "3"])
    assert theirs == ["3", "7"]
    with counted_attempts(monkeypatch) as attempts:
        taken, mine = cache.lease_many(keys)
        assert len(attempts) == 2
        assert taken == [key for key in keys if key not in theirs]
        assert other.lease("5") is None
        attempts.clear()
        mine.release()
        assert len(attempts) == 2
        mine.release()
        assert len(attempts) == 2
    assert redis_server.client.dbsize() == 2
    lease.release()
    assert redis_server.client.dbsize() == 0


def test_a_lease_of_several_ends_by_itself_and_is_then_given_back_to_nobody(
    cache: RedisCache, redis_server: RedisServer
) -> None:
    taken, ended = cache.lease_many(["a", "b"])
    assert taken == ["a", "b"]
    assert {0 < redis_server.client.pttl(name) <= 30_000 for name in redis_server.client.scan_iter()} == {True}
    redis_server.client.flushall()
    assert cache.lease("b") is not None
    ended.release()
    assert cache.lease_many(["a", "b"])[0] == ["a"]


def test_while_the_server_is_away_everybody_has_the_leases_and_no_value_is_old(
    redis_server: RedisServer,
) -> None:
    cache = RedisCache(redis_server.url, timeout=1)
    cache.put_many({"a": b"old", "b": b"old"})
    with redis_server.stopped(), in_trouble("TimeoutError"):
        taken, lease = cache.lease_many(["a", "b"])
        assert taken == ["a", "b"]
        lease.release()
        cache.put_many({"a": b"new", "c": b"new"})
    let_try_again(cache)
    assert cache.get_many(["a", "b", "c"]) == [None, b"old", None]


def test_a_full_server_takes_some_of_them(start_redis: Any) -> None:
    cache = RedisCache(start_redis(maxmemory="10mb", maxmemory_policy="noeviction").url)
    cache.put_many({"0": b"old", "39": b"old", "other": b"other"})
    values = {str(number): bytes(MIB // 2) for number in range(40)}
    with in_trouble("OutOfMemoryError|OOM"):
        cache.put_many(values)
    found = cache.get_many(list(values))
    assert found[0] == values["0"]
    assert found[-1] is None
    assert set(found) == {values["0"], None}
    assert cache.get("other") == b"other"


def test_answers_that_were_interrupted_are_nobody_s(
    cache: RedisCache, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    cache.put("a", b"value of a")
    with ExitStack() as stack:
        stack.enter_context(redis_server.stopped())
        with monkeypatch.context() as patched:
            patched.setattr(redis.Connection, "read_response", interrupt)
            with pytest.raises(KeyboardInterrupt):
                cache.put_many({"b": b"value of b", "c": b"value of c"})
        threading.Timer(0.5, stack.close).start()
        assert cache.get("a") == b"value of a"


def test_any_number_of_blocks_takes_the_same_round_trips(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytes(range(256)) * 64

    def store() -> CachingReadableStore[Any]:
        below: Any = OnlyGet({"object": content})
        return CachingReadableStore(below, cache=RedisCache(redis_server.url), namespace="here", block_size=64)

    counts = []
    for blocks in (1, 200):
        redis_server.client.flushall()
        with counted_attempts(monkeypatch) as attempts:
            assert bytes(store().get_range("object", start=0, end=64 * blocks)) == content[: 64 * blocks]
            cold = len(attempts)
            attempts.clear()
            assert bytes(store().get_range("object", start=0, end=64 * blocks)) == content[: 64 * blocks]
            counts.append((cold, len(attempts)))
    # Cold: the version looked for, leased, looked for again; the blocks looked for, leased, looked for again, put,
    # given back; the version told, given back. Warm: the version and the blocks.
    assert counts == [(10, 2), (10, 2)]


def test_names_are_sent_by_batches(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_redis, "_BATCH", 2)
    cache = RedisCache(redis_server.url)
    with counted_attempts(monkeypatch) as attempts:
        taken, lease = cache.lease_many(["a", "b", "c"])
        assert (taken, len(attempts)) == (["a", "b", "c"], 2)
        lease.release()
        assert len(attempts) == 4
