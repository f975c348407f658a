"""A store that caches what it reads: whole objects or blocks, in memory and in shared caches."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

from obspec_utils._io.backends import ASYNC, SYNC, run_sync
from obspec_utils._io.interruptible import interruptible
from obspec_utils._progress import progress_setting
from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS
from obspec_utils._redact import redacted
from obspec_utils.wrappers._wrapper import StoreWrapper
from obspec_utils.wrappers.caching._blocks import BlockLoader
from obspec_utils.wrappers.caching._config import Config
from obspec_utils.wrappers.caching._context import RequestContext
from obspec_utils.wrappers.caching._entries import EntryTable
from obspec_utils.wrappers.caching._invalidation import invalidating, invalidating_async, mutation_of
from obspec_utils.wrappers.caching._keys import cache_key
from obspec_utils.wrappers.caching._lookup import Lookup
from obspec_utils.wrappers.caching._origin import Origin
from obspec_utils.wrappers.caching._preconditions import WHOLE
from obspec_utils.wrappers.caching._prefetch import prefetch, prefetch_async
from obspec_utils.wrappers.caching._process_caches import PROCESS_CACHES
from obspec_utils.wrappers.caching._reads import CachedReads, make_hit
from obspec_utils.wrappers.caching._revalidation import Revalidator
from obspec_utils.wrappers.caching._shared_tiers import SharedTiers
from obspec_utils.wrappers.caching._stats import CacheInfo, Counters

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from obspec_utils._io.backends import Backend
    from obspec_utils._io.progress import Counter
    from obspec_utils._progress import ProgressArgument
    from obspec_utils._version import CheckVersion
    from obspec_utils.caches import Cache
    from obspec_utils.protocols import ReadableStore
    from obspec_utils.wrappers.caching._origin import BlockSize
    from obspec_utils.wrappers.caching._process_caches import ShareKey, User

__all__ = ["CachingReadableStore"]


class CachingReadableStore(CachedReads):
    """Cache whole objects or blocks of them, in memory and in caches shared with other processes.

    By default, the first request for any range of an object fetches the whole object with one `get` of the wrapped
    store. With a `block_size`, a request fetches only the blocks it touches. Threads and tasks that request the same
    bytes concurrently wait for the same fetch. Cached bytes are trusted until they are evicted, cleared, older than
    `max_age`, or changed through this store. A result never mixes two versions of an object if the wrapped store sends
    an ETag or else a Last-Modified date; if it sends neither, only sizes are compared. Requests that only the wrapped
    store can serve, and objects too large to be cached, pass through.

    Copies and pickles have the same arguments and shared caches, and an empty memory cache, unless `share` says
    otherwise.

    Parameters
    ----------
    store
        The store to read from.
    max_size
        The maximum number of bytes cached in memory. Larger objects are served but not cached. Can't be combined with
        `cache`: set it on the cache.
    block_size
        Cache aligned blocks of this many bytes instead of whole objects. `"auto"` caches objects of up to 8 MiB whole,
        and larger ones in blocks of 1 MiB.
    max_age
        Seconds (or a timedelta) for which a cached object is fresh; then a conditional request revalidates it. By
        default without limit, or one hour if a cache is shared.
    cache
        A cache, or several in lookup order, which are backfilled; see `obspec_utils.caches`. By default a
        `MemoryCache(max_size)`. A `MemoryCache` must be first; all others count as shared with other processes.
    namespace
        A name that distinguishes this store's objects from those of other stores in shared caches. By default derived
        from the configuration of obstore's stores: class, endpoint, region, bucket or container and account, prefix or
        URL.
    check_version
        What tells versions of an object apart, beside the size: "auto" (the ETag, or else the date), "etag", "date", or
        "size" for nothing else; for servers that send different ETags or dates for the same bytes. Objects without what
        it names are cached as those that have neither ETag nor date.
    share
        "process": copies of this store that are unpickled in other processes share one memory cache in each of them, as
        the tasks of a worker need that each unpickle a copy. The cache is freed when no copy has lived for a minute.
        None (default): each copy has its own.
    read_ahead
        Whether a miss at the end of blocks that were read in sequence fetches more of them: 1, 2, 4 and so on, up to an
        eighth of the smallest cache's `max_size` and 32 MiB at a time. Objects that are cached whole need none.

    Raises
    ------
    ValueError
        If a number is not positive, `check_version`, `share` or `read_ahead` is none of these, `max_size` is combined
        with `cache`, or a shared cache needs a `namespace`, because the location of the store can't be derived from its
        configuration.
    TypeError
        If an argument has another type, such as a folder as `cache`: pass a `DiskCache` of that folder.

    Examples
    --------
    ```python
    from obspec_utils.wrappers import CachingReadableStore

    cached = CachingReadableStore(store, block_size="auto", max_age=3600)
    start = cached.get_range("large.bin", start=0, length=100)  # fetches a block
    again = cached.get_range("large.bin", start=50, length=10)  # from memory
    ```
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
        check_version: CheckVersion = "auto",
        share: Literal["process"] | None = None,
        read_ahead: bool = True,
    ) -> None:
        super().__init__(store)
        self._config = config = Config(
            max_size, block_size, max_age, cache, namespace, check_version, share, read_ahead
        )
        self._max_size = config.max_size
        self._check_version = config.check_version  # for what compares versions around this store
        self._share_key = PROCESS_CACHES.new_key() if share else None
        self._share_user: User | None = None  # while this copy shares its cache
        vars(self).update(self._parts())

    def _parts(self) -> dict[str, object]:
        """Return the attributes that hold the cache, empty."""
        config = self._config
        memory, shared = config.caches()
        tiers = SharedTiers(
            shared,
            config.namespace_of(self._store) if shared else "",
            leases=not StoreWrapper._takes_leases(self),  # noqa: SLF001 - its own base
        )
        counters = Counters()
        entries = EntryTable(memory, config.max_age_seconds(shared=bool(shared)), shared=bool(shared))
        max_read = config.max_read(memory, shared)
        origin = Origin(self._store, config.block_size, self._limits(), max_read, config.check_version, counters)
        max_ahead = config.max_ahead(memory, shared)
        return {
            "_tiers": tiers,
            "_counters": counters,
            "_entries": entries,
            "_blocks": BlockLoader(origin, entries, tiers, counters, max_ahead),
            "_revalidator": Revalidator(origin, entries, tiers, counters),
            "_hit": make_hit(entries, counters),
        }

    def __reduce__(self) -> tuple[Any, ...]:
        make = super().__reduce__()
        return make if self._share_key is None else (*make, self._share_key)

    def __setstate__(self, key: ShareKey) -> None:
        self._share_key = key
        joined = PROCESS_CACHES.join(key, self._parts)
        if joined is not None:
            parts, self._share_user = joined
            vars(self).update(parts)

    def _arguments(self) -> tuple[object, ...]:
        return (self._max_size,)

    def _options(self) -> dict[str, Any]:
        return self._config.options()

    def _holds(self, path: str) -> bool:
        return self._entries.has_all(self._entries.current(cache_key(path))) or super()._holds(path)

    def _takes_leases(self) -> bool:
        return self._tiers.takes_leases or super()._takes_leases()

    @property
    def cache_size(self) -> int:
        """Bytes cached in memory, at most `max_size`."""
        return self._entries.size

    @property
    def cached_paths(self) -> list[str]:
        """Paths of the objects cached in memory, whole or in part; the least recently used first."""
        return self._entries.paths

    def cache_info(self) -> CacheInfo:
        """Return statistics of this store's caches in this process."""
        shared = [(tier.cache, tier.counters) for tier in self._tiers.tiers]
        return CacheInfo.of(self._counters, self._entries.memory, shared)

    def _repr_html_(self) -> str:
        return self.cache_info()._repr_html_()

    def clear_cache(self) -> None:
        """Clear the memory cache, and discard the results of running fetches.

        Shared caches keep their bytes, but versions found there are validated again before they are trusted. A memory
        cache that copies share (`share="process"`) is left to them; this copy has an empty one of its own from then on.
        """
        if self._share_user is not None:
            self._share_user = None
            vars(self).update(self._parts())
        interruptible(self._entries.invalidate, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear_cache()

    def prefetch(
        self,
        paths: Iterable[str],
        *,
        max_concurrent_requests: int = MAX_CONCURRENT_REQUESTS,
        progress: ProgressArgument = None,
    ) -> dict[str, Exception]:
        """Fetch whole objects into the cache, several at a time.

        Parameters
        ----------
        paths
            The objects.
        max_concurrent_requests
            The maximum number of requests in flight. An object that is cached whole takes one `get` of the wrapped
            store, which may split it into more.
        progress
            Show how many bytes have arrived or were cached: True for a bar by tqdm (extra `progress`) if standard error
            is a terminal or this is a notebook; an fsspec `Callback`; or a function of the number of bytes so far and
            in all, which is None until the sizes of all objects are known. Called in the caller's thread or task, at
            most 10 times a second, and once all bytes have arrived. If it raises, so does the call.

        Returns
        -------
        dict
            The error for each path that is not cached. Whether shared caches stored the values is not checked.
        """
        setting = progress_setting(progress)
        return prefetch(self._fetch_whole, self._is_cached, paths, max_concurrent_requests, setting)

    async def prefetch_async(
        self,
        paths: Iterable[str],
        *,
        max_concurrent_requests: int = MAX_CONCURRENT_REQUESTS,
        progress: ProgressArgument = None,
    ) -> dict[str, Exception]:
        """Fetch whole objects into the cache as `prefetch` does, on the running event loop."""
        setting = progress_setting(progress)
        return await prefetch_async(self._fetch_whole, self._is_cached, paths, max_concurrent_requests, setting)

    async def _fetch_whole(self, backend: Backend, path: str, max_requests: int, counter: Counter | None) -> int:
        call = RequestContext(backend, path, max_requests, counter)
        found = await self._read_through(call, WHOLE, whole=True, lazy=True)
        if not isinstance(found, Lookup):
            name = redacted(path)
            msg = (
                f"{name!r} was not cached: it exceeds the max_size of every cache of {self!r}, or the wrapped store "
                "has no get()."
            )
            raise ValueError(msg)  # noqa: TRY004 - it is not the type of an argument that is wrong
        if not found.blocks:
            await self._lazy_body(backend, path, found).prefetch(backend, max_requests, counter)
        return found.entry.size

    def _is_cached(self, path: str) -> bool:
        return bool(self._tiers) or self._entries.has_all(self._entries.find(cache_key(path)))

    # Changes made through this store invalidate what they change.

    async def _invalidate(self, backend: Backend, paths: list[str] | None) -> None:
        keys = None if paths is None else [cache_key(path) for path in paths]
        self._entries.invalidate(keys)
        if self._share_key is not None:  # the other copies may share another cache: after clear_cache, or a fork
            shared = PROCESS_CACHES.find(self._share_key).get("_entries")
            if isinstance(shared, EntryTable) and shared is not self._entries:
                shared.invalidate(keys)
        if self._tiers:
            for key in keys or []:
                await backend.call(self._tiers.invalidate, key)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as typed as the store's own attribute
        """Forward an attribute; a method that changes objects invalidates them too."""
        attribute = super().__getattr__(name)
        mutation = mutation_of(name)
        if mutation is None:
            return attribute
        if name.endswith("_async"):
            return invalidating_async(attribute, mutation, partial(self._invalidate, ASYNC))
        return invalidating(attribute, mutation, partial(run_sync, self._invalidate, SYNC))
