"""The arguments of a caching store: checked, and passed on to its copies."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from numbers import Real
from os import PathLike
from typing import TYPE_CHECKING, Literal, cast

from obspec_utils._redact import shown
from obspec_utils._validation import check_choice, check_text, positive_int
from obspec_utils._version import CHECK_VERSION
from obspec_utils.caches import Cache, DiskCache, MemoryCache
from obspec_utils.wrappers.caching._namespace import default_namespace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obspec_utils._version import CheckVersion
    from obspec_utils.wrappers.caching._origin import BlockSize

__all__ = ["Config"]

_MAX_SIZE = 256 * 1024 * 1024
# The default of `max_age` for shared caches, in seconds.
_SHARED_MAX_AGE = 3600.0
# A fetch that reads ahead takes at most this part of each cache, so that several sequential reads fit into it; and at
# most this many bytes, which 18 connections transfer in little more than the time of one request.
_PART_AHEAD = 8
_MAX_AHEAD = 32 * 1024 * 1024


@dataclass(slots=True)
class Config:
    """The arguments of a `CachingReadableStore`, documented there."""

    max_size: int
    block_size: BlockSize
    max_age: float | timedelta | None
    cache: Cache | Sequence[Cache] | None
    namespace: str | None
    check_version: CheckVersion
    share: Literal["process"] | None
    read_ahead: bool

    def __post_init__(self) -> None:
        self.max_size = positive_int("max_size", self.max_size)
        self.check_version = check_choice("check_version", self.check_version, CHECK_VERSION)
        self.share = check_choice("share", self.share, (None, "process"))
        check_choice("read_ahead", self.read_ahead, (True, False))
        if isinstance(self.block_size, str):
            if self.block_size != "auto":
                msg = f"block_size must be a number of bytes, 'auto' or None, got {self.block_size!r}"
                raise ValueError(msg)
        elif self.block_size is not None:
            self.block_size = positive_int("block_size", self.block_size)
        if not isinstance(self.max_age, timedelta | Real | None):
            msg = f"max_age must be a number of seconds, a timedelta or None, got {shown(self.max_age)}"
            raise TypeError(msg)
        if self._seconds() is not None and not cast("float", self._seconds()) >= 0:
            msg = f"max_age must not be negative, got {self.max_age!r}"
            raise ValueError(msg)
        if self.namespace is not None and not check_text("namespace", self.namespace, "my-bucket").strip():
            msg = f"namespace must not be empty, got {self.namespace!r}"
            raise ValueError(msg)
        if self.cache is not None and self.max_size != _MAX_SIZE:
            msg = (
                f"max_size={self.max_size} can't be combined with cache=: set it on the cache, "
                "as in cache=MemoryCache(...)"
            )
            raise ValueError(msg)

    def _seconds(self) -> float | None:
        return self.max_age.total_seconds() if isinstance(self.max_age, timedelta) else self.max_age

    def max_age_seconds(self, *, shared: bool) -> float | None:
        """Return the seconds for which versions are trusted; None for ever."""
        seconds = self._seconds()
        return _SHARED_MAX_AGE if seconds is None and shared else seconds

    def _cache_list(self) -> list[Cache]:
        if self.cache is None:
            return [MemoryCache(self.max_size)]
        given: object = self.cache
        if isinstance(given, Cache):
            return [given]
        if isinstance(given, str | PathLike) or not isinstance(given, Iterable):
            msg = f"cache must be a cache such as DiskCache('/tmp/cache', 10**9), or a list, got {shown(given)}"
            raise TypeError(msg)
        return list(given)

    def caches(self) -> tuple[MemoryCache | None, list[Cache]]:
        """Return the memory cache, if there is one, and the shared caches."""
        given = self._cache_list()
        for cache in given:
            if isinstance(cache, type) or not isinstance(cache, Cache):
                msg = (
                    "A cache must have the methods get, put, delete and clear (obspec_utils.caches.Cache), got "
                    f"{shown(cache)}"
                )
                raise TypeError(msg)
            if not isinstance(getattr(cache, "max_size", None), int | float | None):
                msg = f"max_size of a cache must be a number of bytes or None, got {shown(cache)}"
                raise TypeError(msg)
        memory, shared = (given[0], given[1:]) if given and isinstance(given[0], MemoryCache) else (None, given)
        if not given or any(isinstance(cache, MemoryCache) for cache in shared):
            msg = f"cache must have at least one cache, and a MemoryCache only in first place, got {shown(self.cache)}"
            raise ValueError(msg)
        return memory, shared

    def max_read(self, memory: MemoryCache | None, shared: list[Cache]) -> int | None:
        """Return the maximum number of bytes of one read that a cache can keep; None if a cache does not report it."""
        caches = shared if memory is None else [memory, *shared]
        # The `max_size` of other caches limits one value: they may keep many blocks.
        totals = [cache for cache in caches if isinstance(cache, MemoryCache | DiskCache) or self.block_size is None]
        sizes = [getattr(cache, "max_size", None) for cache in totals]
        return None if None in sizes or len(totals) < len(caches) else max(cast("list[int]", sizes))

    def max_ahead(self, memory: MemoryCache | None, shared: list[Cache]) -> int:
        """Return the maximum number of bytes of a fetch that reads ahead; 0 to read nothing ahead."""
        caches = [memory, *shared]
        sizes = [cache.max_size for cache in caches if isinstance(cache, MemoryCache | DiskCache)]
        return min([_MAX_AHEAD, *(size // _PART_AHEAD for size in sizes)]) if self.read_ahead else 0

    def namespace_of(self, store: object) -> str:
        """Return the namespace of a store in shared caches: stores that compare different things share no values."""
        namespace = self.namespace or default_namespace(store)
        return namespace if self.check_version == "auto" else f"{namespace}\n{self.check_version}"

    def options(self) -> dict[str, object]:
        """Return the keyword arguments of a copy, whose memory cache is new and empty."""
        caches = self.cache
        if isinstance(caches, MemoryCache):
            caches = copy.copy(caches)
        elif caches is not None and not isinstance(caches, Cache):
            caches = [copy.copy(cache) if isinstance(cache, MemoryCache) else cache for cache in caches]
        options = {
            "block_size": self.block_size,
            "max_age": self.max_age,
            "cache": caches,
            "namespace": self.namespace,
            "check_version": None if self.check_version == "auto" else self.check_version,
            "share": self.share,
            "read_ahead": None if self.read_ahead else False,
        }
        return {name: value for name, value in options.items() if value is not None}
