"""Counters of a caching store, and the summary of them that `cache_info()` returns."""

from __future__ import annotations

from dataclasses import dataclass, fields
from html import escape
from threading import get_ident
from typing import TYPE_CHECKING

from obspec_utils._redact import redacted
from obspec_utils._text import count, size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from obspec_utils.caches import Cache, MemoryCache

__all__ = ["CacheInfo", "Counters", "TierInfo"]

_NAMES = ("hits", "served_bytes", "misses", "joined", "revalidations", "origin_bytes")
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
            self.add(hits=hits, served_bytes=size)
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
    revalidations
        Requests to the wrapped store that revalidated a version: conditional ones, unless the store refuses these.
    origin_bytes
        Bytes fetched from the wrapped store to be cached. Bytes that pass through uncached are not counted.
    served_bytes
        Bytes returned from the cache, including those just fetched.
    tiers
        The statistics of each cache, in lookup order.
    """

    hits: int
    misses: int
    joined: int
    evictions: int
    revalidations: int
    origin_bytes: int
    served_bytes: int
    tiers: tuple[TierInfo, ...]

    @classmethod
    def of(cls, counters: Counters, memory: MemoryCache | None, shared: Iterable[tuple[Cache, Counters]]) -> CacheInfo:
        """Sum up the counters of a store and of its shared caches."""
        names = ("hits", "misses", "joined", "revalidations", "origin_bytes", "served_bytes")
        counts = {name: counters[name] for name in names}
        infos = [_tier_info(cache, counted["hits"], counted["misses"]) for cache, counted in shared]
        if memory is not None:
            found = counts["hits"] - sum(info.hits for info in infos)
            lookups = counts["hits"] + counts["misses"] + counts["joined"]
            infos.insert(0, _tier_info(memory, found, lookups - found))
        return cls(**counts, evictions=0 if memory is None else memory.evictions, tiers=tuple(infos))

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {value}" for name, value in self._rows())
        tiers = "; ".join(f"{tier.name}: {size(tier.size)}" for tier in self.tiers)
        return f"{counts} ({tiers})"

    def _rows(self) -> list[tuple[str, str]]:
        names = [field.name for field in fields(self) if field.name != "tiers"]
        texts = [(size if name.endswith("_bytes") else count)(getattr(self, name)) for name in names]
        return list(zip([name.replace("_", " ") for name in names], texts, strict=True))

    def _repr_html_(self) -> str:
        counts = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in self._rows())
        heads = "".join(f"<th>{name}</th>" for name in ("tier", "hits", "misses", "evictions", "size", "max size"))
        tiers = "".join(_tier_row(tier) for tier in self.tiers)
        return f"<table>{counts}</table><table><tr>{heads}</tr>{tiers}</table>"


def _tier_info(cache: Cache, hits: int, misses: int) -> TierInfo:
    numbers = [getattr(cache, name, None) for name in ("evictions", "size", "max_size")]
    # A user's own cache may have methods of these names.
    return TierInfo(redacted(repr(cache)), hits, misses, *(it if isinstance(it, int) else None for it in numbers))


def _tier_row(tier: TierInfo) -> str:
    numbers = [count(tier.hits), count(tier.misses), count(tier.evictions)]
    sizes = [size(tier.size), size(tier.max_size)]
    return "".join(["<tr>", *(f"<td>{escape(text)}</td>" for text in (tier.name, *numbers, *sizes)), "</tr>"])
