"""Commands to a Redis server, each with a deadline. Imported only when needed, because redis-py is an extra.

A socket's own timeout starts again with each byte, so the sockets are wrapped.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from obspec_utils._io.gc_pause import paused

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping

    from typing_extensions import Buffer

__all__ = ["Server"]

_MIB = 1024 * 1024
# A command may take this many timeouts, connecting, TLS and login included, and one more for each MiB it moves.
_MAX_WAITS = 5
# Bytes sent at a time: few enough for the slowest acceptable link to send within one timeout.
_SEND_SIZE = 256 * 1024
# The largest size of names and protocol overhead in the replies to a command, in bytes.
_MAX_OVERHEAD = 16 * _MIB
# One for each thread: versions of redis-py differ in their default.
_MAX_CONNECTIONS = 2**31
# Before 5.3 a pool requires the name of a command, which it does not use; later versions warn of it.
_COMMAND_NAME = ("MGET",) if redis.VERSION < (5, 3) else ()
# Names per SCAN: few enough not to delay other clients of the server.
_SCAN_COUNT = 1000
# A lease is a string that expires in time. Anything else would block all callers, so it is replaced.
_ACQUIRE = """
local acquired = {}
for position, key in ipairs(KEYS) do
  local expires = redis.call('pttl', key)
  local held = expires >= 0 and expires <= tonumber(ARGV[2]) and redis.call('type', key).ok == 'string'
  if not held then redis.call('set', key, ARGV[1], 'px', ARGV[2]) end
  acquired[position] = held and 0 or 1
end
return acquired
"""
_RELEASE = """
for _, key in ipairs(KEYS) do
  if redis.pcall('get', key) == ARGV[1] then redis.call('del', key) end
end
return 0
"""


class Server:
    """A Redis server by URL or client. It connects with the first command.

    Each command is sent once. Its connection is closed unless a reply of the right kind was read completely, so no
    reply is ever taken for the reply to another command. A reply of another kind raises `redis.InvalidResponse`.

    Parameters
    ----------
    client
        A URL, or a client whose connection pool is used.
    timeout
        The longest wait in seconds, for a URL only; see `_MAX_WAITS`.
    """

    refusal = redis.ResponseError  # the server's error reply to a command

    def __init__(self, client: str | redis.Redis, timeout: float) -> None:
        if not isinstance(client, str | redis.Redis):
            kind = f"{type(client).__module__}.{type(client).__name__}"
            msg = f"client must be a URL such as 'redis://localhost:6379/0', or a redis.Redis, got a {kind}"
            raise TypeError(msg)
        self.client = client  # closes its pool when it is deleted
        self._pool: Any = _pool(client, timeout) if isinstance(client, str) else client.connection_pool
        if self._pool.get_encoder().decode_responses:
            msg = "client must not decode responses: make it without decode_responses=True"
            raise ValueError(msg)
        # A timeout in the URL takes precedence.
        self._timeout: float = self._pool.connection_kwargs.get("socket_timeout") or timeout

    @property
    def address(self) -> str:
        """The URL without credentials."""
        options = self._pool.connection_kwargs
        db = options.get("db") or 0
        if "path" in options:
            return f"unix://{options['path']}?db={db}"
        scheme = "rediss" if issubclass(self._pool.connection_class, redis.SSLConnection) else "redis"
        return f"{scheme}://{options.get('host', 'localhost')}:{options.get('port', 6379)}/{db}"

    def get_many(self, names: list[bytes], max_size: int) -> list[bytes | None]:
        """Return the value of each name; `max_size` is the largest size of a value."""

        def is_valid(reply: Any) -> bool:  # noqa: ANN401
            return _is_list(reply, len(names)) and all(value is None or isinstance(value, bytes) for value in reply)

        # Also for one name: MGET returns None for a list or a hash, GET an error.
        values: list[bytes | None] = self._call("MGET", *names, is_valid=is_valid, size=len(names) * max_size)
        return values

    def set_many(self, values: Mapping[bytes, bytes], px: int | None) -> list[redis.ResponseError | None]:
        """Set values that expire after `px` milliseconds, in one round trip; return the error of each, or None."""
        expiry = () if px is None else ("PX", px)
        commands = [("SET", name, value, *expiry) for name, value in values.items()]
        replies = paused(self._pipeline, commands, lambda reply: reply == b"OK")
        return [reply if isinstance(reply, redis.ResponseError) else None for reply in replies]

    def remove(self, names: list[bytes]) -> bool:
        """Remove names, present or not; return True."""
        self._call("UNLINK", *names, is_valid=_is_count)
        return True

    def remove_all(self, prefix: str) -> bool:
        """Remove all names that start with a prefix; return True."""
        pattern = "".join(f"\\{letter}" if letter in "*?[]^-\\" else letter for letter in prefix) + "*"
        cursor: int | None = None
        while cursor != 0:
            cursor, names = self._scan(cursor or 0, pattern)
            if names:
                self.remove(names)
        return True

    def _scan(self, cursor: int, pattern: str) -> tuple[int, list[bytes]]:
        def is_valid(reply: Any) -> bool:  # noqa: ANN401
            return (
                _is_list(reply, 2)
                and isinstance(reply[0], bytes)
                and reply[0].isdigit()
                and int(reply[0]) != (cursor or None)  # the same cursor again would never end
                and isinstance(reply[1], list)
                and all(isinstance(name, bytes) for name in reply[1])
            )

        following, names = self._call("SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_COUNT, is_valid=is_valid)
        return int(following), names

    def acquire(self, names: list[bytes], token: str, px: int) -> list[int]:
        """Set each name that is not leased to a token for `px` milliseconds; return 1 for each name set, else 0."""

        def is_valid(reply: Any) -> bool:  # noqa: ANN401
            return _is_list(reply, len(names)) and all(map(_is_count, reply))

        acquired: list[int] = self._call("EVAL", _ACQUIRE, len(names), *names, token, px, is_valid=is_valid)
        return acquired

    def release(self, names: list[bytes], token: str) -> None:
        """Remove the names that are still set to a token."""
        self._call("EVAL", _RELEASE, len(names), *names, token, is_valid=_is_count)

    def _call(self, *command: object, is_valid: Callable[[Any], bool], size: int = 0) -> Any:  # noqa: ANN401
        (reply,) = paused(self._pipeline, [command], is_valid, size)  # redis-py's pool has locks
        if isinstance(reply, redis.ResponseError):
            raise reply
        return reply

    def _pipeline(self, commands: list[tuple[Any, ...]], is_valid: Callable[[Any], bool], size: int = 0) -> list[Any]:
        """Return the replies to commands, which are errors or valid and have at most `size` bytes of values."""
        with deadline(self._timeout, size + _MAX_OVERHEAD):
            connection = self._pool.get_connection(*_COMMAND_NAME)
            try:
                connection.send_packed_command(connection.pack_commands(commands))
                return [_reply(connection, command[0], is_valid) for command in commands]
            except BaseException:  # also KeyboardInterrupt: a reply may be unread
                connection.disconnect()
                raise
            finally:
                self._pool.release(connection)


def _reply(connection: Any, command: str, is_valid: Callable[[Any], bool]) -> Any:  # noqa: ANN401
    try:
        reply = connection.read_response()
    except redis.ResponseError as error:
        return error
    if is_valid(reply):
        return reply
    msg = f"{command} got an invalid reply of type {type(reply).__name__}"
    raise redis.InvalidResponse(msg)


def _is_list(reply: object, length: int) -> bool:
    return isinstance(reply, list) and len(reply) == length


def _is_count(reply: object) -> bool:
    return type(reply) is int


def _pool(url: str, timeout: float) -> redis.ConnectionPool:
    scheme, _, rest = url.partition("://")
    # Protocol 2: with 3, redis-py does not check a connection for unread data before it is used.
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": _MAX_CONNECTIONS,
        "protocol": 2,
    }
    if scheme in {"redis", "rediss"}:
        options["socket_connect_timeout"] = timeout
    try:
        # If a password has a "/" that is not percent-encoded, the rest of it would be taken for a path.
        if "@" not in rest.removeprefix(urlsplit(url).netloc):
            pool: redis.ConnectionPool = redis.ConnectionPool.from_url(url, **options)
            base = pool.connection_class
            pool.connection_class = type(base.__name__, (DeadlineConnection, base), {})
            pool.connection_class(**pool.connection_kwargs)  # does not connect, but checks the options
            return pool
    except (TypeError, ValueError, redis.RedisError):
        pass
    msg = (
        "client must be a URL such as 'redis://user:password@localhost:6379/0', or rediss:// for TLS, or unix:// for a "
        "socket, with a percent-encoded password and with options of redis.Redis (not shown: it may have a password)"
    )
    raise ValueError(msg)


class _Limits(threading.local):
    """The time and bytes left for the command of this thread; unlimited between commands."""

    timeout = 0.0
    end = float("inf")
    size = float("inf")


_limits = _Limits()


@contextmanager
def deadline(timeout: float, size: int) -> Iterator[None]:
    """Limit each wait of this thread to `timeout` seconds, all to `_MAX_WAITS` times that, and its input to `size`."""
    _limits.timeout, _limits.end, _limits.size = timeout, time.monotonic() + _MAX_WAITS * timeout, size
    try:
        yield
    finally:
        _limits.__dict__.clear()


class _Socket:
    """A socket, possibly of TLS, that respects the limits of the command."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._timeout = sock, sock.gettimeout()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._sock, name)

    def settimeout(self, timeout: float | None) -> None:
        self._timeout = timeout
        self._sock.settimeout(timeout)

    def recv(self, *args: Any) -> bytes:  # noqa: ANN401
        self._limit_wait()
        received = self._sock.recv(*args)
        self._count_received(len(received))
        return received

    def recv_into(self, *args: Any) -> int:  # noqa: ANN401
        self._limit_wait()
        size = self._sock.recv_into(*args)
        self._count_received(size)
        return size

    def sendall(self, data: Buffer) -> None:
        unsent = memoryview(data).cast("B")
        while unsent:
            self._limit_wait()
            size = self._sock.send(unsent[:_SEND_SIZE])
            _limits.end += _limits.timeout * size / _MIB
            unsent = unsent[size:]

    def _limit_wait(self) -> None:
        if self._timeout == 0:  # it does not wait
            return
        left = _limits.end - time.monotonic()
        if left <= 0:
            msg = "the whole command took too long"
            raise TimeoutError(msg)
        self._sock.settimeout(left if self._timeout is None else min(left, self._timeout))

    def _count_received(self, size: int) -> None:
        _limits.end += _limits.timeout * size / _MIB
        _limits.size -= size
        if _limits.size < 0:
            msg = "the reply is larger than the limit"
            raise OSError(msg)


class DeadlineConnection:
    """Make a connection class of redis-py respect deadlines, which inherits from this first."""

    def _connect(self) -> _Socket:
        return _Socket(super()._connect())  # type: ignore[misc]
