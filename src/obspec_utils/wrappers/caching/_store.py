"""A store that keeps what it has read, for all its consumers: whole objects or blocks, in memory and elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS
from obspec_utils._redact import redacted
from obspec_utils.wrappers._wrapper import StoreWrapper
from obspec_utils.wrappers.caching._blocks import BlockLoader
from obspec_utils.wrappers.caching._config import Config
from obspec_utils.wrappers.caching._entries import EntryTable
from obspec_utils.wrappers.caching._hits import make_hit
from obspec_utils.wrappers.caching._origin import Origin
from obspec_utils.wrappers.caching._preconditions import WHOLE
from obspec_utils.wrappers.caching._prefetch import prefetch, prefetch_async
from obspec_utils.wrappers.caching._reads import CachedReads
from obspec_utils.wrappers.caching._revalidation import Lookup
from obspec_utils.wrappers.caching._shared_tiers import SharedTiers
from obspec_utils.wrappers.caching._stats import CacheInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from obspec_utils._io.backends import Backend
    from obspec_utils.caches import Cache
    from obspec_utils.protocols import ReadableStore
    from obspec_utils.wrappers.caching._origin import BlockSize

__all__ = ["CachingReadableStore"]


class CachingReadableStore(CachedReads):
    """Keep what is read, for all consumers of this store: whole objects in memory, or blocks, or elsewhere too.

    By default, the first request for an object, whatever range it asks for, fetches all of it with one `get` of the
    store below. With a `block_size`, only the blocks that a request touches are fetched. Others that ask meanwhile, in
    threads or tasks, wait for the same fetch. What is cached is trusted until it is evicted, cleared, older than
    `max_age`, or changed through this store. No result made here mixes two versions of an object, provided that the
    wrapped store sends an ETag or else a Last-Modified date; where it sends neither, only sizes are compared. What only
    the store can answer, and what is too large to be kept, passes through, uncached.

    Pickling and `copy.copy` give a store with the same settings, whose caches in memory are empty and whose shared
    caches are the same.

    Parameters
    ----------
    store
        The store to read from.
    max_size
        The most bytes kept in memory. What is larger is served but not kept. With `cache`, that says how much.
    block_size
        Keep aligned blocks of so many bytes, not whole objects. `"auto"`: objects of up to 8 MiB whole, of larger ones
        blocks of 1 MiB.
    max_age
        For how many seconds (or what timedelta) an object is taken to be unchanged. Then one conditional request asks.
        By default without limit, but for one hour where a cache is shared.
    cache
        A cache, or several that are looked up in order and filled on the way back; see `obspec_utils.caches`. By
        default a `MemoryCache(max_size)`. A `MemoryCache` comes first; all others count as shared with other processes.
    namespace
        What tells this store's objects from those of other stores in shared caches. By default made of the store's
        kind, endpoint, region, bucket and prefix.

    Raises
    ------
    ValueError
        If a number is not positive, or `namespace` is missing where the store doesn't tell what it reads from.
    TypeError
        If an argument is of another kind, such as a folder as `cache`: give a `DiskCache` of that folder.
    """

    def __init__(
        self,
        store: ReadableStore,
        max_size: int = 256 * 1024 * 1024,
        *,
        block_size: BlockSize = None,
        max_age: float | timedelta | None = None,
        cache: Cache | Sequence[Cache] | None = None,
        namespace: str | None = None,
    ) -> None:
        super().__init__(store)
        self._settings = Config(max_size, block_size, max_age, cache, namespace)
        memory, shared = self._settings.caches()
        self._max_size = self._settings.max_size
        index = EntryTable(memory)
        namespace = self._settings.namespace_of(store) if shared else ""
        tiers = SharedTiers(shared, namespace, leases=not StoreWrapper._takes_leases(self))  # noqa: SLF001 - its own base
        origin = Origin(store, self._settings.block_size, self._limits())
        self._blocks = BlockLoader(origin, index, tiers, self._settings.seconds(shared=bool(shared)))
        self._hit = make_hit(self._blocks)

    def _arguments(self) -> tuple[object, ...]:
        return (self._max_size,)

    def _options(self) -> dict[str, Any]:
        return self._settings.options()

    @property
    def cache_size(self) -> int:
        """How many bytes are cached in memory, at most `max_size`."""
        return self._blocks.index.size

    @property
    def cached_paths(self) -> list[str]:
        """The paths of the objects cached in memory, whole or some of their blocks; the least recently used first."""
        return self._blocks.index.paths

    def cache_info(self) -> CacheInfo:
        """Return what this store's caches have done so far, in this process."""
        return CacheInfo.of(self._blocks.counters, self._blocks.index, self._blocks.tiers)

    def clear_cache(self) -> None:
        """Forget everything in memory, and keep nothing of the fetches under way.

        Shared caches keep their bytes, but before one of them is trusted the store below is asked for its version.
        """
        self._blocks.invalidate(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear_cache()

    def _repr_html_(self) -> str:
        return self.cache_info()._repr_html_()

    def prefetch(
        self, paths: Iterable[str], *, max_concurrent_requests: int = MAX_CONCURRENT_REQUESTS
    ) -> dict[str, Exception]:
        """Fetch whole objects into the cache, side by side.

        Parameters
        ----------
        paths
            Which objects.
        max_concurrent_requests
            How many requests are in flight at most. Where objects are cached whole, each is one `get` of the store
            below, which may make more of it.

        Returns
        -------
        dict
            What failed: for each path not cached now, why. Shared caches are not asked whether they have kept what
            was put there.
        """
        return prefetch(self._fetch_whole, self._kept, paths, max_concurrent_requests)

    async def prefetch_async(
        self, paths: Iterable[str], *, max_concurrent_requests: int = MAX_CONCURRENT_REQUESTS
    ) -> dict[str, Exception]:
        """Fetch whole objects into the cache as `prefetch` does, on the running event loop."""
        return await prefetch_async(self._fetch_whole, self._kept, paths, max_concurrent_requests)

    async def _fetch_whole(self, backend: Backend, path: str) -> None:
        found = await self._find(backend, path, WHOLE, whole=True, lazy=True)
        if not isinstance(found, Lookup):
            told = redacted(path)
            msg = f"{told!r} was not cached: it is larger than any cache of {self!r}, or its store can't get() it."
            raise ValueError(msg)  # noqa: TRY004 - it is not the type of an argument that is wrong
        if not found.blocks:
            await self._lazy_body(backend, path, found).pass_through(backend)
