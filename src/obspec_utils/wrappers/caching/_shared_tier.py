"""A shared cache of a store: errors count as misses."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from obstore import Bytes

from obspec_utils._redact import redacted
from obspec_utils.caches import LeasingCache, ManyCache
from obspec_utils.caches._circuit_breaker import CircuitBreaker
from obspec_utils.caches._protocol import NO_LEASE
from obspec_utils.wrappers.caching._counters import Counters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Buffer

    from obspec_utils.caches import Cache, Lease

__all__ = ["SharedTier"]


class SharedTier:
    """A shared cache behind a circuit breaker. Only `delete` is tried while the circuit is open.

    Attributes
    ----------
    counters
        The hits and misses of the blocks that were looked up here.
    leases
        Whether the cache has leases.
    """

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.counters = Counters()
        self.leases = isinstance(cache, LeasingCache)
        self._breaker = CircuitBreaker(redacted(repr(cache)))

    def get_many(self, keys: Sequence[str]) -> list[Buffer | None]:
        """Return the value of each key; None for all of them if the cache fails."""
        if not self._breaker.is_open:
            with self._breaker:
                values = list(self._many("get_many")(keys))
                if len(values) == len(keys):
                    return [None if value is None else _immutable(value) for value in values]
                msg = f"{len(values)} values for {len(keys)} keys"
                raise ValueError(msg)
        return [None] * len(keys)

    def put_many(self, values: Mapping[str, Buffer]) -> None:
        """Keep the values that are not larger than the `max_size` of the cache."""
        if self._breaker.is_open:
            return
        with self._breaker:
            max_size: int | None = getattr(self.cache, "max_size", None)
            fitting = {
                key: value for key, value in values.items() if max_size is None or memoryview(value).nbytes <= max_size
            }
            if fitting:
                self._many("put_many")(fitting)

    def delete(self, key: str) -> None:
        """Remove a key."""
        with self._breaker:
            self.cache.delete(key)

    def lease_many(self, keys: Sequence[str]) -> tuple[list[str], Lease]:
        """Acquire the leases that no other caller has; return their keys, and one lease for all of them.

        Every caller gets all keys if the cache fails.
        """
        if not self._breaker.is_open:
            with self._breaker:
                taken, lease = self._many("lease_many")(keys)
                taken = set(taken)
                return [key for key in keys if key in taken], _GuardedLease(self._breaker, lease)
        return list(keys), NO_LEASE

    def _many(self, method: str) -> Any:  # noqa: ANN401 - a method of ManyCache
        """Return a method of the cache, or the default for it."""
        return getattr(self.cache, method, None) or partial(getattr(ManyCache, method), self.cache)


def _immutable(value: Buffer) -> Buffer:
    """Return a value that can't change: a copy unless it is bytes."""
    return value if isinstance(value, bytes | Bytes) else memoryview(value).tobytes()


class _GuardedLease:
    """A lease that can be released once, without an error."""

    def __init__(self, breaker: CircuitBreaker, lease: Lease) -> None:
        self._breaker = breaker
        self._lease = lease

    def release(self) -> None:
        lease, self._lease = self._lease, NO_LEASE
        with self._breaker:
            lease.release()
