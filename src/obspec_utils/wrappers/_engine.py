"""The road from a request to the bytes: what is in memory, what other caches have, what the store below has."""

from __future__ import annotations

import time
from functools import partial
from math import inf, nextafter
from typing import TYPE_CHECKING, Any, cast

from obspec_utils._flight import Flights
from obspec_utils._plan import MAX_CONCURRENT_REQUESTS, REQUEST_SIZE, align, extent
from obspec_utils.caches import DiskCache, MemoryCache
from obspec_utils.caches._lru import MAX_ENTRIES, LruCache
from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.wrappers._shared import Shared
from obspec_utils.wrappers._tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable, Iterable

    from obspec_utils._buffers import Parts
    from obspec_utils._flight import Ticket
    from obspec_utils._plan import Span
    from obspec_utils.wrappers._index import Index
    from obspec_utils.wrappers._known import Known
    from obspec_utils.wrappers._origin import Origin
    from obspec_utils.wrappers._tiers import Tiers
    from obspec_utils.wrappers._ways import Call

__all__ = ["Engine"]

# How much of a large object is fetched at a time: a full wave of requests.
_WINDOW = REQUEST_SIZE * MAX_CONCURRENT_REQUESTS


class Engine:
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

    def __init__(self, origin: Origin, index: Index, tiers: Tiers, max_age: float | None) -> None:
        self.index = index
        self.tiers = tiers
        self.max_age = max_age
        self.tally = Tally()
        self.by_blocks = origin.by_blocks
        self.flights: Flights[Any] = Flights()
        self.shared = Shared(origin, tiers, self.tally)
        self._limit = _largest(index, tiers, by_blocks=origin.by_blocks)
        self.window = _WINDOW if self._limit is None else min(_WINDOW, max(self._limit // 2, 1))
        origin.first_size = min(origin.first_size, self.window)
        # Since when versions have to be checked again: everything, or what was changed through this store.
        self._cleared = 0.0
        # One call less on the way of every hit: where versions don't age, those that are known are trusted.
        self.trusted: Callable[[str], Known | None] = index.find if max_age is None and not tiers else self.current
        self.block = index.block
        self._changed: LruCache[str, float] = LruCache(MAX_ENTRIES)

    def current(self, key: str) -> Known | None:
        """Return the version of an object that is trusted now, if there is one of which something is kept."""
        known = self.index.find(key)
        if known is None or not (known.blocks or self.tiers):
            return None
        # `forget` leaves nothing here that would have to be checked again.
        return known if self.max_age is None or self.fresh(known, time.time() - self.max_age) else None

    async def found_elsewhere(self, call: Call) -> Known | None:
        """Return the version of an object that a shared cache has, if it is trusted now."""
        return await self.shared.recorded(call, self.oldest(call.key)) if self.tiers else None

    def fresh(self, known: Known, oldest: float) -> bool:
        """Tell whether a version was checked late enough; not in the future, from where the clock was set back."""
        return oldest <= known.checked and (self.max_age is None or known.checked <= time.time())

    def oldest(self, key: str) -> float:
        """Return since when a version must have been checked to be trusted by a read that starts now."""
        least = 0.0 if self.max_age is None else time.time() - self.max_age
        return max(least, self._cleared, self._changed.peek(key) or 0.0)

    def forget(self, keys: Iterable[str] | None) -> None:
        """Forget objects, or all of them, in the memory of this process, also what is being fetched of them."""
        now = time.time()
        if keys is None:
            self._cleared = now
            self.flights.forget(None, self.index.clear)
            return
        for key in keys:
            self._changed.put(key, now, 1)
            # First what lands later is not kept, then what is there is dropped; no flight lands in between.
            self.flights.forget([key], partial(self.index.drop, key))

    async def lose(self, call: Call) -> None:
        """Forget an object that is not there any more."""
        if self.index.find(call.key) is not None or self.tiers:
            self.flights.forget([], partial(self.index.drop, call.key))
            await call.way.call(self.tiers.forget, call.key)

    def too_large(self, known: Known, spans: list[Span] | None) -> bool:
        """Tell whether no cache would keep what is to be fetched: the blocks of spans, or whole objects."""
        if self._limit is None or spans is None:
            return False
        if not self.by_blocks:
            return known.size > self._limit
        return extent(spans, known.size, known.unit) > self._limit

    def claim(self, call: Call, known: Known, spans: list[Span]) -> Ticket:
        """Claim the blocks of spans of a version, those that nobody has or is fetching."""
        return call.way.claim(self.flights, [(known, number) for number in numbers(known, spans)], self.index.block)

    async def load(self, call: Call, known: Known, spans: list[Span], ticket: Ticket | None = None) -> dict[int, Parts]:
        """Return the blocks of a version that hold spans of it.

        Raises
        ------
        ObjectChangedError
            If the object has another version by now, and not all of the blocks are kept.
        """
        if ticket is None:
            known = known.twin or known
        there = {number: self.index.block((known, number)) for number in numbers(known, spans)}
        missing: list[Hashable] = [(known, number) for number, parts in there.items() if parts is None]
        blocks = {number: parts for number, parts in there.items() if parts is not None}
        self.tally.add(hits=len(blocks))
        if not missing and ticket is None:
            return blocks
        led: list[Hashable] = []  # what this read fetches itself

        def fetch(mine: list[Hashable]) -> Coroutine[Any, Any, dict[Hashable, Parts]]:
            led.extend(mine)
            return self._bring(call, known, mine)

        try:
            landed = await call.way.fly(self.flights, missing, fetch, self.index.block, self._keep, ticket)
        except ObjectChangedError:
            self._distrust(call.key, known)
            raise
        finally:
            if ticket is not None:  # where there was no need of it any more, somebody may wait for it
                self.flights.abandon(ticket)
        self.tally.add(joined=max(0, len(missing) - len(led)))
        return blocks | {number: landed[known, number] for number in there if there[number] is None}

    async def fetch(self, call: Call, known: Known, spans: list[Span]) -> dict[Span, Parts]:
        """Fetch spans of a version, and keep nothing of them.

        Raises
        ------
        ObjectChangedError
            If the object has another version by now.
        """
        try:
            return await self.shared.ranges(call, known, spans)
        except ObjectChangedError:
            self._distrust(call.key, known)
            raise

    def _distrust(self, key: str, known: Known) -> None:
        """Forget a version that is not the object's any more, whoever else may still take it for that."""
        self._changed.put(key, max(self._changed.peek(key) or 0.0, nextafter(known.checked, inf)), 1)
        self.flights.forget([], partial(self.index.drop, key, known.twin or known))

    async def _bring(self, call: Call, known: Known, mine: list[Hashable]) -> dict[Hashable, Parts]:
        wanted = sorted(number for _, number in cast("list[tuple[Known, int]]", mine))  # claimed in any order
        blocks = await self.shared.bring(call, known, wanted, whole=False)
        return {(known, number): parts for number, parts in blocks.items()}

    def _keep(self, key: Hashable, parts: Parts) -> None:
        known, number = cast("tuple[Known, int]", key)
        self.index.keep(known, number, parts)


def _largest(index: Index, tiers: Tiers, *, by_blocks: bool) -> int | None:
    """Return how many bytes some cache can keep of one read; None if there is one that does not tell."""
    caches = [*([] if index.memory is None else [index.memory]), *(tier.cache for tier in tiers.tiers)]
    # Others may well take many blocks, though none larger than their `max_size`.
    totals = [cache for cache in caches if isinstance(cache, MemoryCache | DiskCache) or not by_blocks]
    sizes = [getattr(cache, "max_size", None) for cache in totals]
    return None if None in sizes or len(totals) < len(caches) else max(cast("list[int]", sizes))


def numbers(known: Known, spans: list[Span]) -> list[int]:
    """Return the blocks that spans touch, in order."""
    return sorted({number for span in spans for number in align(span, known.size, known.unit)})
