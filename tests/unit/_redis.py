"""What the tests of RedisCache have in common."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

import pytest
import redis

from obspec_utils.caches._redis import RedisCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.servers.redis_server import RedisServer

__all__ = [
    "SECRET",
    "Pretender",
    "array",
    "bulk",
    "counted_attempts",
    "every_method",
    "in_trouble",
    "let_try_again",
    "made",
]

SECRET = "pa55word"


def made(way: str, server: RedisServer) -> RedisCache:
    """Return a cache made from a URL or a client."""
    return RedisCache(server.url if way == "url" else redis.Redis(port=server.port))


def let_try_again(cache: RedisCache) -> None:
    """Do what 10 s would."""
    cache._breaker._open_until = cache._write_breaker._open_until = 0.0


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


class Pretender:
    """What speaks Redis's protocol on a loopback port, and answers commands as told; a context manager.

    Parameters
    ----------
    answer
        Returns, to the words of a command, what is sent for it: bytes, or several that are sent one after the other.
    """

    def __init__(self, answer: Callable[[list[bytes]], bytes | Iterable[bytes]]) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        # The commands that arrived on each connection.
        self.connections: list[list[list[bytes]]] = []
        self._sockets = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for its in self._sockets:
            with suppress(OSError):  # closed by the other side
                its.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._sockets.append(connection)
                self._threads.append(threading.Thread(target=self._serve, args=[connection]))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        commands: list[list[bytes]] = []
        self.connections.append(commands)
        with connection, connection.makefile("rb") as stream, suppress(OSError):
            while line := stream.readline():
                words = []
                for _ in range(int(line[1:])):
                    words.append(stream.read(int(stream.readline()[1:])))
                    stream.read(2)
                if words[0] == b"CLIENT":  # what redis-py tells of itself
                    connection.sendall(b"+OK\r\n")
                    continue
                commands.append(words)
                answer = self._answer(words)
                for part in [answer] if isinstance(answer, bytes) else answer:
                    connection.sendall(part)


def bulk(value: bytes) -> bytes:
    """A value as the protocol has it."""
    return b"$%d\r\n%s\r\n" % (len(value), value)


def array(*replies: bytes) -> bytes:
    """Several replies as one."""
    return b"*%d\r\n%s" % (len(replies), b"".join(replies))
