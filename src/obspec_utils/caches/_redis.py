"""A cache in a Redis server, shared by processes and machines."""

from __future__ import annotations

import math
import secrets
from datetime import timedelta
from functools import partial
from itertools import compress
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeVar

from obspec_utils._redact import shown
from obspec_utils._validation import check_text, positive_int
from obspec_utils.caches._circuit_breaker import CircuitBreaker
from obspec_utils.caches._protocol import LeasingCache, ManyCache
from obspec_utils.caches._value_codec import HEADER_SIZE, decode, digest, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from redis import Redis
    from typing_extensions import Buffer

    from obspec_utils.caches._protocol import Lease
    from obspec_utils.caches._redis_client import Server

__all__ = ["RedisCache"]

T = TypeVar("T")

# A lease expires after this time if its holder dies: about as long as the slowest fetch of a part should take.
_LEASE_MS = 30_000
# Names and bytes per command: few enough not to delay other clients of the server.
_BATCH = 1000
_BATCH_BYTES = 8 * 1024 * 1024
# Names of stale values to remember. Beyond them, all values are removed.
_MAX_STALE = 65_536


class RedisCache(ManyCache, LeasingCache):
    """Cache values in a Redis server, shared by all clients with the same server and prefix.

    The budget is the server's: set `maxmemory`, and `maxmemory-policy allkeys-lru` to evict the least recently used
    values. With the default policy, `noeviction`, a full server stores no new values and serves the old ones.

    If the server is unreachable or too slow, refuses a command or sends an invalid reply, nothing is cached and no read
    fails. One RuntimeWarning is issued, and the server is retried every 10 s. Values that were deleted or replaced in
    the meantime are not served by this object afterwards.

    Each value has a header with the SHA-256 of its key, its length and a checksum. A value with another header counts
    as missing. The checksum detects accidental damage only: anyone who can write to the server can forge values.

    Parameters
    ----------
    client
        A URL (`redis://…`, `rediss://…` or `unix://…`, with options of redis-py in its query), or a `redis.Redis`
        client. A cache with a client can't be pickled, and the timeouts are the client's: make it with short
        `socket_timeout` and `socket_connect_timeout`, and without retries; a server that sends a byte within each
        timeout is not limited by them. Needs redis-py: `pip install 'obspec-utils[redis]'`.
    prefix
        The start of all keys. `clear` removes all keys that start with it, so no prefix should start with another.
    ttl
        Seconds, or a `timedelta`, after which values expire. By default they don't.
    max_value_size
        The largest value in bytes to send or receive. All caches that share values should use the same.
    timeout
        The longest wait in seconds for connecting and for more of a reply, for a URL only. A whole command, connecting
        included, may take five times that, and once more for each MiB it moves: with 1 s, a link must move 1 MiB/s.
        There are no retries.

    Raises
    ------
    ImportError
        If redis-py is not installed.
    ValueError
        If the URL, the prefix or a number is invalid, or the client decodes responses.
    TypeError
        If the client is neither a URL nor a `redis.Redis`, or another argument has another type than above.
    """

    def __init__(
        self,
        client: str | Redis,
        prefix: str = "obspec-utils:",
        ttl: float | timedelta | None = None,
        *,
        max_value_size: int = 64 * 1024 * 1024,
        timeout: float = 1.0,
    ) -> None:
        if not check_text("prefix", prefix, "my-project:"):
            msg = "prefix must not be empty: clear() removes all keys that begin with it"
            raise ValueError(msg)
        self._prefix = prefix
        self._ttl = ttl
        self._ttl_ms = None if ttl is None else max(1, round(1000 * _seconds("ttl", ttl)))
        self._max_value_size = positive_int("max_value_size", max_value_size)
        self._timeout = _seconds("timeout", timeout)
        self._server = _connect(client, self._timeout)
        self._breaker = CircuitBreaker(repr(self))
        self._write_breaker = CircuitBreaker(repr(self))  # for a server that refuses writes, but can be read
        # Values that were deleted or replaced while the server was unreachable; they are not served any more.
        self._stale: set[bytes] = set()
        self._all_stale = False

    @property
    def max_size(self) -> int:
        """The largest value in bytes."""
        return self._max_value_size

    def _options(self) -> dict[str, Any]:
        return {
            "prefix": self._prefix,
            "ttl": self._ttl,
            "max_value_size": self._max_value_size,
            "timeout": self._timeout,
        }

    def __repr__(self) -> str:
        options = "".join(f", {name}={option!r}" for name, option in self._options().items())
        return f"{type(self).__name__}({self._server.address!r}{options})"

    def __reduce__(self) -> tuple[Callable[[], RedisCache], tuple[()]]:
        client = self._server.client
        if not isinstance(client, str):
            msg = (
                f"A RedisCache made from a client can't be pickled: make it from a URL such as {self._server.address!r}"
            )
            raise TypeError(msg)
        return partial(type(self), client, **self._options()), ()

    def get(self, key: str) -> bytes | None:
        """Return the value of a key; None if it is missing."""
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:  # type: ignore[override]
        """Return the value of each key as `get` does, in one round trip."""
        names = [self._name(key) for key in keys]
        found = None
        if names and self._remove_stale():
            found = self._call(lambda: self._server.get_many(names, HEADER_SIZE + self._max_value_size))
        if found is None:
            return [None] * len(keys)
        return [None if value is None else decode(digest(key), value) for key, value in zip(keys, found, strict=True)]

    def put(self, key: str, value: Buffer) -> None:
        """Keep a value and replace a former one. If the value is too large, only remove the former one."""
        self.put_many({key: value})

    def put_many(self, values: Mapping[str, Buffer]) -> None:
        """Keep each value as `put` does, in one round trip for each 8 MiB."""
        batch: dict[bytes, bytes] = {}
        size = 0
        for key, value in values.items():
            length = memoryview(value).nbytes
            if length > self._max_value_size:
                self.delete(key)
                continue
            if batch and size + length > _BATCH_BYTES:
                self._send(batch)
                batch, size = {}, 0
            batch[self._name(key)] = encode(digest(key), value)
            size += length
        if batch:
            self._send(batch)

    def _send(self, batch: dict[bytes, bytes]) -> None:
        errors: Sequence[Exception | None] | None = None
        if self._remove_stale():
            errors = self._call(lambda: self._server.set_many(batch, self._ttl_ms), writes=True)
        if errors is None:
            self._mark_stale(batch)
            return
        for name, error in zip(batch, errors, strict=True):
            if error is not None:
                self._mark_stale([name])
                self._write_breaker.record_failure(error)

    def delete(self, key: str) -> None:
        """Remove a key if it is present."""
        self._mark_stale([self._name(key)])
        self._remove_stale()

    def clear(self) -> None:
        """Remove all keys that start with the prefix. The server searches all its keys for them."""
        self._all_stale = True
        self._remove_stale()

    def lease(self, key: str) -> Lease | None:
        """Acquire the right to fetch the value of a key, for at most 30 s; None while another caller has it.

        Every caller gets it while the server can't be used.
        """
        acquired, lease = self.lease_many([key])
        return lease if acquired else None

    def lease_many(self, keys: Sequence[str]) -> tuple[list[str], Lease]:
        """Acquire the leases that no other caller has as `lease` does, in one round trip for each 1,000."""
        names = {self._name(key, "lease:"): key for key in keys}
        lease, acquired = _RedisLease(self._release), list[str]()
        for batch in _batches(list(names)):
            flags = self._call(partial(self._server.acquire, batch, lease.token, _LEASE_MS), writes=True)
            if flags is None:
                acquired += [names[name] for name in batch]
            else:
                lease.names += compress(batch, flags)
                acquired += [names[name] for name in compress(batch, flags)]
        return acquired, lease

    def _release(self, names: list[bytes], token: str) -> None:
        for batch in _batches(names):
            self._call(partial(self._server.release, batch, token))

    def _name(self, key: str, kind: str = "checked:") -> bytes:
        # Leases and values have different names, whatever their keys are. Releases before 0.10 kept values without a
        # header under "value:".
        return f"{self._prefix}{kind}{key}".encode("utf-8", "surrogatepass")

    def _call(self, command: Callable[[], T], *, writes: bool = False) -> T | None:
        """Return the result of a command; None while the server can't be used."""
        if self._breaker.is_open or (writes and self._write_breaker.is_open):
            return None
        with self._breaker:
            try:
                return command()
            except self._server.refusal as error:
                if not writes:
                    raise
                self._write_breaker.record_failure(error)
        return None

    def _mark_stale(self, names: Iterable[bytes]) -> None:
        self._stale.update(names)
        if len(self._stale) > _MAX_STALE:
            self._all_stale = True
            self._stale = set()

    def _remove_stale(self) -> bool:
        """Remove stale values from the server; return False as long as that fails."""
        if self._all_stale:
            if not self._call(lambda: self._server.remove_all(self._prefix)):
                return False
            self._all_stale = False
        names = self._stale.copy()
        if names and not self._call(lambda: self._server.remove(list(names))):
            return False
        self._stale -= names
        return True


class _RedisLease:
    """A lease of several names, set to one token."""

    def __init__(self, release: Callable[[list[bytes], str], None]) -> None:
        self.token = secrets.token_hex(16)
        self.names: list[bytes] = []
        self._release = release

    def release(self) -> None:
        """Release the lease, unless it expired and another caller has it now."""
        names, self.names = self.names, []
        self._release(names, self.token)


def _batches(names: list[bytes]) -> Iterator[list[bytes]]:
    return (names[start : start + _BATCH] for start in range(0, len(names), _BATCH))


def _seconds(name: str, value: float | timedelta) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not isinstance(seconds, Real):
        msg = f"{name} must be a positive number of seconds, got {shown(value)}"
        raise TypeError(msg)
    if not (math.isfinite(seconds) and seconds > 0):
        msg = f"{name} must be a positive number of seconds, got {value!r}"
        raise ValueError(msg)
    return seconds


def _connect(client: str | Redis, timeout: float) -> Server:
    try:
        from obspec_utils.caches._redis_client import Server  # noqa: PLC0415 - an extra, needed here only
    except ImportError as error:
        msg = "RedisCache needs redis-py: pip install 'obspec-utils[redis]'"
        raise ModuleNotFoundError(msg, name="redis") from error
    return Server(client, timeout)
