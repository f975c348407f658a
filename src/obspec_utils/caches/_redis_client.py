"""What the cache has to know of redis-py; imported only where it is used, since redis-py is an extra."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.exceptions import ChildDeadlockedError
from redis.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

__all__ = ["Server", "restored"]

# As many as threads ask at once: releases of redis-py differ in their default, and an error is no help.
_MAX_CONNECTIONS = 2**31
_TAKE = """
local taken = {}
for position, key in ipairs(KEYS) do
  taken[position] = redis.call('set', key, ARGV[1], 'nx', 'px', ARGV[2]) and 1 or 0
end
return taken
"""
_RELEASE = """
for _, key in ipairs(KEYS) do
  if redis.call('get', key) == ARGV[1] then redis.call('del', key) end
end
return 0
"""
_POOLS = (redis.ConnectionPool, redis.BlockingConnectionPool)
# What redis-py's pools add to the options of their connections by themselves.
_POOL_S_OWN = frozenset({"himport_registry", "maint_notifications_pool_handler"})


class _Client(redis.Redis):
    """A client that never leaves the answer to one command to be read as the answer to the next."""

    def _send_command_parse_response(self, conn: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        try:
            return super()._send_command_parse_response(conn, *args, **options)  # type: ignore[no-untyped-call]
        except redis.ResponseError:
            raise
        except BaseException:  # such as Ctrl-C between the two
            conn.disconnect()
            raise


class _Pipeline(Pipeline):
    """Commands sent together, whose answers are never left to be read as those to the next."""

    def _execute_pipeline(self, connection: Any, commands: Any, raise_on_error: Any) -> Any:  # noqa: ANN401
        try:
            return super()._execute_pipeline(connection, commands, raise_on_error)  # type: ignore[no-untyped-call]
        except BaseException:
            connection.disconnect()
            raise


class Server:
    """A Redis server, by a URL or a client; nothing is connected until a command is sent.

    Attributes
    ----------
    client
        A client of its own, over the pool of the client that was given.
    errors
        What it raises when the server is of no use.
    refusal
        The one of them that is the server's answer to a command.
    """

    errors = (redis.RedisError, ChildDeadlockedError, OSError)
    refusal = redis.ResponseError

    def __init__(self, client: str | redis.Redis, timeout: float) -> None:
        if not isinstance(client, str | redis.Redis):
            kind = f"{type(client).__module__}.{type(client).__name__}"
            msg = f"client must be a URL such as 'redis://localhost:6379/0', or a redis.Redis, got a {kind}"
            raise TypeError(msg)
        self._given = client  # closes its pool when it goes
        self._pool: Any = _pool(client, timeout) if isinstance(client, str) else client.connection_pool
        if self._pool.get_encoder().decode_responses:
            msg = "client must return bytes as they are: make it without decode_responses=True"
            raise ValueError(msg)
        self.client: Any = _Client(connection_pool=self._pool)

    @property
    def address(self) -> str:
        """Where it is, without names of users and passwords."""
        options = self._pool.connection_kwargs
        db = options.get("db") or 0
        if "path" in options:
            return f"unix://{options['path']}?db={db}"
        scheme = "rediss" if issubclass(self._pool.connection_class, redis.SSLConnection) else "redis"
        return f"{scheme}://{options.get('host', 'localhost')}:{options.get('port', 6379)}/{db}"

    def set_many(self, values: Mapping[bytes, Buffer], px: int | None) -> list[object]:
        """Set values in one round trip, for `px` milliseconds; return True for each, or why it was refused."""
        pipeline = _Pipeline(self._pool, self.client.response_callbacks, False, None)  # noqa: FBT003 - no transaction
        for name, value in values.items():
            pipeline.set(name, value, px=px)  # type: ignore[arg-type] # which takes any buffer
        return pipeline.execute(raise_on_error=False)

    def take(self, names: list[bytes], token: str, px: int) -> list[int]:
        """Set those names to a token that are not there, for `px` milliseconds; return 1 for each of them, else 0."""
        taken: list[int] = self.client.eval(_TAKE, len(names), *names, token, px)
        return taken

    def give_back(self, names: list[bytes], token: str) -> int:
        """Remove those names that are still set to a token."""
        done: int = self.client.eval(_RELEASE, len(names), *names, token)
        return done

    def portable(self) -> object:
        """Return what can be pickled and is a client of the same server again: the URL, or the parts of a pool."""
        if isinstance(self._given, str):
            return self._given
        pool = self._pool
        # A bare object() stands for "not given", and would be another one elsewhere.
        options = {name: option for name, option in pool.connection_kwargs.items() if type(option) is not object}
        options.update(connection_class=pool.connection_class, max_connections=pool.max_connections)
        parts = type(pool), {name: option for name, option in options.items() if name not in _POOL_S_OWN}
        problem = None if type(pool) in _POOLS else f"its pool is a {type(pool).__name__}"
        try:
            pickle.dumps(parts)
        except Exception as error:  # noqa: BLE001 - whatever objects raise that can't be pickled
            problem = f"{type(error).__name__}: {error}"
        if problem:
            msg = (
                f"A RedisCache made from this client of {self.address} can't be pickled ({problem}). "
                "Make it from a URL instead, such as 'redis://localhost:6379/0'."
            )
            raise TypeError(msg)
        return parts


def restored(portable: Any) -> str | redis.Redis:  # noqa: ANN401 - what `portable` returned
    """Return what a server can be made from again."""
    if isinstance(portable, str):
        return portable
    pool, options = portable
    return redis.Redis(connection_pool=pool(**options))


def _pool(url: str, timeout: float) -> redis.ConnectionPool:
    scheme, _, rest = url.partition("://")
    # The old protocol: with the new one redis-py does not look whether a connection has unread data before it uses it.
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": _MAX_CONNECTIONS,
        "protocol": 2,
    }
    if scheme in {"redis", "rediss"}:
        options["socket_connect_timeout"] = timeout
    try:
        # With a "/" in a password that is not percent-encoded, what follows it would be taken for something else.
        if "@" not in rest.removeprefix(urlsplit(url).netloc):
            pool: redis.ConnectionPool = redis.ConnectionPool.from_url(url, **options)
            pool.connection_class(**pool.connection_kwargs)  # connects nowhere, but tells whether the options exist
            return pool
    except (TypeError, ValueError, redis.RedisError):
        pass
    msg = (
        "client must be a URL such as 'redis://user:password@localhost:6379/0', or rediss:// for TLS, or unix:// for a "
        "socket, in which special characters of names and passwords are percent-encoded, and the options are those of "
        "redis.Redis. The one given is not shown, as there may be a password in it."
    )
    raise ValueError(msg)
