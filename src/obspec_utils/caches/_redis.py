"""A cache in a Redis server, which processes and machines share."""

from __future__ import annotations

import math
import secrets
from datetime import timedelta
from functools import partial
from itertools import compress, repeat
from numbers import Real
from typing import TYPE_CHECKING, Any

from obspec_utils._io.gc_pause import gc_paused
from obspec_utils._redact import shown
from obspec_utils._validation import check_text, positive_int
from obspec_utils.caches._circuit_breaker import CircuitBreaker
from obspec_utils.caches._protocol import Cache
from obspec_utils.caches._value_codec import HEADER_SIZE, decode, digest, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from redis import Redis
    from typing_extensions import Buffer

    from obspec_utils.caches._protocol import Lease
    from obspec_utils.caches._redis_client import Server

__all__ = ["RedisCache"]

# How long a lease lasts if its holder dies: about as long as the slowest fetch of a part should take.
_LEASE_MS = 30_000
# Names looked at and removed, and bytes sent, in one go, so that other users of the server need not wait for long.
_BATCH = 1000
_MAX_STALE = 65_536
_BATCH_BYTES = 8 * 1024 * 1024


class RedisCache(Cache):
    """Values in a Redis server, or one that speaks its protocol, shared by all who give the same server and prefix.

    The budget is the server's: set `maxmemory`, and `maxmemory-policy allkeys-lru`, with which it forgets what was not
    used for longest. Under its default policy, `noeviction`, a full server takes nothing new; what is there is served.

    While the server is away, refuses what it is asked for, is too slow or answers what makes no sense, nothing is
    cached and nothing fails: one RuntimeWarning says so, and it is tried again every 10 s. What was deleted or replaced
    meanwhile is not served by this process when the server is back.

    Each value is kept behind a header with its key's SHA-256, its length and a checksum; one that does not fit is not
    there. That finds accidents. Whoever can write to the server on purpose decides what others read.

    Parameters
    ----------
    client
        A URL (`redis://…`, `rediss://…` or `unix://…`, with redis-py's options in its query), which can be pickled, or
        a `redis.Redis` client, of which the pool is used. Its timeouts are its own: make it with a short
        `socket_timeout` and `socket_connect_timeout`, and connecting without retries; a server that sends a byte now
        and then outlasts them. Needs redis-py: `pip install 'obspec-utils[redis]'`.
    prefix
        What the keys begin with. `clear` removes all that begins so: no prefix should begin with another.
    ttl
        After how many seconds, or after what `timedelta`, a value is forgotten; None keeps it until it is evicted.
    max_value_size
        Values of more bytes than that are not sent, nor received: give the same to all who share them.
    timeout
        For how many seconds connecting, and each wait for more of an answer, may take; for a URL only. A command with
        all its waits, connecting included, ends after five times that, and once more for each MiB it moves: with 1 s, a
        link has to carry 1 MiB/s. There are no retries.

    Raises
    ------
    ImportError
        If redis-py is not installed.
    ValueError
        If the URL, the prefix or a number is unusable, or the client decodes responses.
    TypeError
        If the client is neither a URL nor a `redis.Redis`, or another argument is of another kind than told above.
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
        self._away = CircuitBreaker(repr(self))
        self._refusing = CircuitBreaker(repr(self))  # it takes nothing new, but answers
        # What this process deleted or replaced while the server could not be told: not to be served any more.
        self._stale: set[bytes] = set()
        self._all_stale = False

    @property
    def max_size(self) -> int:
        """The most bytes a value may have."""
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

    def __reduce__(self) -> tuple[Callable[..., RedisCache], tuple[object, ...]]:
        return _restore, (type(self), self._server.portable(), self._options())

    def get(self, key: str) -> bytes | None:
        """Return what was put under a key, or None."""
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what `get` would return for each key, in one round trip."""
        nothing: list[bytes | None] = [None] * len(keys)
        names = [self._name(key) for key in keys]
        if not names or not self._forget():
            return nothing
        size = HEADER_SIZE + self._max_value_size
        found = self._ask(lambda: self._server.get_many(names, size), nothing)
        return [None if it is None else decode(digest(key), it) for key, it in zip(keys, found, strict=True)]

    def put(self, key: str, value: Buffer) -> None:
        """Keep a value in place of what was there; one that is too large only drops what was there."""
        self.put_many({key: value})

    def put_many(self, values: Mapping[str, Buffer]) -> None:
        """Keep each value as `put` does, 8 MiB of them in one round trip."""
        batch: dict[bytes, bytes] = {}
        size = 0
        for key, value in values.items():
            length, name = memoryview(value).nbytes, self._name(key)
            if length > self._max_value_size:
                self._drop(name)
                continue
            if batch and size + length > _BATCH_BYTES:
                self._send(batch)
                batch, size = {}, 0
            batch[name] = encode(digest(key), value)
            size += length
        if batch:
            self._send(batch)

    def _send(self, batch: dict[bytes, bytes]) -> None:
        refusals: list[Exception | None] | None = None
        if self._forget():
            refusals = self._ask(lambda: self._server.set_many(batch, self._ttl_ms), writes=True)
        if refusals is None:
            for name in batch:
                self._mark(name)
            return
        for name, refusal in zip(batch, refusals, strict=True):
            if refusal is not None:
                self._mark(name)
                self._refusing.record_failure(refusal)

    def delete(self, key: str) -> None:
        """Forget a key, if it is there."""
        self._drop(self._name(key))

    def clear(self) -> None:
        """Forget everything that begins with the prefix, and nothing else; it looks through all the server's keys."""
        self._all_stale = True
        self._forget()

    def lease(self, key: str) -> Lease | None:
        """Take the right to fetch what belongs under a key, for 30 s at most; None while somebody else has it.

        While the server can't be asked everybody gets it.
        """
        taken, lease = self.lease_many([key])
        return lease if taken else None

    def lease_many(self, keys: Sequence[str]) -> tuple[list[str], Lease]:
        """Take the right to fetch what belongs under keys as `lease` does, 1000 of them in one round trip."""
        names = {self._name(key, "lease:"): key for key in keys}
        lease, taken = _Lease(self._give_back), list[str]()
        for batch in _batches(list(names)):
            answers = self._ask(partial(self._server.take, batch, lease.token, _LEASE_MS), writes=True)
            mine = list(compress(batch, answers or repeat(1)))
            lease.names += mine if answers else []
            taken += [names[name] for name in mine]
        return taken, lease

    def _give_back(self, names: list[bytes], token: str) -> None:
        for batch in _batches(names):
            self._ask(partial(self._server.give_back, batch, token))

    def _name(self, key: str, kind: str = "checked:") -> bytes:
        # A kind of its own for leases: no key of a value can be that of a lease. And one for values behind a header:
        # releases that know of none keep theirs under "value:", and would take the header for a part of the value.
        return f"{self._prefix}{kind}{key}".encode("utf-8", "surrogatepass")

    def _ask(self, command: Callable[[], Any], otherwise: Any = None, *, writes: bool = False) -> Any:  # noqa: ANN401
        """Return what the server answers to a command, or `otherwise` while it is of no use."""
        if self._away.is_open or (writes and self._refusing.is_open):
            return otherwise
        with gc_paused():  # redis-py's pool has locks
            try:
                return command()
            except Exception as error:  # noqa: BLE001 - redis-py raises anything over a reply that makes no sense
                refused = writes and isinstance(error, self._server.refusal)
                (self._refusing if refused else self._away).record_failure(error)
        return otherwise

    def _drop(self, name: bytes) -> None:
        self._mark(name)
        self._forget()

    def _mark(self, name: bytes) -> None:
        if len(self._stale) >= _MAX_STALE:  # too many to remember
            self._all_stale = True
            self._stale = set()
        self._stale.add(name)

    def _forget(self) -> bool:
        """Have the server forget what is stale; return False as long as it has not."""
        if self._all_stale:
            if not self._remove_all():
                return False
            self._all_stale = False
        names = self._stale.copy()
        if names and self._ask(lambda: self._server.remove(list(names))) is None:
            return False
        self._stale -= names
        return True

    def _remove_all(self) -> bool:
        pattern = "".join(f"\\{letter}" if letter in "*?[]^-\\" else letter for letter in self._prefix) + "*"
        cursor: int | None = None
        while cursor != 0:
            found = self._ask(partial(self._server.scan, cursor or 0, pattern, _BATCH))
            if found is None:
                return False
            cursor, names = found
            if names and self._ask(partial(self._server.remove, names)) is None:
                return False
        return True


class _Lease:
    """The right to fetch, until it is given back."""

    def __init__(self, give_back: Callable[[list[bytes], str], None]) -> None:
        self.token = secrets.token_hex(16)
        self.names: list[bytes] = []
        self._give_back = give_back

    def release(self) -> None:
        """Give it back, unless it has ended and somebody else has it now."""
        names, self.names = self.names, []
        self._give_back(names, self.token)


def _batches(names: list[bytes]) -> Iterator[list[bytes]]:
    return (names[start : start + _BATCH] for start in range(0, len(names), _BATCH))


def _seconds(name: str, drop_none: float | timedelta) -> float:
    seconds = drop_none.total_seconds() if isinstance(drop_none, timedelta) else drop_none
    if not isinstance(seconds, Real):
        msg = f"{name} must be a positive number of seconds, got {shown(drop_none)}"
        raise TypeError(msg)
    if not (math.isfinite(seconds) and seconds > 0):
        msg = f"{name} must be a positive number of seconds, got {drop_none!r}"
        raise ValueError(msg)
    return seconds


def _connect(client: str | Redis, timeout: float) -> Server:
    try:
        from obspec_utils.caches._redis_client import Server  # noqa: PLC0415 - an extra, needed here only
    except ImportError as error:
        msg = "RedisCache needs redis-py: pip install 'obspec-utils[redis]'"
        raise ModuleNotFoundError(msg, name="redis") from error
    return Server(client, timeout)


def _restore(cls: type[RedisCache], portable: object, options: dict[str, Any]) -> RedisCache:
    from obspec_utils.caches._redis_client import restored  # noqa: PLC0415 - an extra, needed here only

    return cls(restored(portable), **options)
