"""What of the values in Redis is damaged, somebody else's, or no reply at all, is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils.caches import MemoryCache
from obspec_utils.caches._redis import RedisCache
from obspec_utils.caches._value_codec import HEADER_SIZE, digest, encode
from tests.unit._redis import Pretender, array, bulk, every_method, in_trouble, let_try_again, made
from tests.unit._tiers import CONTENT, Over

if TYPE_CHECKING:
    from tests.servers.redis_server import RedisServer

VALUE = bytes(range(256)) * 300


@pytest.fixture(params=["url", "client"])
def cache(request: pytest.FixtureRequest, redis_server: RedisServer) -> RedisCache:
    return made(request.param, redis_server)


def name_of(cache: RedisCache, key: str) -> bytes:
    return cache._name(key)


class TestDamage:
    def test_a_flipped_bit_anywhere_is_found(self, cache, redis_server):
        name = name_of(cache, "key")
        for place in (0, 8, HEADER_SIZE - 12, HEADER_SIZE - 1, HEADER_SIZE, HEADER_SIZE + 1000, -1):
            cache.put("key", VALUE)
            whole = redis_server.client.get(name)
            flipped = bytes([whole[place] ^ 1])
            redis_server.client.setrange(name, place % len(whole), flipped)
            cache.put("other", b"other")
            assert cache.get_many(["other", "key", "other"]) == [b"other", None, b"other"]
            assert cache.get("key") is None
        cache.put("key", VALUE)
        assert cache.get("key") == VALUE

    @pytest.mark.parametrize("change", [lambda it: it[:-1], lambda it: it + b"x", lambda it: it[:40], lambda _: b""])
    def test_what_was_cut_or_added_is_found(self, cache, redis_server, change):
        cache.put("key", VALUE)
        name = name_of(cache, "key")
        redis_server.client.set(name, change(redis_server.client.get(name)))
        assert cache.get("key") is None

    def test_the_value_of_another_key_is_found(self, cache, redis_server):
        cache.put_many({"key": VALUE, "other": VALUE})
        redis_server.client.rename(name_of(cache, "other"), name_of(cache, "key"))
        assert cache.get_many(["key", "other"]) == [None, None]

    def test_the_header_does_not_count_for_the_size_of_a_value(self, redis_server):
        cache = RedisCache(redis_server.url, max_value_size=len(VALUE))
        cache.put("key", VALUE)
        assert redis_server.client.get(name_of(cache, "key")) == encode(digest("key"), VALUE)
        assert cache.get("key") == VALUE

    def test_values_of_releases_without_a_header_are_neither_read_nor_replaced(self, cache, redis_server):
        redis_server.client.set("obspec-utils:value:key", b"old")
        assert cache.get("key") is None
        cache.put("key", b"new")
        assert redis_server.client.get("obspec-utils:value:key") == b"old"
        cache.clear()
        assert redis_server.client.dbsize() == 0

    def test_reads_are_right_and_repair_it(self, redis_server):
        over = Over()
        over.store(RedisCache(redis_server.url)).get_range("object", start=0, end=1000)
        over.asked()
        for name in redis_server.client.scan_iter():
            redis_server.client.setrange(name, HEADER_SIZE + 3, b"\x01")
        for asked in (2, 0):
            store = over.store(MemoryCache(), RedisCache(redis_server.url))
            assert bytes(store.get_range("object", start=0, end=1000)) == CONTENT[:1000]
            assert (over.asked() > 0) is (asked > 0)


ODD = {
    "number": b":5\r\n",
    "status": b"+OK\r\n",
    "value": bulk(b"value"),
    "nothing": b"$-1\r\n",
    "no list": b"*-1\r\n",
    "empty": array(),
    "error": b"-ERR no\r\n",
    "moved": b"-MOVED 1 127.0.0.1:1\r\n",
    "too many": array(*[bulk(b"value")] * 3),
    "numbers": array(b":0\r\n", b":9\r\n"),
    "lists": array(array(bulk(b"a")), array(bulk(b"a"))),
    "errors": array(b"-ERR no\r\n", b"-ERR no\r\n"),
    "value and error": array(bulk(b"a"), b"-ERR no\r\n"),
    "huge number": b":" + b"9" * 5000 + b"\r\n",
    "no number": b":x\r\n",
    "negative length": b"$-7\r\n",
    "length that is none": b"$x\r\n",
    "negative count": b"*-7\r\n",
    "no protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "blank": b"\r\n",
    "nested": b"*1\r\n" * 5000 + b":1\r\n",
    "the cursor 5 again and again": array(bulk(b"5"), array()),
    "a cursor that is none": array(bulk(b"x"), array()),
    "names that are none": array(bulk(b"0"), array(b":1\r\n")),
}


@pytest.mark.filterwarnings("ignore:.*can't be used:RuntimeWarning")
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_no_odd_reply_is_an_error_or_a_value(odd: bytes) -> None:
    with Pretender(lambda _: odd) as server:
        for method in (
            lambda cache: cache.get("key"),
            lambda cache: cache.get_many(["key", "other"]) == [None, None] and None,
            lambda cache: cache.put_many({"key": b"value", "other": b"value"}),
            lambda cache: cache.delete("key"),
            lambda cache: cache.clear(),
            lambda cache: cache.lease("key").release(),
            every_method,
        ):
            assert method(RedisCache(server.url, timeout=0.1)) is None
        over = Over()
        store = over.store(MemoryCache(), RedisCache(server.url, timeout=0.1))
        assert bytes(store.get_range("object", start=0, end=1000)) == CONTENT[:1000]


@pytest.mark.parametrize(
    "odd", ["number", "nothing", "too many", "numbers", "errors", "value and error", "nested", "blank", "no number"]
)
def test_a_reply_that_makes_no_sense_is_warned_of_and_ends_the_connection(odd: str) -> None:
    right = encode(digest("key"), b"value")
    replies = [ODD[odd], array(bulk(right), b"$-1\r\n")]
    with Pretender(lambda _: replies.pop(0)) as server:
        cache = RedisCache(server.url, timeout=5)
        with in_trouble():
            assert cache.get_many(["key", "other"]) == [None, None]
        assert cache.get_many(["key", "other"]) == [None, None]  # left alone for a while
        let_try_again(cache)
        assert cache.get_many(["key", "other"]) == [b"value", None]
        assert [len(commands) for commands in server.connections] == [1, 1]


def test_what_was_not_removed_for_certain_is_not_served() -> None:
    def answer(words: list[bytes]) -> bytes:
        if words[0] == b"MGET":
            return array(bulk(encode(digest("key"), b"old")))
        return bulk(b"what?")

    with Pretender(answer) as server:
        cache = RedisCache(server.url)
        assert cache.get("key") == b"old"
        with in_trouble("InvalidResponse.*SET got an invalid reply of type bytes"):
            cache.put("key", b"new")
        for _ in range(2):
            let_try_again(cache)
            assert cache.get("key") is None


class TestLeases:
    """A key in the place of a lease that can't be one keeps nobody waiting."""

    @pytest.mark.parametrize(
        "put",
        [
            lambda client, name: client.rpush(name, "a"),
            lambda client, name: client.hset(name, "a", "b"),
            lambda client, name: client.sadd(name, "a"),
            lambda client, name: client.zadd(name, {"a": 1}),
            lambda client, name: client.xadd(name, {"a": "b"}),
            lambda client, name: client.rpush(name, "a") and client.expire(name, 20),
            lambda client, name: client.set(name, "token"),
            lambda client, name: client.set(name, "token", px=30_500_000),
        ],
        ids=["list", "hash", "set", "sorted", "stream", "list that ends", "without end", "with a later end"],
    )
    def test_it_is_replaced(self, cache, redis_server, put):
        name = cache._name("key", "lease:")
        put(redis_server.client, name)
        taken, lease = cache.lease_many(["other", "key"])
        assert taken == ["other", "key"]
        assert redis_server.client.get(name) == lease.token.encode()
        assert 0 < redis_server.client.pttl(name) <= 30_000
        assert cache.lease("key") is None
        lease.release()
        assert redis_server.client.dbsize() == 0

    def test_one_that_may_be_a_lease_is_respected(self, cache, redis_server):
        name = cache._name("key", "lease:")
        redis_server.client.set(name, "token", px=29_000)
        assert cache.lease("key") is None
        assert redis_server.client.get(name) == b"token"

    def test_what_became_something_else_meanwhile_is_let_be(self, cache, redis_server):
        taken, lease = cache.lease_many(["a", "b"])
        redis_server.client.delete(cache._name("a", "lease:"))
        redis_server.client.rpush(cache._name("a", "lease:"), "x")
        lease.release()
        assert taken == ["a", "b"]
        assert redis_server.client.keys() == [cache._name("a", "lease:")]

    def test_a_read_does_not_wait(self, redis_server):
        over: Any = Over()
        over.store(RedisCache(redis_server.url)).get_range("object", start=0, end=1000)
        names = redis_server.client.keys()
        redis_server.client.flushall()
        for name in names:
            redis_server.client.rpush(name.replace(b":checked:", b":lease:"), "x")
        store = over.store(RedisCache(redis_server.url))
        assert bytes(store.get_range("object", start=0, end=1000)) == CONTENT[:1000]
        assert redis_server.client.keys("*:lease:*") == []
