"""One of the caches that a store shares with others: where it fails, it has nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from obstore import Bytes

from obspec_utils._redact import redacted
from obspec_utils.caches import LeasingCache
from obspec_utils.caches._circuit_breaker import CircuitBreaker
from obspec_utils.wrappers.caching._counters import Counters

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from typing_extensions import Buffer

    from obspec_utils.caches import Cache, Lease

__all__ = ["NO_LEASE", "SharedTier"]


class SharedTier:
    """One shared cache. What it can't do for many keys in one go is done for one after the other.

    After an error it is left alone for a while, but for what is to be forgotten.

    Attributes
    ----------
    tally
        Counts hits and misses: how many of the blocks that were looked up here were there, and were not.
    """

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.counters = Counters()
        self.leases = isinstance(cache, LeasingCache)
        self._breaker = CircuitBreaker(redacted(repr(cache)))

    def get_many(self, keys: Sequence[str]) -> list[Buffer | None]:
        """Look keys up."""
        if self._breaker.is_open:
            return [None] * len(keys)
        with self._guarded():
            many = self._at_once("get_many")
            values = [self.cache.get(key) for key in keys] if many is None else list(many(keys))
            if len(values) == len(keys):
                return [None if value is None else _fixed(value) for value in values]
            msg = f"{len(values)} values for {len(keys)} keys"
            raise ValueError(msg)
        return [None] * len(keys)

    def put_many(self, values: Mapping[str, Buffer]) -> None:
        """Keep values, but for those that the cache says are too large."""
        if self._breaker.is_open:
            return
        with self._guarded():
            many = self._at_once("put_many")
            most: int | None = getattr(self.cache, "max_size", None)
            fitting = {key: it for key, it in values.items() if most is None or memoryview(it).nbytes <= most}
            if many is not None and fitting:
                many(fitting)
            elif many is None:
                for key, value in fitting.items():
                    with self._guarded():
                        self.cache.put(key, value)

    def delete(self, key: str) -> None:
        """Forget a key."""
        with self._guarded():
            self.cache.delete(key)

    def lease_many(self, keys: Sequence[str]) -> tuple[list[str], Lease]:
        """Take the right to fetch what belongs under keys; return those that nobody else has, and what gives it back.

        Where the cache fails, everybody has it.
        """
        many = self._at_once("lease_many")
        if self._breaker.is_open:
            return list(keys), NO_LEASE
        if many is None:
            return self._lease_each(keys)
        with self._guarded():
            taken, lease = many(keys)
            mine = set(taken)
            return [key for key in keys if key in mine], _Leases(self._breaker, [lease])
        return list(keys), NO_LEASE

    def _lease_each(self, keys: Sequence[str]) -> tuple[list[str], Lease]:
        taken, leases = list(keys), _Leases(self._breaker, [])
        try:
            for key in keys:
                with self._guarded():
                    lease = cast("LeasingCache", self.cache).lease(key)
                    if lease is None:
                        taken.remove(key)
                    else:
                        leases.held.append(lease)
        except BaseException:
            leases.release()
            raise
        return taken, leases

    def _at_once(self, method: str) -> Any:  # noqa: ANN401 - a method that the cache may have
        return getattr(self.cache, method, None)

    def _guarded(self) -> suppress:
        return _Guarded(self._breaker)


def _fixed(value: Buffer) -> Buffer:
    """Return a value that nobody changes: a copy of what is not bytes."""
    return value if isinstance(value, bytes | Bytes) else memoryview(value).tobytes()


class _Guarded(suppress):
    """Keeps a cache's errors from whoever reads."""

    def __init__(self, trouble: CircuitBreaker) -> None:
        super().__init__(Exception)
        self._breaker = trouble

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is None or not (isinstance(error, Exception) or _is_panic(error)):
            return False
        self._breaker.record_failure(error)
        return True


def _is_panic(error: BaseException) -> bool:
    """Tell whether a cache that is written in Rust, or over obstore, panicked: no Exception, but a failure of its own.

    Each extension module has its own class of that name, which can't be imported.
    """
    return type(error).__name__ == "PanicException" and type(error).__module__ == "pyo3_runtime"


class _Leases:
    """Leases that are given back together."""

    def __init__(self, trouble: CircuitBreaker, held: Iterable[Lease]) -> None:
        self.held = list(held)
        self._breaker = trouble

    def release(self) -> None:
        """Give them back."""
        held, self.held = self.held, []
        for lease in held:
            with _Guarded(self._breaker):
                lease.release()


class _NoLease:
    """What is got where leases are unknown: everybody may fetch."""

    def release(self) -> None:
        """There is nothing to give back."""


NO_LEASE: Lease = _NoLease()
