"""Shared caches of a store: looked up in order and backfilled, with leases, so that only one process fetches."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from obstore import Bytes

from obspec_utils._io.buffers import BufferList
from obspec_utils._redact import redacted
from obspec_utils.caches import LeasingCache, ManyCache
from obspec_utils.caches._circuit_breaker import CircuitBreaker
from obspec_utils.caches._protocol import NO_LEASE
from obspec_utils.wrappers.caching._keys import block_key, read_record, record_key, write_record
from obspec_utils.wrappers.caching._stats import Counters

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from obspec import Attributes, ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils.caches import Cache, Lease
    from obspec_utils.wrappers.caching._entries import Entry

__all__ = ["FIRST_PAUSE", "MAX_PAUSE", "MAX_WAIT", "SharedTier", "SharedTiers"]

# Bytes of blocks to look up at a time: a server holds one reply in its memory.
_BATCH_SIZE = 16 * 1024 * 1024

# The maximum time that one call waits for the leases of other processes, which expire if their holder dies, and the
# delay between two lookups, doubled from the first to the longest (s).
MAX_WAIT = 30.0
FIRST_PAUSE, MAX_PAUSE = 0.002, 0.05

# The leases that tasks of this process hold, by their ids. A task of another loop is never waited for: it may be
# waiting for the caller, or never run again (design/002).
_leased_by_tasks: dict[int, ref[_TaskLease]] = {}


class _TaskLease:
    """Lease that only tasks of the same event loop wait for.

    Ctrl-C may end a task before it releases its leases. Then they go with the task, or the next caller in this process
    releases them.
    """

    def __init__(self, keys: Iterable[str], lease: Lease, task: Task[Any]) -> None:
        self.keys = tuple(keys)
        self._lease = lease
        self._task = ref(task)
        _leased_by_tasks[id(self)] = ref(self)

    @property
    def loop(self) -> object:
        """The event loop that will run the task to its end; None if it has ended, or was left in a closed loop."""
        task = self._task()
        return None if task is None or task.done() or task.get_loop().is_closed() else task.get_loop()

    def release(self) -> None:
        self._lease.release()
        _leased_by_tasks.pop(id(self), None)


def _leased_elsewhere(loop: object) -> set[str]:
    """Return the keys leased by tasks of other event loops; release the leases that lost their task."""
    keys: set[str] = set()
    for identity, reference in list(_leased_by_tasks.items()):
        lease = reference()
        if lease is None:
            _leased_by_tasks.pop(identity, None)
        elif lease.loop is None:
            lease.release()
        elif lease.loop is not loop:
            keys.update(lease.keys)
    return keys


class _GuardedLease:
    """A lease that is released once, without raising."""

    def __init__(self, breaker: CircuitBreaker, lease: Lease) -> None:
        self._breaker = breaker
        self._lease = lease

    def release(self) -> None:
        lease, self._lease = self._lease, NO_LEASE
        with self._breaker:
            lease.release()


class SharedTier:
    """One shared cache behind a circuit breaker: after an error it is bypassed for a while, except by `delete`.

    Attributes
    ----------
    counters
        Hits and misses of blocks in this cache.
    """

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.counters = Counters()
        self.leases = isinstance(cache, LeasingCache)
        self._breaker = CircuitBreaker(redacted(repr(cache)))

    def get_many(self, keys: Sequence[str]) -> list[Buffer | None]:
        """Return the value of each key, or None; None for all if the cache fails."""
        if not self._breaker.is_open:
            with self._breaker:
                values = list(self._many("get_many")(keys))
                if len(values) == len(keys):
                    return [None if value is None else _immutable(value) for value in values]
                msg = f"{len(values)} values for {len(keys)} keys"
                raise ValueError(msg)
        return [None] * len(keys)

    def put_many(self, values: Mapping[str, Buffer]) -> None:
        """Put values, except those larger than the cache's `max_size`."""
        if self._breaker.is_open:
            return
        with self._breaker:
            max_size: int | None = getattr(self.cache, "max_size", None)
            fitting = {key: it for key, it in values.items() if max_size is None or memoryview(it).nbytes <= max_size}
            if fitting:
                self._many("put_many")(fitting)

    def delete(self, key: str) -> None:
        """Delete a key."""
        with self._breaker:
            self.cache.delete(key)

    def lease_many(self, keys: Sequence[str]) -> tuple[list[str], Lease]:
        """Lease those keys that no other process has leased; return them, and their lease.

        If the cache fails, every process gets all keys.
        """
        if not self._breaker.is_open:
            with self._breaker:
                taken, lease = self._many("lease_many")(keys)
                taken = set(taken)
                return [key for key in keys if key in taken], _GuardedLease(self._breaker, lease)
        return list(keys), NO_LEASE

    def _many(self, method: str) -> Any:  # noqa: ANN401 - a method of ManyCache
        """Return a method of the cache, or its default."""
        return getattr(self.cache, method, None) or partial(getattr(ManyCache, method), self.cache)


def _immutable(value: Buffer) -> Buffer:
    return value if isinstance(value, bytes | Bytes) else memoryview(value).tobytes()


class SharedTiers:
    """The shared caches of one store, the fastest first.

    Parameters
    ----------
    caches
        The caches; there may be none.
    namespace
        Distinguishes this store's keys from those of other stores.
    leases
        Whether to acquire leases. Of stacked caching stores only the innermost does, because they may share a cache.
    """

    def __init__(self, caches: Iterable[Cache], namespace: str, *, leases: bool = True) -> None:
        self.tiers = [SharedTier(cache) for cache in caches]
        self.namespace = namespace
        # The last cache is the one that most processes share.
        self._leasing = [tier for tier in self.tiers if tier.leases and leases][-1:]

    @property
    def takes_leases(self) -> bool:
        """Whether leases are acquired from one of the caches."""
        return bool(self._leasing)

    def __bool__(self) -> bool:
        return bool(self.tiers)

    def find_record(self, key: str, min_validated_at: float) -> tuple[ObjectMeta, Attributes, float] | None:
        """Return the latest version of an object in the tiers, or the first one that is fresh."""
        name = record_key(self.namespace, key)
        latest: tuple[ObjectMeta, Attributes, float] | None = None
        for position, tier in enumerate(self.tiers):
            (value,) = tier.get_many([name])
            found = None if value is None else read_record(value)
            if value is None or found is None or (latest is not None and found[2] <= latest[2]):
                continue
            latest = found
            for former in self.tiers[:position]:
                former.put_many({name: value})
            if found[2] >= min_validated_at:
                break
        return latest

    def publish(self, key: str, entry: Entry) -> None:
        """Put the version of an object into all tiers; delete it if it was invalidated in the meantime."""
        record = write_record(entry)
        if record is None or not entry.is_current:
            return
        name = record_key(self.namespace, key)
        for tier in self.tiers:
            tier.put_many({name: record})
        if not entry.is_current:
            self.invalidate(key)

    def invalidate(self, key: str) -> None:
        """Delete the version of an object from all tiers."""
        for tier in self.tiers:
            tier.delete(record_key(self.namespace, key))

    def names(self, key: str, entry: Entry, numbers: Iterable[int]) -> dict[int, str]:
        """Return the keys of blocks in the tiers; none for a version without a validator."""
        names = {number: block_key(self.namespace, key, entry, number) for number in numbers}
        return {number: name for number, name in names.items() if name is not None}

    def find(self, entry: Entry, names: dict[int, str], count_misses: bool) -> dict[int, BufferList]:  # noqa: FBT001
        """Return the named blocks found in the tiers; put blocks of a later tier into those before it."""
        missing = dict(names)
        found: dict[int, BufferList] = {}
        for position, tier in enumerate(self.tiers):
            cached = dict(self._look_up(tier, entry, missing))
            tier.counters.add(hits=len(cached), misses=(len(missing) - len(cached)) * count_misses)
            for former in self.tiers[:position] if cached else []:
                former.put_many({missing[number]: value for number, value in cached.items()})
            for number, value in cached.items():
                found[number] = BufferList([value], entry.block_range(number).start)
                del missing[number]
        return found

    def _look_up(self, tier: SharedTier, entry: Entry, names: dict[int, str]) -> Iterator[tuple[int, Buffer]]:
        numbers, count = list(names), max(1, _BATCH_SIZE // entry.block_size)
        for batch in (numbers[start : start + count] for start in range(0, len(numbers), count)):
            values = tier.get_many([names[number] for number in batch])
            for number, value in zip(batch, values, strict=True):
                if value is not None and memoryview(value).nbytes == entry.block_range(number).length:
                    yield number, value

    def put(self, entry: Entry, names: dict[int, str], blocks: dict[int, BufferList]) -> None:
        """Put blocks into all tiers."""
        values = {names[number]: parts.slice(*entry.block_range(number)) for number, parts in blocks.items()}
        for tier in self.tiers:
            tier.put_many(values)

    def lease(self, names: dict[int, str], task: Task[Any] | None) -> tuple[dict[int, str], Lease]:
        """Lease blocks, except those being fetched by a holder that the caller may wait for.

        Returns the leased blocks and their lease. `task` is the calling task; None for a thread.
        """
        taken, lease = self._lease(list(names.values()), task)
        mine = set(taken)
        return {number: name for number, name in names.items() if name in mine}, lease

    def lease_record(self, key: str, task: Task[Any] | None) -> Lease | None:
        """Lease the version of an object; None if another holder requests it and the caller may wait for it."""
        taken, lease = self._lease([record_key(self.namespace, key)], task)
        return lease if taken else None

    def _lease(self, names: list[str], task: Task[Any] | None) -> tuple[list[str], Lease]:
        elsewhere = _leased_elsewhere(None if task is None else task.get_loop())
        taken, lease = self._leasing[0].lease_many(names) if self._leasing else (names, NO_LEASE)
        if task is not None:
            lease = _TaskLease(taken, lease, task)
        return [*taken, *(elsewhere.intersection(names) - set(taken))], lease
