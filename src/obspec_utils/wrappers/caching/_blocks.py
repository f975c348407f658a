"""The road from a request to the bytes: what is in memory, what other caches have, what the store below has."""

from __future__ import annotations

import time
from functools import partial
from math import inf, nextafter
from typing import TYPE_CHECKING, Any, cast

from obspec_utils._io.single_flight import SingleFlight
from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS, REQUEST_SIZE, block_indices, covered_size
from obspec_utils.caches import DiskCache, MemoryCache
from obspec_utils.caches._lru import LruCache
from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.wrappers.caching._counters import Counters
from obspec_utils.wrappers.caching._read_through import SharedFetcher

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable, Iterable

    from obspec_utils._io.backends import RequestContext
    from obspec_utils._io.buffers import BufferList
    from obspec_utils._io.single_flight import Claim
    from obspec_utils._ranges import ByteRange
    from obspec_utils.wrappers.caching._entries import EntryTable
    from obspec_utils.wrappers.caching._entry import Entry
    from obspec_utils.wrappers.caching._origin import Origin
    from obspec_utils.wrappers.caching._shared_tiers import SharedTiers

__all__ = ["BlockLoader"]

# How much of a large object is fetched at a time: a full wave of requests.
_WINDOW = REQUEST_SIZE * MAX_CONCURRENT_REQUESTS
# How many changed paths are remembered.
_MAX_CHANGES = 65_536


class BlockLoader:
    """Everything that is kept of one store, and how blocks of a known version are found and fetched.

    Parameters
    ----------
    origin
        The store below.
    index
        What is in memory.
    tiers
        The caches shared with others.
    max_age
        For how many seconds a version is trusted; None for ever.
    """

    def __init__(self, origin: Origin, index: EntryTable, tiers: SharedTiers, max_age: float | None) -> None:
        self.index = index
        self.tiers = tiers
        self.max_age = max_age
        self.counters = Counters()
        self.by_blocks = origin.by_blocks
        self.in_flight: SingleFlight[Any] = SingleFlight()
        self.shared = SharedFetcher(origin, tiers, self.counters)
        self._limit = _max_read(index, tiers, by_blocks=origin.by_blocks)
        self.window = _WINDOW if self._limit is None else min(_WINDOW, max(self._limit // 2, 1))
        origin.first_size = min(origin.first_size, self.window)
        # Since when versions have to be checked again: everything, or what was changed through this store.
        self._cleared = 0.0
        # One call less on the way of every hit: where versions don't age, those that are known are trusted.
        self.trusted: Callable[[str], Entry | None] = index.find if max_age is None and not tiers else self.current
        self.block = index.block
        self._changed: LruCache[str, float] = LruCache(_MAX_CHANGES)

    def current(self, key: str) -> Entry | None:
        """Return the version of an object that is trusted now, if there is one of which something is kept."""
        entry = self.index.find(key)
        if entry is None or not (entry.blocks or self.tiers):
            return None
        # `forget` leaves nothing here that would have to be checked again.
        return entry if self.max_age is None or self.fresh(entry, time.time() - self.max_age) else None

    async def shared_entry(self, call: RequestContext) -> Entry | None:
        """Return the version of an object that a shared cache has, if it is trusted now."""
        return await self.shared.recorded(call, self.min_validated_at(call.key)) if self.tiers else None

    def fresh(self, entry: Entry, min_validated_at: float) -> bool:
        """Tell whether a version was checked late enough; not in the future, from where the clock was set back."""
        return min_validated_at <= entry.validated_at and (self.max_age is None or entry.validated_at <= time.time())

    def min_validated_at(self, key: str) -> float:
        """Return since when a version must have been checked to be trusted by a read that starts now."""
        least = 0.0 if self.max_age is None else time.time() - self.max_age
        return max(least, self._cleared, self._changed.peek(key) or 0.0)

    def invalidate(self, keys: Iterable[str] | None) -> None:
        """Forget objects, or all of them, in the memory of this process, also what is being fetched of them."""
        now = time.time()
        if keys is None:
            self._cleared = now
            self.in_flight.invalidate(None, self.index.clear)
            return
        for key in keys:
            self._changed.put(key, now, 1)
            # First what lands later is not kept, then what is there is dropped; no flight lands in between.
            self.in_flight.invalidate([key], partial(self.index.drop, key))

    async def evict_missing(self, call: RequestContext) -> None:
        """Forget an object that is not there any more."""
        if self.index.find(call.key) is not None or self.tiers:
            self.in_flight.invalidate([], partial(self.index.drop, call.key))
            await call.backend.call(self.tiers.invalidate, call.key)

    def too_large(self, entry: Entry, spans: list[ByteRange] | None) -> bool:
        """Tell whether no cache would keep what is to be fetched: the blocks of spans, or whole objects."""
        if self._limit is None or spans is None:
            return False
        if not self.by_blocks:
            return entry.size > self._limit
        return covered_size(spans, entry.size, entry.block_size) > self._limit

    def claim(self, call: RequestContext, entry: Entry, spans: list[ByteRange]) -> Claim:
        """Claim the blocks of spans of a version, those that nobody has or is fetching."""
        return call.backend.claim(
            self.in_flight, [(entry, number) for number in block_numbers(entry, spans)], self.index.block
        )

    async def load(
        self, call: RequestContext, entry: Entry, spans: list[ByteRange], claim: Claim | None = None
    ) -> dict[int, BufferList]:
        """Return the blocks of a version that hold spans of it.

        Raises
        ------
        ObjectChangedError
            If the object has another version by now, and not all of the blocks are kept.
        """
        if claim is None:
            entry = entry.canonical or entry
        there = {number: self.index.block((entry, number)) for number in block_numbers(entry, spans)}
        missing: list[Hashable] = [(entry, number) for number, parts in there.items() if parts is None]
        blocks = {number: parts for number, parts in there.items() if parts is not None}
        self.counters.add(hits=len(blocks))
        if not missing and claim is None:
            return blocks
        led: list[Hashable] = []  # what this read fetches itself

        def fetch(mine: list[Hashable]) -> Coroutine[Any, Any, dict[Hashable, BufferList]]:
            led.extend(mine)
            return self._bring(call, entry, mine)

        try:
            landed = await call.backend.single_flight(
                self.in_flight, missing, fetch, self.index.block, self._keep, claim
            )
        except ObjectChangedError:
            self._invalidate_version(call.key, entry)
            raise
        finally:
            if claim is not None:  # where there was no need of it any more, somebody may wait for it
                self.in_flight.abandon(claim)
        self.counters.add(joined=max(0, len(missing) - len(led)))
        return blocks | {number: landed[entry, number] for number in there if there[number] is None}

    async def fetch(self, call: RequestContext, entry: Entry, spans: list[ByteRange]) -> dict[ByteRange, BufferList]:
        """Fetch spans of a version, and keep nothing of them.

        Raises
        ------
        ObjectChangedError
            If the object has another version by now.
        """
        try:
            return await self.shared.ranges(call, entry, spans)
        except ObjectChangedError:
            self._invalidate_version(call.key, entry)
            raise

    def _invalidate_version(self, key: str, entry: Entry) -> None:
        """Forget a version that is not the object's any more, whoever else may still take it for that."""
        self._changed.put(key, max(self._changed.peek(key) or 0.0, nextafter(entry.validated_at, inf)), 1)
        self.in_flight.invalidate([], partial(self.index.drop, key, entry.canonical or entry))

    async def _bring(self, call: RequestContext, entry: Entry, mine: list[Hashable]) -> dict[Hashable, BufferList]:
        wanted = sorted(number for _, number in cast("list[tuple[Entry, int]]", mine))  # claimed in any order
        blocks = await self.shared.get_or_fetch(call, entry, wanted, whole=False)
        return {(entry, number): parts for number, parts in blocks.items()}

    def _keep(self, key: Hashable, parts: BufferList) -> None:
        entry, number = cast("tuple[Entry, int]", key)
        self.index.keep(entry, number, parts)


def _max_read(index: EntryTable, tiers: SharedTiers, *, by_blocks: bool) -> int | None:
    """Return how many bytes some cache can keep of one read; None if there is one that does not tell."""
    caches = [*([] if index.memory is None else [index.memory]), *(tier.cache for tier in tiers.tiers)]
    # Others may well take many blocks, though none larger than their `max_size`.
    totals = [cache for cache in caches if isinstance(cache, MemoryCache | DiskCache) or not by_blocks]
    sizes = [getattr(cache, "max_size", None) for cache in totals]
    return None if None in sizes or len(totals) < len(caches) else max(cast("list[int]", sizes))


def block_numbers(entry: Entry, spans: list[ByteRange]) -> list[int]:
    """Return the blocks that spans touch, in order."""
    return sorted({number for span in spans for number in block_indices(span, entry.size, entry.block_size)})
