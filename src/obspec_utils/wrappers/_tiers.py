"""The caches that a store shares with others: looked up in order, filled on the way back."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, cast

from obspec_utils._buffers import Parts
from obspec_utils.caches import LeasingCache
from obspec_utils.caches._trouble import Trouble
from obspec_utils.wrappers._records import block_key, read_record, record_key, write_record
from obspec_utils.wrappers._tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from obspec import Attributes, ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils.caches import Cache, Lease
    from obspec_utils.wrappers._known import Known

__all__ = ["Tier", "Tiers"]


class Tier:
    """One shared cache: where it fails, it has nothing.

    Attributes
    ----------
    tally
        Counts hits and misses: how many of the blocks that were looked up here were there, and were not.
    """

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.tally = Tally()
        self._trouble = Trouble(repr(cache))

    def get_many(self, keys: Sequence[str]) -> list[Buffer | None]:
        """Look keys up, in one go if the cache can."""
        many: Callable[[Sequence[str]], list[Buffer | None]] | None = getattr(self.cache, "get_many", None)
        try:
            values = [self.cache.get(key) for key in keys] if many is None else list(many(keys))
            return values if len(values) == len(keys) else [None] * len(keys)
        except Exception as error:  # noqa: BLE001 - whatever a user's cache may raise
            self._trouble.met(error)
            return [None] * len(keys)

    def put(self, key: str, value: Buffer) -> None:
        """Keep a value, unless the cache says that it is too large."""
        most: int | None = getattr(self.cache, "max_size", None)
        if most is None or memoryview(value).nbytes <= most:
            with self._noting():
                self.cache.put(key, value)

    def delete(self, key: str) -> None:
        """Forget a key."""
        with self._noting():
            self.cache.delete(key)

    def lease(self, key: str) -> Lease | None:
        """Take the right to fetch what belongs under a key; None while somebody else has it."""
        with self._noting():
            return cast("LeasingCache", self.cache).lease(key)
        return _NoLease()

    def _noting(self) -> suppress:
        return _Noting(self._trouble)


class _Noting(suppress):
    """Keeps a cache's errors from whoever reads."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(Exception)
        self._trouble = trouble

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Exception):
            self._trouble.met(error)
        return isinstance(error, Exception)


# What tasks of this process are fetching. A thread never waits for a task, see design/002: it may be on its loop.
# Each lease by itself: there may be one of a key in each of several caches.
_led_by_tasks: set[tuple[str, int]] = set()


class _TaskLease:
    """A lease that threads of this process do not wait for."""

    def __init__(self, lease: Lease, key: str) -> None:
        self._lease = lease
        self._mark = key, id(self)
        _led_by_tasks.add(self._mark)

    def release(self) -> None:
        _led_by_tasks.discard(self._mark)
        self._lease.release()

    def __del__(self) -> None:
        _led_by_tasks.discard(self._mark)


class _NoLease:
    """What is got where leases are unknown: everybody may fetch."""

    def release(self) -> None:
        pass


class Tiers:
    """Several shared caches, the fastest first, and what one store keeps there.

    Parameters
    ----------
    caches
        The caches. There may be none.
    namespace
        What tells this store's objects from those of others.
    """

    def __init__(self, caches: Iterable[Cache], namespace: str) -> None:
        self.tiers = [Tier(cache) for cache in caches]
        self.namespace = namespace
        # The cache that most processes share is the last one.
        self._leasing = [tier for tier in self.tiers if isinstance(tier.cache, LeasingCache)][-1:]

    def __bool__(self) -> bool:
        return bool(self.tiers)

    def record(self, path: str, oldest: float) -> tuple[ObjectMeta, Attributes, float] | None:
        """Return the version that a path had last, as far as any tier knows; at once if one knows it since `oldest`."""
        key = record_key(self.namespace, path)
        latest: tuple[ObjectMeta, Attributes, float] | None = None
        for position, tier in enumerate(self.tiers):
            (value,) = tier.get_many([key])
            found = None if value is None else read_record(value)
            if value is None or found is None or (latest is not None and found[2] <= latest[2]):
                continue
            latest = found
            for former in self.tiers[:position]:
                former.put(key, value)
            if found[2] >= oldest:
                break
        return latest

    def publish(self, path: str, known: Known) -> None:
        """Tell all tiers which version a path has; take it back if it was dropped meanwhile."""
        record = write_record(known)
        if record is None or not known.alive:
            return
        key = record_key(self.namespace, path)
        for tier in self.tiers:
            tier.put(key, record)
        if not known.alive:
            self.forget(path)

    def forget(self, path: str) -> None:
        """Forget which version a path has."""
        for tier in self.tiers:
            tier.delete(record_key(self.namespace, path))

    def find(self, path: str, known: Known, numbers: Iterable[int], first: bool) -> dict[int, Parts]:  # noqa: FBT001
        """Return those of the blocks of a version that are in a tier, and put them into the tiers before it.

        What is missing counts when it is looked up `first`.
        """
        keys = {number: block_key(self.namespace, path, known, number) for number in numbers}
        missing = {number: key for number, key in keys.items() if key is not None}
        found: dict[int, Parts] = {}
        for position, tier in enumerate(self.tiers):
            if not missing:
                break
            values = zip(list(missing.items()), tier.get_many(list(missing.values())), strict=True)
            for (number, key), value in values:
                parts = None if value is None else Parts([value], known.span(number).start)
                if value is None or parts is None or len(parts) != known.span(number).length:
                    tier.tally.add(misses=int(first))
                    continue
                tier.tally.add(hits=1)
                found[number] = parts
                del missing[number]
                for former in self.tiers[:position]:
                    former.put(key, value)
        return found

    def put(self, path: str, known: Known, blocks: dict[int, Parts]) -> None:
        """Put blocks of a version into all tiers."""
        for number, parts in blocks.items():
            key = block_key(self.namespace, path, known, number)
            if key is not None and len(parts):
                value = parts.slice(parts.start, parts.stop)
                for tier in self.tiers:
                    tier.put(key, value)

    def lease(self, path: str, known: Known, numbers: Iterable[int], by_task: bool) -> dict[int, Lease]:  # noqa: FBT001
        """Take the right to fetch blocks; without those that others are fetching and that may be waited for."""
        leases = {}
        for number in numbers:
            key = block_key(self.namespace, path, known, number)
            lease = _NoLease() if key is None else self._lease(key, by_task)
            if lease is not None:
                leases[number] = lease
        return leases

    def lease_path(self, path: str, by_task: bool) -> Lease | None:  # noqa: FBT001
        """Take the right to ask for the version of a path; None while others ask that may be waited for."""
        return self._lease(record_key(self.namespace, path), by_task)

    def _lease(self, key: str, by_task: bool) -> Lease | None:  # noqa: FBT001
        lease = self._leasing[0].lease(key) if self._leasing else _NoLease()
        if lease is None:
            led_by_task = any(led == key for led, _ in list(_led_by_tasks))
            return _NoLease() if led_by_task and not by_task else None
        return _TaskLease(lease, key) if by_task else lease
