"""What the cache has to know of redis-py; imported only where it is used, since redis-py is an extra."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from obspec_utils._redact import redacted
from obspec_utils.caches._redis_deadline import DeadlineConnection, deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Server", "restored"]

# As many as threads ask at once: releases of redis-py differ in their default, and an error is no help.
_MAX_CONNECTIONS = 2**31
# Before 5.3 a pool wants the name of a command, which it does not use; later ones warn of it.
_COMMAND_NAME = ("MGET",) if redis.VERSION < (5, 3) else ()
# The most bytes that names, and what the protocol adds to values, may take in the replies to a command.
_OVERHEAD = 16 * 1024 * 1024
# A lease is a string that ends in time. What is not, whoever put it there, would keep everybody waiting.
_TAKE = """
local taken = {}
for position, key in ipairs(KEYS) do
  local ends = redis.call('pttl', key)
  local held = ends >= 0 and ends <= tonumber(ARGV[2]) and redis.call('type', key).ok == 'string'
  if not held then redis.call('set', key, ARGV[1], 'px', ARGV[2]) end
  taken[position] = held and 0 or 1
end
return taken
"""
_RELEASE = """
for _, key in ipairs(KEYS) do
  if redis.pcall('get', key) == ARGV[1] then redis.call('del', key) end
end
return 0
"""
_POOLS = (redis.ConnectionPool, redis.BlockingConnectionPool)
# What redis-py's pools add to the options of their connections by themselves.
_POOL_S_OWN = frozenset({"himport_registry", "maint_notifications_pool_handler"})


class Server:
    """A Redis server, by a URL or a client; nothing is connected until a command is sent.

    Each command is sent once, on a connection that is closed unless the right kind of reply was read to its end: no
    reply is ever read as the one to another command. One that makes no sense is an `InvalidResponse`.

    Parameters
    ----------
    client
        A URL, or a client whose pool is used.
    timeout
        For how many seconds each wait may last; for a URL only. A command ends after five times that, and once more
        for each MiB that it moves.
    """

    refusal = redis.ResponseError  # the server's own answer to a command

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
        # Where the URL tells another one, that counts.
        self._wait: float = self._pool.connection_kwargs.get("socket_timeout") or timeout

    @property
    def address(self) -> str:
        """Where it is, without names of users and passwords."""
        options = self._pool.connection_kwargs
        db = options.get("db") or 0
        if "path" in options:
            return f"unix://{options['path']}?db={db}"
        scheme = "rediss" if issubclass(self._pool.connection_class, redis.SSLConnection) else "redis"
        return f"{scheme}://{options.get('host', 'localhost')}:{options.get('port', 6379)}/{db}"

    def get_many(self, names: list[bytes], max_size: int) -> list[bytes | None]:
        """Return the values of names, each of `max_size` bytes at most on the average."""

        def fits(reply: Any) -> bool:  # noqa: ANN401
            return _is_list(reply, len(names)) and all(value is None or isinstance(value, bytes) for value in reply)

        # For one name too: what is no value, but a list or a hash, is not there for MGET, and an error for GET.
        values: list[bytes | None] = self._ask("MGET", *names, fits=fits, size=len(names) * max_size)
        return values

    def set_many(self, values: Mapping[bytes, bytes], px: int | None) -> list[redis.ResponseError | None]:
        """Set values in one round trip, for `px` milliseconds; return why each was refused, None where it was not."""
        ends = () if px is None else ("PX", px)
        commands = [("SET", name, value, *ends) for name, value in values.items()]
        replies = self._ask_all(commands, lambda reply: reply == b"OK")
        return [reply if isinstance(reply, redis.ResponseError) else None for reply in replies]

    def remove(self, names: list[bytes]) -> int:
        """Remove names; return how many there were."""
        removed: int = self._ask("UNLINK", *names, fits=_is_count)
        return removed

    def scan(self, cursor: int, pattern: str, count: int) -> tuple[int, list[bytes]]:
        """Return some of the names that match a pattern, and the cursor for more of them, 0 after the last ones."""

        def fits(reply: Any) -> bool:  # noqa: ANN401
            # The same cursor again would never end.
            return (
                _is_list(reply, 2)
                and isinstance(reply[0], bytes)
                and reply[0].isdigit()
                and int(reply[0]) != (cursor or None)
                and isinstance(reply[1], list)
                and all(isinstance(name, bytes) for name in reply[1])
            )

        following, names = self._ask("SCAN", cursor, "MATCH", pattern, "COUNT", count, fits=fits)
        return int(following), names

    def take(self, names: list[bytes], token: str, px: int) -> list[int]:
        """Set those names to a token that are not leased, for `px` milliseconds; return 1 for each of them, else 0."""

        def fits(reply: Any) -> bool:  # noqa: ANN401
            return _is_list(reply, len(names)) and all(map(_is_count, reply))

        taken: list[int] = self._ask("EVAL", _TAKE, len(names), *names, token, px, fits=fits)
        return taken

    def give_back(self, names: list[bytes], token: str) -> int:
        """Remove those names that are still set to a token."""
        done: int = self._ask("EVAL", _RELEASE, len(names), *names, token, fits=_is_count)
        return done

    def _ask(self, *command: object, fits: Callable[[Any], bool], size: int = 0) -> Any:  # noqa: ANN401
        (reply,) = self._ask_all([command], fits, size)
        if isinstance(reply, redis.ResponseError):
            raise reply
        return reply

    def _ask_all(self, commands: list[tuple[Any, ...]], fits: Callable[[Any], bool], size: int = 0) -> list[Any]:
        """Return the replies to commands, with `size` bytes of values at most; those that are no errors must fit."""
        with deadline(self._wait, size + _OVERHEAD):
            connection = self._pool.get_connection(*_COMMAND_NAME)
            try:
                connection.send_packed_command(connection.pack_commands(commands))
                return [_reply(connection, command[0], fits) for command in commands]
            except BaseException:  # such as Ctrl-C between the two
                connection.disconnect()
                raise
            finally:
                self._pool.release(connection)

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
            problem = f"{type(error).__name__}: {redacted(str(error))}"
        if problem:
            msg = (
                f"A RedisCache made from this client of {self.address} can't be pickled ({problem}). "
                "Make it from a URL instead, such as 'redis://localhost:6379/0'."
            )
            raise TypeError(msg)
        return parts


def _reply(connection: Any, command: str, fits: Callable[[Any], bool]) -> Any:  # noqa: ANN401 - as the server replies
    try:
        reply = connection.read_response()
    except redis.ResponseError as error:
        return error
    if fits(reply):
        return reply
    msg = f"{command} was answered by a {type(reply).__name__} that makes no sense"
    raise redis.InvalidResponse(msg)


def _is_list(reply: object, length: int) -> bool:
    return isinstance(reply, list) and len(reply) == length


def _is_count(reply: object) -> bool:
    return type(reply) is int


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
            base = pool.connection_class
            pool.connection_class = type(base.__name__, (DeadlineConnection, base), {})
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
