"""Numbers to look at: what a caching store has done."""

from __future__ import annotations

from dataclasses import dataclass, fields
from html import escape
from typing import TYPE_CHECKING

from obspec_utils._redact import redacted

if TYPE_CHECKING:
    from obspec_utils.caches import Cache
    from obspec_utils.wrappers.caching._counters import Counters
    from obspec_utils.wrappers.caching._entries import EntryTable
    from obspec_utils.wrappers.caching._shared_tiers import SharedTiers

__all__ = ["CacheInfo", "TierInfo"]


@dataclass(frozen=True, slots=True)
class TierInfo:
    """What one cache of a store has done for it.

    Attributes
    ----------
    name
        The cache.
    hits, misses
        How many of the objects or blocks that were looked up there were there, and were not.
    evictions
        How many values have made room for others, of all who use it in this process; None if it can't tell.
    size, max_size
        The bytes kept, of all who use it, and the most that may be; None if it can't tell.
    """

    name: str
    hits: int
    misses: int
    evictions: int | None
    size: int | None
    max_size: int | None


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """What a caching store has done in this process since it was made.

    Attributes
    ----------
    hits
        How many objects, or blocks, were found in a cache, in memory or shared.
    misses
        How many were fetched from the store below.
    joined
        How many were being fetched by another thread or task, which was waited for.
    evictions
        How many were evicted from memory.
    revalidations
        How many times the store below was asked whether an object is still the same.
    origin_bytes
        The bytes fetched from the store below to be kept. What passes through uncached is not counted.
    served_bytes
        The bytes of the answers given from the cache, those just fetched included.
    tiers
        Each cache by itself, in the order they are looked up.
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
    def of(cls, counters: Counters, index: EntryTable, tiers: SharedTiers) -> CacheInfo:
        """Sum up what has been counted."""
        names = ("hits", "misses", "joined", "revalidations", "origin_bytes", "served_bytes")
        counts = {name: counters[name] for name in names}
        memory = index.memory
        infos = [_tier_info(tier.cache, tier.counters["hits"], tier.counters["misses"]) for tier in tiers.tiers]
        if memory is not None:
            found = counts["hits"] - sum(info.hits for info in infos)
            asked = counts["hits"] + counts["misses"] + counts["joined"]
            infos.insert(0, _tier_info(memory, found, asked - found))
        return cls(**counts, evictions=0 if memory is None else memory.evictions, tiers=tuple(infos))

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {value}" for name, value in self._rows())
        tiers = "; ".join(f"{tier.name}: {_text(tier.size, bytes_=True)}" for tier in self.tiers)
        return f"{counts} ({tiers})"

    def _rows(self) -> list[tuple[str, str]]:
        names = [field.name for field in fields(self) if field.name != "tiers"]
        return [(name.replace("_", " "), _text(getattr(self, name), bytes_=name.endswith("_bytes"))) for name in names]

    def _repr_html_(self) -> str:
        counts = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in self._rows())
        heads = "".join(f"<th>{name}</th>" for name in ("tier", "hits", "misses", "evictions", "size", "of"))
        tiers = "".join(_tier_row(tier) for tier in self.tiers)
        return f"<table>{counts}</table><table><tr>{heads}</tr>{tiers}</table>"


def _tier_info(cache: Cache, hits: int, misses: int) -> TierInfo:
    numbers = [getattr(cache, name, None) for name in ("evictions", "size", "max_size")]
    # A cache of a user's own may have methods of these names.
    return TierInfo(redacted(repr(cache)), hits, misses, *(it if isinstance(it, int) else None for it in numbers))


def _tier_row(tier: TierInfo) -> str:
    numbers = [_text(tier.hits), _text(tier.misses), _text(tier.evictions)]
    sizes = [_text(tier.size, bytes_=True), _text(tier.max_size, bytes_=True)]
    return "".join(["<tr>", *(f"<td>{escape(text)}</td>" for text in (tier.name, *numbers, *sizes)), "</tr>"])


def _text(number: int | None, *, bytes_: bool = False) -> str:
    if number is None:
        return "-"
    if not bytes_:
        return f"{number:,}"
    size = float(number)
    for block_size in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004 - the units are powers of it
            return f"{size:.4g} {block_size}"
        size /= 1024
    return f"{size:.4g} TiB"
