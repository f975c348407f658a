"""What becomes of the cache in Redis while the server is away, slow, full or unwilling, and afterwards."""

from __future__ import annotations

import gc
import threading
import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import redis

from obspec_utils._io import gc_pause
from obspec_utils.caches import _redis
from obspec_utils.caches._redis import RedisCache
from tests.servers.fixtures import wait_until
from tests.unit._redis import SECRET, counted_attempts, every_method, in_trouble, let_try_again, made

if TYPE_CHECKING:
    from tests.servers.redis_server import RedisServer


@pytest.fixture(params=["url", "client"])
def cache(request: pytest.FixtureRequest, redis_server: RedisServer) -> RedisCache:
    return made(request.param, redis_server)


@pytest.fixture
def impatient(redis_server: RedisServer) -> RedisCache:
    """A cache that does not wait for long."""
    return RedisCache(redis_server.url, timeout=0.1)


class TestTrouble:
    def test_an_absent_server_is_warned_of_once_and_left_alone_for_a_while(self, start_redis, monkeypatch):
        server = start_redis()
        cache = RedisCache(server.url)
        cache.put("key", b"value")
        server.kill()
        with in_trouble("ConnectionError"):
            assert cache.get("key") is None
        with counted_attempts(monkeypatch) as attempts:
            every_method(cache)
            assert attempts == []
            assert cache.get_many(["a", "b"]) == [None, None]
            let_try_again(cache)
            assert cache.get("key") is None  # and no further warning
            assert len(attempts) == 1
        start_redis(port=server.port)
        let_try_again(cache)
        cache.put("key", b"again")
        assert cache.get("key") == b"again"

    @pytest.mark.parametrize(
        "method",
        [
            lambda cache: cache.get("key"),
            lambda cache: cache.put("key", b"value"),
            lambda cache: cache.delete("key"),
            lambda cache: cache.clear(),
            lambda cache: cache.lease("key").release(),
            lambda cache: cache.put_many({"key": b"value", "other": b"value"}),
        ],
        ids=["get", "put", "delete", "clear", "lease", "put_many"],
    )
    def test_a_server_that_does_not_answer_is_given_up(self, impatient, redis_server, method):
        with redis_server.stopped(), in_trouble("TimeoutError"):
            assert method(impatient) is None

    def test_nothing_is_tried_again_at_once(self, start_redis, monkeypatch):
        tried: list[object] = []
        connect = redis.Connection._connect

        def counting(connection: redis.Connection) -> Any:
            tried.append(connection)
            return connect(connection)

        server = start_redis()
        server.kill()
        monkeypatch.setattr(redis.Connection, "_connect", counting)
        with in_trouble():
            RedisCache(server.url).get("key")
        assert len(tried) == 1

    def test_both_timeouts_are_set_and_the_url_may_tell_others(self):
        def timeouts(cache: RedisCache) -> tuple[float, float]:
            options = cache._server._pool.connection_kwargs
            return options["socket_timeout"], options["socket_connect_timeout"]

        assert timeouts(RedisCache("redis://localhost")) == (1.0, 1.0)
        assert timeouts(RedisCache("rediss://localhost", timeout=2)) == (2, 2)
        assert timeouts(RedisCache("redis://localhost?socket_timeout=3")) == (3, 1.0)

    def test_a_late_answer_is_nobody_s(self, impatient, redis_server):
        impatient.put("a", b"value of a")
        impatient.put("b", b"value of b")
        with redis_server.stopped(), in_trouble():
            assert impatient.get("a") is None
        let_try_again(impatient)
        assert impatient.get("b") == b"value of b"

    def test_an_answer_that_was_interrupted_is_nobody_s(self, cache, redis_server, monkeypatch):
        cache.put("a", b"value of a")
        cache.put("b", b"value of b")
        with ExitStack() as stack:
            stack.enter_context(redis_server.stopped())
            with monkeypatch.context() as patched:
                patched.setattr(redis.Connection, "read_response", interrupt)
                with pytest.raises(KeyboardInterrupt):
                    cache.get("a")
            # The second question is to be sent before the first answer comes.
            threading.Timer(0.5, stack.close).start()
            assert cache.get("b") == b"value of b"

    def test_idle_connections_survive_a_restart(self, start_redis):
        server = start_redis()
        cache = RedisCache(server.url)
        cache.put("key", b"value")
        server.kill()
        wait_until(lambda: not accepts(server))
        start_redis(port=server.port)
        cache.put("key", b"again")
        assert cache.get("key") == b"again"

    def test_a_full_server_takes_nothing_but_is_read_from(self, start_redis, monkeypatch):
        cache = RedisCache(start_redis(maxmemory="10mb", maxmemory_policy="noeviction").url)
        cache.put("small", b"value")
        cache.put("replaced", b"old")
        with in_trouble("OutOfMemoryError|OOM"):
            for number in range(10):
                cache.put(str(number), bytes(4 << 20))
            cache.put("replaced", b"new")
        assert cache.get("small") == b"value"
        assert cache.get("replaced") is None
        with counted_attempts(monkeypatch) as attempts:
            assert cache.lease("key") is not None
        assert attempts == []

    def test_a_replica_that_takes_nothing(self, start_redis):
        server = start_redis()
        cache = RedisCache(server.url)
        cache.put("key", b"old")
        server.client.replicaof("127.0.0.1", 1)
        with in_trouble("ReadOnlyError"):
            cache.put("key", b"new")
        with in_trouble("ReadOnlyError"):
            assert cache.get("key") is None
        server.client.replicaof("NO", "ONE")
        let_try_again(cache)
        assert cache.get("key") is None
        cache.put("key", b"new")
        assert cache.get("key") == b"new"

    def test_a_replica_that_refuses_leases_is_read_from(self, start_redis):
        server = start_redis()
        cache = RedisCache(server.url)
        cache.put("key", b"value")
        server.client.replicaof("127.0.0.1", 1)
        with in_trouble("ReadOnlyError"):
            assert cache.lease("key") is not None
        assert cache.get("key") == b"value"

    @pytest.mark.parametrize("password", ["", ":wr0ng@", f"nobody:{SECRET}@"])
    def test_a_server_that_wants_another_password(self, start_redis, password):
        server = start_redis(password=SECRET)
        url = server.url.replace("//", f"//{password}")
        with in_trouble("Authentication") as warned:
            every_method(RedisCache(url))
        assert SECRET not in str(warned[0].message)
        assert "wr0ng" not in str(warned[0].message)
        cache = RedisCache(server.url.replace("//", f"//:{SECRET}@"))
        cache.put("key", b"value")
        assert cache.get("key") == b"value"

    def test_a_warning_that_is_an_error_leaves_nothing_behind(self, start_redis):
        server = start_redis()
        cache = RedisCache(server.url)
        server.kill()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(RuntimeWarning):
                cache.get("key")
        assert not gc_pause.is_paused()
        assert gc.isenabled()
        assert cache.get("key") is None


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def accepts(server: RedisServer) -> bool:
    try:
        return bool(server.client.ping())
    except redis.ConnectionError:
        return False


class TestStale:
    """What was deleted or replaced while the server was away is not served afterwards."""

    @pytest.fixture
    def away(self, impatient, redis_server) -> RedisCache:
        impatient.put("key", b"old")
        impatient.put("other", b"other")
        with redis_server.stopped(), in_trouble():
            impatient.get("key")
        return impatient

    @pytest.mark.parametrize("change", ["delete", "put", "too-large", "clear"])
    def test_it_is_forgotten_when_the_server_is_back(self, away, redis_server, change):
        if change == "put":
            away.put("key", b"new")
        elif change == "too-large":
            away.put("key", bytes(away.max_size + 1))
        elif change == "delete":
            away.delete("key")
        else:
            away.clear()
        assert redis_server.client.dbsize() == 2
        let_try_again(away)
        assert away.get_many(["key", "other"]) == [None, None if change == "clear" else b"other"]
        assert redis_server.client.dbsize() == (0 if change == "clear" else 1)
        away.put("key", b"newer")
        assert away.get("key") == b"newer"

    def test_more_than_can_be_remembered_is_everything(self, away, redis_server, monkeypatch):
        monkeypatch.setattr(_redis, "_MAX_STALE", 10)
        for number in range(11):
            away.delete(str(number))
        assert len(away._stale) <= 10
        let_try_again(away)
        assert away.get("other") is None
        assert redis_server.client.dbsize() == 0

    def test_an_interrupted_clear_goes_on(self, redis_server, impatient, monkeypatch):
        impatient.put("key", b"old")
        with monkeypatch.context() as patched, in_trouble():
            patched.setattr(impatient._server, "remove", refuse)
            impatient.clear()
        let_try_again(impatient)
        assert impatient.get("key") is None
        assert redis_server.client.dbsize() == 0


def refuse(*_: object) -> None:
    msg = "gone in the middle"
    raise redis.ConnectionError(msg)
