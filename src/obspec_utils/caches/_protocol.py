"""The interface of caches."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from typing_extensions import Buffer

__all__ = ["NO_LEASE", "Cache", "Lease", "Leases", "LeasingCache", "ManyCache"]


@runtime_checkable
class Cache(Protocol):
    """A cache of bytes by key.

    Implement these four methods to use your own cache in a `CachingReadableStore`. They are called from several threads
    concurrently, never from the thread of an event loop, and may block. Reads wait for them without a limit, so network
    calls need timeouts. A cache may evict any value at any time, but must return each value whole and only under its
    own key. An exception counts as a miss; only the first one issues a warning.

    Optional: `max_size`, the size of the largest value to be put, in bytes; the methods of `LeasingCache` and
    `ManyCache`.
    """

    @abstractmethod
    def get(self, key: str) -> Buffer | None:
        """Return the whole value of a key; None if it is missing."""

    @abstractmethod
    def put(self, key: str, value: Buffer) -> None:
        """Keep a value and replace a former one. `value` must not be used after the call, because it may change."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove a key if it is present."""

    @abstractmethod
    def clear(self) -> None:
        """Remove all values."""


class Lease(Protocol):
    """The right to fetch missing values."""

    def release(self) -> None:
        """Release the lease: the values were put, or will not be."""
        ...


@runtime_checkable
class LeasingCache(Protocol):
    """A cache that lets one of several processes fetch a missing value. Optional."""

    @abstractmethod
    def lease(self, key: str) -> Lease | None:
        """Acquire the right to fetch the value of a key without waiting; None while another caller has it.

        A lease must expire soon after its holder died.
        """


@runtime_checkable
class ManyCache(Cache, Protocol):
    """A cache that handles many keys in one round trip. Each method is optional and has this default."""

    def get_many(self, keys: Sequence[str]) -> list[Buffer | None]:
        """Return the value of each key as `get` does."""
        return [self.get(key) for key in keys]

    def put_many(self, values: Mapping[str, Buffer]) -> None:
        """Keep each value as `put` does."""
        for key, value in values.items():
            self.put(key, value)

    def lease_many(self, keys: Sequence[str]) -> tuple[list[str], Lease]:
        """Acquire the leases that no other caller has; return their keys, and one lease for all of them.

        Only called if the cache has `lease`.
        """
        leases: dict[str, Lease] = {}
        try:
            for key in keys:
                lease = cast("LeasingCache", self).lease(key)
                if lease is not None:
                    leases[key] = lease
        except BaseException:
            Leases(leases.values()).release()
            raise
        return list(leases), Leases(leases.values())


class Leases:
    """Several leases that are released together."""

    def __init__(self, leases: Iterable[Lease]) -> None:
        self._leases = list(leases)

    def release(self) -> None:
        """Release all of them, even if releasing one fails."""
        leases, self._leases = self._leases, []
        with ExitStack() as stack:
            for lease in reversed(leases):
                stack.callback(lease.release)


NO_LEASE: Lease = Leases(())
"""The lease of callers that need none."""
