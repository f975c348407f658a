"""Counters of a caching store, and the summary of them that `cache_info()` returns."""

from __future__ import annotations

from dataclasses import dataclass, fields
from threading import get_ident
from typing import TYPE_CHECKING

from obspec_utils._redact import redacted
from obspec_utils._tables import html_table, labelled, text_table
from obspec_utils._text import count, size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from obspec_utils.caches import Cache, MemoryCache

__all__ = ["CacheInfo", "Counters", "TierInfo"]

_NAMES = ("hits", "bytes_served", "misses", "joined", "revalidations", "bytes_fetched", "requests")
_POSITIONS = {name: position for position, name in enumerate(_NAMES)}


class Counters:
    """Counters that are exact without a lock: each thread has its own.

    Thread identifiers are reused, so there are never more counters than the maximum number of concurrent threads.

    Attributes
    ----------
    by_thread
        The counters of each thread, in the order of `_NAMES`: hits and served bytes first.
    """

    def __init__(self) -> None:
        self.by_thread: dict[int, list[int]] = {}

    def add(self, **counts: int) -> None:
        """Add to counters."""
        counter = self.by_thread.setdefault(get_ident(), [0] * len(_NAMES))
        for name, number in counts.items():
            counter[_POSITIONS[name]] += number

    def served(self, hits: int, size: int) -> None:
        """Add the hits and the served bytes of one request; faster than `add`."""
        counter = self.by_thread.get(get_ident())
        if counter is None:
            self.add(hits=hits, bytes_served=size)
        else:
            counter[0] += hits
            counter[1] += size

    def __getitem__(self, name: str) -> int:
        return sum(counter[_POSITIONS[name]] for counter in list(self.by_thread.values()))


@dataclass(frozen=True, slots=True)
class TierInfo:
    """Statistics of one cache of a store.

    Attributes
    ----------
    name
        The cache's repr.
    hits, misses
        Objects or blocks that this store looked up there and found, or did not find.
    evictions
        Values evicted for space by all stores of this process that share it; None if the cache does not report it.
    size, max_size
        Bytes kept by all stores that share it, and the limit; None if the cache does not report it.
    """

    name: str
    hits: int
    misses: int
    evictions: int | None
    size: int | None
    max_size: int | None


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """Statistics of a caching store in this process, since it was made.

    Attributes
    ----------
    hits
        Objects or blocks found in a cache, in memory or shared.
    misses
        Objects or blocks fetched from the wrapped store.
    joined
        Objects or blocks that another thread or task was fetching already.
    evictions
        Values evicted from memory.
    requests
        Requests sent to the wrapped store for the cache, without retries. Calls that are only forwarded do not count.
    revalidations
        Requests to the wrapped store that revalidated a version: conditional ones, unless the store refuses these.
    bytes_fetched
        Bytes fetched from the wrapped store to be cached. Bytes that pass through uncached are not counted.
    bytes_served
        Bytes returned from the cache, including those just fetched.
    bytes_kept
        Bytes in memory.
    tiers
        The statistics of each cache, in lookup order.
    """

    hits: int
    misses: int
    joined: int
    evictions: int
    requests: int
    revalidations: int
    bytes_fetched: int
    bytes_served: int
    bytes_kept: int
    tiers: tuple[TierInfo, ...]

    @classmethod
    def of(cls, counters: Counters, memory: MemoryCache | None, shared: Iterable[tuple[Cache, Counters]]) -> CacheInfo:
        """Sum up the counters of a store and of its shared caches."""
        names = ("hits", "misses", "joined", "requests", "revalidations", "bytes_fetched", "bytes_served")
        counts = {name: counters[name] for name in names}
        infos = [_tier_info(cache, counted["hits"], counted["misses"]) for cache, counted in shared]
        if memory is not None:
            found = counts["hits"] - sum(info.hits for info in infos)
            lookups = counts["hits"] + counts["misses"] + counts["joined"]
            infos.insert(0, _tier_info(memory, found, lookups - found))
        evictions, kept = (0, 0) if memory is None else (memory.evictions, memory.size)
        return cls(**counts, evictions=evictions, bytes_kept=kept, tiers=tuple(infos))

    def __str__(self) -> str:
        return f"{text_table(self._counts())}\n\n{text_table(self._tiers(), _HEADS)}"

    def _repr_html_(self) -> str:
        return html_table(self._counts()) + html_table(self._tiers(), _HEADS)

    def _counts(self) -> list[tuple[str, str]]:
        return labelled({it.name: getattr(self, it.name) for it in fields(self) if it.name != "tiers"})

    def _tiers(self) -> list[list[str]]:
        return [_tier_row(tier) for tier in self.tiers]


_HEADS = ("tier", "hits", "misses", "evictions", "size", "max size")


def _tier_info(cache: Cache, hits: int, misses: int) -> TierInfo:
    numbers = [getattr(cache, name, None) for name in ("evictions", "size", "max_size")]
    # A user's own cache may have methods of these names.
    return TierInfo(redacted(repr(cache)), hits, misses, *(it if isinstance(it, int) else None for it in numbers))


def _tier_row(tier: TierInfo) -> list[str]:
    numbers = [count(tier.hits), count(tier.misses), count(tier.evictions)]
    return [tier.name, *numbers, size(tier.size), size(tier.max_size)]
