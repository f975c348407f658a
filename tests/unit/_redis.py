"""What the tests of RedisCache have in common."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis

from obspec_utils.caches._redis import RedisCache

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.redis_server import RedisServer

__all__ = ["SECRET", "counted_attempts", "every_method", "in_trouble", "let_try_again", "made"]

SECRET = "pa55word"


def made(way: str, server: RedisServer) -> RedisCache:
    """Return a cache made from a URL or a client."""
    return RedisCache(server.url if way == "url" else redis.Redis(port=server.port))


def let_try_again(cache: RedisCache) -> None:
    """Do what 10 s would."""
    cache._away._until = cache._refusing._until = 0.0


def in_trouble(match: str = "can't be used") -> Any:
    return pytest.warns(RuntimeWarning, match=match)


@contextmanager
def counted_attempts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    attempts: list[str] = []
    connection = redis.ConnectionPool.get_connection

    def counting(pool: redis.ConnectionPool, *args: Any, **options: Any) -> Any:
        attempts.append("attempt")
        return connection(pool, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(redis.ConnectionPool, "get_connection", counting)
        yield attempts


def every_method(cache: RedisCache) -> None:
    cache.get("key")
    cache.get_many(["key", "other"])
    cache.put("key", b"value")
    cache.put_many({"key": b"value", "other": b"value"})
    cache.delete("key")
    lease = cache.lease("key")
    assert lease is not None
    lease.release()
    cache.lease_many(["key", "other"])[1].release()
    cache.clear()
