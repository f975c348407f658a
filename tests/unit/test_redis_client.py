"""What a cache in Redis is made from, and what arrives of it in other processes."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import redis
from redis.asyncio import Redis as AsyncRedis

from obspec_utils.caches._redis import RedisCache
from tests.unit._redis import SECRET, counted_attempts, made

if TYPE_CHECKING:
    from tests.servers.redis_server import RedisServer


@pytest.fixture(params=["url", "client"])
def cache(request: pytest.FixtureRequest, redis_server: RedisServer) -> RedisCache:
    return made(request.param, redis_server)


class TestElsewhere:
    """Other processes, and other threads of this one."""

    def test_it_is_pickled_by_its_url(self, redis_server):
        options = {"prefix": "p:", "ttl": timedelta(seconds=60), "max_value_size": 100, "timeout": 2.0}
        given = RedisCache(redis_server.url, **options)
        given.put("key", b"value")
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            arrived = pickle.loads(pickle.dumps(given, protocol))
            assert (repr(arrived), arrived.max_size) == (repr(given), 100)
            assert arrived.get("key") == b"value"

    def test_a_client_s_own_pool_and_password_are_used(self, start_redis):
        server = start_redis(password=SECRET)
        pool = redis.BlockingConnectionPool(port=server.port, password=SECRET, max_connections=7)
        cache = RedisCache(redis.Redis(connection_pool=pool))
        cache.put("key", b"value")
        assert cache.get("key") == b"value"
        assert cache._server._pool is pool

    def test_with_a_client_it_is_not_pickled(self):
        client = redis.Redis(password=SECRET)
        with pytest.raises(TypeError, match="can't be pickled: make it from a URL such as 'redis:"):
            pickle.dumps(RedisCache(client))

    def test_it_arrives_without_connecting(self, monkeypatch):
        with counted_attempts(monkeypatch) as attempts:
            pickle.loads(pickle.dumps(RedisCache("redis://127.0.0.1:1")))
        assert attempts == []

    def test_another_process_reads_it(self, redis_server):
        cache = RedisCache(redis_server.url)
        cache.put("key", b"value")
        program = "import pickle, sys; print(pickle.load(sys.stdin.buffer).get('key'))"
        done = subprocess.run(
            [sys.executable, "-c", program], input=pickle.dumps(cache), check=True, capture_output=True
        )
        assert done.stdout.strip() == b"b'value'"

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")
    def test_a_forked_child_and_its_parent_do_not_share_connections(self, redis_server):
        done = subprocess.run(
            [sys.executable, "-c", FORK, redis_server.url], check=True, capture_output=True, text=True
        )
        assert done.stdout.split() == ["parent", "fine", "child", "0"]


FORK = """
import os, sys
from obspec_utils.caches._redis import RedisCache
cache = RedisCache(sys.argv[1], timeout=30)
def work(name):
    for number in range(300):
        cache.put(f"{name}{number}", name.encode() * 100)
        assert cache.get(f"{name}{number}") == name.encode() * 100
work("before")
child = os.fork()
if not child:
    work("child")
    os._exit(0)
work("parent")
status = os.waitpid(child, 0)[1]
print("parent fine child", status)
"""


class TestConstruction:
    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            (f"redis://user:{SECRET}@host:1/2", "redis://host:1/2"),
            (f"rediss://:{SECRET}@host?db=3", "rediss://host:6379/3"),
            (f"redis://host?username=user&password={SECRET}", "redis://host:6379/0"),
            (f"unix:///run/redis.sock?password={SECRET}&db=4", "unix:///run/redis.sock?db=4"),
        ],
    )
    def test_its_repr_tells_where_it_is_and_no_credentials(self, url, shown):
        rest = ", prefix='p:', ttl=5, max_value_size=6, timeout=7)"
        for given in (url, redis.Redis.from_url(url)):
            cache = RedisCache(given, prefix="p:", ttl=5, max_value_size=6, timeout=7)
            assert repr(cache) == f"RedisCache({shown!r}{rest}"
            assert cache._breaker.name == repr(cache)

    @pytest.mark.parametrize(
        "url",
        [
            f"http://:{SECRET}@host",
            f":{SECRET}@host:6379",
            f"redis://:{SECRET}@host:port",
            f"redis://:{SECRET}/more@host",
            "redis://:55/pa55word@host",
            f"redis://:55?{SECRET}@host",
            f"redis://host?passwort={SECRET}",
            f"redis://host?db={SECRET}",
            f"rediss://host?ssl_cert_reqs={SECRET}",
        ],
    )
    def test_unusable_urls_are_refused_and_not_shown(self, url):
        with pytest.raises(ValueError, match="client must be a URL such as") as refused:
            RedisCache(url)
        assert "55" not in str(refused.value)
        assert refused.value.__cause__ is None
        assert refused.value.__context__ is None

    @pytest.mark.parametrize("client", [None, b"redis://localhost", 5, object()])
    def test_other_clients_are_refused(self, client):
        with pytest.raises(TypeError, match=r"'redis://localhost:6379/0', or a redis\.Redis, got a builtins\."):
            RedisCache(client)

    def test_an_async_client_is_refused(self):
        with pytest.raises(TypeError, match=r"got a redis\.asyncio\.client\.Redis"):
            RedisCache(AsyncRedis())

    def test_a_client_that_decodes_is_refused(self):
        for client in (redis.Redis(decode_responses=True), "redis://localhost?decode_responses=True"):
            with pytest.raises(ValueError, match="without decode_responses=True"):
                RedisCache(client)

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"prefix": ""}, "prefix must not be empty"),
            ({"ttl": 0}, "ttl must be a positive number of seconds, got 0"),
            ({"ttl": timedelta(seconds=-1)}, "ttl must be a positive number"),
            ({"ttl": float("nan")}, "got nan"),
            ({"timeout": 0}, "timeout must be a positive number"),
            ({"timeout": float("inf")}, "got inf"),
            ({"max_value_size": 0}, "max_value_size must be positive, got 0"),
        ],
    )
    def test_unusable_options_are_refused(self, options, told):
        with pytest.raises(ValueError, match=told):
            RedisCache("redis://localhost", **options)

    def test_without_redis_py_it_says_how_to_get_it(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "obspec_utils.caches._redis_client", raising=False)
        monkeypatch.setitem(sys.modules, "redis", None)
        with pytest.raises(ImportError, match=r"pip install 'obspec-utils\[redis\]'"):
            RedisCache("redis://localhost")

    def test_it_is_not_imported_before_it_is_needed(self):
        program = "import sys, obspec_utils.caches._redis; print('redis' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        assert done.stdout.strip() == "False"


def test_prefix_and_ttl_may_be_given_by_place() -> None:
    assert repr(RedisCache("redis://localhost", "mine:", 60)) == repr(
        RedisCache("redis://localhost", prefix="mine:", ttl=60)
    )
