"""The caches that a store shares with others: looked up in order, filled on the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obspec_utils._io.buffers import BufferList
from obspec_utils.caches._protocol import NO_LEASE
from obspec_utils.wrappers.caching._keys import block_key, read_record, record_key, write_record
from obspec_utils.wrappers.caching._shared_tier import SharedTier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from obspec import Attributes, ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils.caches import Cache, Lease
    from obspec_utils.wrappers.caching._entry import Entry

__all__ = ["SharedTiers"]

# How many bytes of blocks a cache is asked for at a time: what a server has to hold in its memory as one answer.
_BATCH = 16 * 1024 * 1024

# What tasks of this process are fetching, and on which event loop. Nobody waits for a task of another loop, see
# design/002: it may be waiting for whoever asks, or never run again. Each lease by itself: there may be one of a key in
# each of several caches.
_leased_by_tasks: dict[tuple[str, int], object] = {}


class _TaskLease:
    """A lease that only tasks of its own event loop wait for."""

    def __init__(self, keys: Iterable[str], lease: Lease, loop: object) -> None:
        self._lease = lease
        self._marks = [(key, id(self)) for key in keys]
        _leased_by_tasks.update(dict.fromkeys(self._marks, loop))

    def release(self) -> None:
        self._invalidate()
        self._lease.release()

    def _invalidate(self) -> None:
        for mark in self._marks:
            _leased_by_tasks.pop(mark, None)

    __del__ = _invalidate


class SharedTiers:
    """Several shared caches, the fastest first, and what one store keeps there.

    Parameters
    ----------
    caches
        The caches. There may be none.
    namespace
        What tells this store's objects from those of others.
    leases
        Whether to take leases. A caching store among the wrapped ones does so itself, maybe the same ones.
    """

    def __init__(self, caches: Iterable[Cache], namespace: str, *, leases: bool = True) -> None:
        self.tiers = [SharedTier(cache) for cache in caches]
        self.namespace = namespace
        # The cache that most processes share is the last one.
        self._leasing = [tier for tier in self.tiers if tier.leases and leases][-1:]

    @property
    def takes_leases(self) -> bool:
        """Whether one of the caches has leases, which are taken."""
        return bool(self._leasing)

    def __bool__(self) -> bool:
        return bool(self.tiers)

    def record(self, path: str, min_validated_at: float) -> tuple[ObjectMeta, Attributes, float] | None:
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
                former.put_many({key: value})
            if found[2] >= min_validated_at:
                break
        return latest

    def publish(self, path: str, entry: Entry) -> None:
        """Tell all tiers which version a path has; take it back if it was dropped meanwhile."""
        record = write_record(entry)
        if record is None or not entry.is_current:
            return
        key = record_key(self.namespace, path)
        for tier in self.tiers:
            tier.put_many({key: record})
        if not entry.is_current:
            self.invalidate(path)

    def invalidate(self, path: str) -> None:
        """Forget which version a path has."""
        for tier in self.tiers:
            tier.delete(record_key(self.namespace, path))

    def find(self, path: str, entry: Entry, numbers: Iterable[int], first: bool) -> dict[int, BufferList]:  # noqa: FBT001
        """Return those of the blocks of a version that are in a tier, and put them into the tiers before it.

        What is missing counts when it is looked up `first`.
        """
        missing = self._keys(path, entry, numbers)
        found: dict[int, BufferList] = {}
        for position, tier in enumerate(self.tiers):
            there = dict(self._look(tier, entry, missing))
            tier.counters.add(hits=len(there), misses=(len(missing) - len(there)) * first)
            for former in self.tiers[:position]:
                former.put_many({missing[number]: value for number, value in there.items()})
            for number, value in there.items():
                found[number] = BufferList([value], entry.span(number).start)
                del missing[number]
        return found

    def _keys(self, path: str, entry: Entry, numbers: Iterable[int]) -> dict[int, str]:
        """Return what the blocks of a version are kept by; none of them if it can't be told from others."""
        keys = {number: block_key(self.namespace, path, entry, number) for number in numbers}
        return {number: key for number, key in keys.items() if key is not None}

    def _look(self, tier: SharedTier, entry: Entry, keys: dict[int, str]) -> Iterator[tuple[int, Buffer]]:
        numbers, most = list(keys), max(1, _BATCH // entry.block_size)
        for batch in (numbers[start : start + most] for start in range(0, len(numbers), most)):
            values = tier.get_many([keys[number] for number in batch])
            for number, value in zip(batch, values, strict=True):
                if value is not None and memoryview(value).nbytes == entry.span(number).length:
                    yield number, value

    def put(self, path: str, entry: Entry, blocks: dict[int, BufferList]) -> None:
        """Put blocks of a version into all tiers."""
        keys = self._keys(path, entry, (number for number, parts in blocks.items() if len(parts)))
        values = {key: blocks[number].slice(*entry.span(number)) for number, key in keys.items()}
        for tier in self.tiers:
            tier.put_many(values)

    def lease(self, path: str, entry: Entry, numbers: list[int], loop: object) -> tuple[list[int], Lease]:
        """Take the right to fetch blocks, but for those that others are fetching and that may be waited for.

        Returns the blocks, and what gives it back. The `loop` is that of the task that asks; None for a thread.
        """
        keys = self._keys(path, entry, numbers)
        if not keys:
            return numbers, NO_LEASE
        taken, lease = self._lease(list(keys.values()), loop)
        mine = set(taken)
        return [number for number, key in keys.items() if key in mine], lease

    def lease_record(self, path: str, loop: object) -> Lease | None:
        """Take the right to ask for the version of a path; None while others ask that may be waited for."""
        taken, lease = self._lease([record_key(self.namespace, path)], loop)
        return lease if taken else None

    def _lease(self, keys: list[str], loop: object) -> tuple[list[str], Lease]:
        taken, lease = self._leasing[0].lease_many(keys) if self._leasing else (keys, NO_LEASE)
        if loop is not None:
            lease = _TaskLease(taken, lease, loop)
        elsewhere = {key for (key, _), its_loop in _leased_by_tasks.copy().items() if its_loop is not loop}
        return [*taken, *(elsewhere.intersection(keys) - set(taken))], lease
