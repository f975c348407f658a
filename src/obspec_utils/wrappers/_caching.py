"""A store that keeps whole objects in memory, shared by all its consumers."""

from __future__ import annotations

from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast

from obspec_utils._buffers import Parts
from obspec_utils._checks import positive
from obspec_utils._flight import Flights
from obspec_utils._results import Result
from obspec_utils.caches import MAX_ENTRIES, LruCache
from obspec_utils.exceptions import IncompleteReadError
from obspec_utils.wrappers._base import StoreWrapper
from obspec_utils.wrappers._changes import Change, changed_paths, changes
from obspec_utils.wrappers._object import CachedObject, conditions, is_complete_range, is_complete_ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from obspec import GetOptions, GetResult, GetResultAsync, ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils.protocols import ReadableStore

__all__ = ["CachingReadableStore"]

S = TypeVar("S", bound="CachingReadableStore")

_TooLarge = Literal["too large"]


class CachingReadableStore(StoreWrapper):
    """Keep whole objects in memory, the least recently used of them evicted, for all consumers of this store.

    The first request for an object, whatever range it asks for, fetches all of it with one `get` of the store below;
    others that ask meanwhile, in threads or tasks, wait for the same fetch. What is cached is trusted until it is
    evicted, cleared, or changed through this store. What only the store can answer passes through, uncached.

    Pickling and `copy.copy` give a store with the same settings and an empty cache.

    Parameters
    ----------
    store
        The store to read from.
    max_size
        The most bytes kept. A larger object is served but not kept.

    Raises
    ------
    ValueError
        If `max_size` is not positive.
    """

    def __init__(self, store: ReadableStore, max_size: int = 256 * 1024 * 1024) -> None:
        super().__init__(store)
        self._max_size = positive("max_size", max_size)
        self._cache: LruCache[str, CachedObject] = LruCache(self._max_size)
        self._too_large: LruCache[str, _TooLarge] = LruCache(MAX_ENTRIES)
        self._flights: Flights[CachedObject | _TooLarge] = Flights()

    def _arguments(self) -> tuple[object, ...]:
        return (self._max_size,)

    @property
    def cache_size(self) -> int:
        """How many bytes are cached, at most `max_size`."""
        return self._cache.size

    @property
    def cached_paths(self) -> list[str]:
        """The paths of the cached objects, the one not used for longest first."""
        return self._cache.keys()

    def clear_cache(self) -> None:
        """Forget everything, and keep nothing of the fetches under way."""
        self._flights.forget()
        self._cache.clear()
        self._too_large.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear_cache()

    def _holds(self, path: str) -> bool:
        return self._cache.get(_key(path)) is not None or super()._holds(path)

    def _find(self, key: Hashable) -> CachedObject | _TooLarge | None:
        path = cast("str", key)
        return self._cache.get(path) or self._too_large.get(path)

    def _keep(self, key: Hashable, value: CachedObject | _TooLarge) -> None:
        path = cast("str", key)
        if isinstance(value, CachedObject):
            self._cache.put(path, value, len(value.parts))
        else:
            self._too_large.put(path, value, 1)

    def _forget(self, paths: list[str] | None) -> None:
        """Drop paths, or everything, and what is being fetched of them."""
        if paths is None:
            self.clear_cache()
            return
        for key in (_key(path) for path in paths):
            self._flights.forget(key)  # first: what lands after this is not kept
            self._cache.delete(key)
            self._too_large.delete(key)

    def _accept(self, result: GetResult | GetResultAsync) -> bool:
        """Tell by its headers whether an object can be kept."""
        return result.meta["size"] <= self._max_size

    def _fetch(self, path: str, passed: list[GetResult], *, whole: bool) -> CachedObject | _TooLarge:
        result = super().get(path)
        if not self._accept(result):
            passed.append(result)
            return "too large"
        # One buffer for who asked for it all and may want just that; parts, which take less memory, for a range of it.
        parts = result.parts(whole=whole) if isinstance(result, Result) else Parts([result.buffer()])
        return _cached(path, result, parts)

    async def _fetch_async(self, path: str, passed: list[GetResultAsync], *, whole: bool) -> CachedObject | _TooLarge:
        result = await super().get_async(path)
        if not self._accept(result):
            passed.append(result)
            return "too large"
        if isinstance(result, Result):
            return _cached(path, result, await result.parts_async(whole=whole))
        return _cached(path, result, Parts([await result.buffer_async()]))

    def _object(self, path: str, passed: list[GetResult] | None = None) -> CachedObject | None:
        """Return an object, fetching it if need be; None if it can't be kept. `passed` gets the answer that told so."""
        cached = self._cache.get(_key(path))
        if cached is not None:
            return cached
        if not self._gets_whole("get"):
            return None
        fetch = partial(self._fetch, path, [] if passed is None else passed, whole=passed is not None)
        found = self._flights.run(_key(path), fetch, find=self._find, keep=self._keep)
        return found if isinstance(found, CachedObject) else None

    async def _object_async(self, path: str, passed: list[GetResultAsync] | None = None) -> CachedObject | None:
        """Return an object as `_object` does, on the running event loop."""
        cached = self._cache.get(_key(path))
        if cached is not None:
            return cached
        if not self._gets_whole("get_async"):
            return None
        fetch = partial(self._fetch_async, path, [] if passed is None else passed, whole=passed is not None)
        found = await self._flights.run_async(_key(path), fetch, find=self._find, keep=self._keep)
        return found if isinstance(found, CachedObject) else None

    def get(self, path: str, *, options: GetOptions | None = None) -> GetResult:
        """Get an object from the cache, filling it if need be.

        Ranges and lists of ETags are answered from the cache; with ETags, only if the object is there already.
        """
        asked = conditions(options)
        passed: list[GetResult] = []
        if asked is not None:
            whole = passed if asked.range is None else None
            cached = self._cache.get(_key(path)) if asked.conditional else self._object(path, whole)
            answer = cached.get(asked) if cached else None
            if answer:
                return answer
        return passed[0] if passed else super().get(path, options=options)

    async def get_async(self, path: str, *, options: GetOptions | None = None) -> GetResultAsync:
        """Get an object as `get` does, on the running event loop."""
        asked = conditions(options)
        passed: list[GetResultAsync] = []
        if asked is not None:
            whole = passed if asked.range is None else None
            cached = self._cache.get(_key(path)) if asked.conditional else await self._object_async(path, whole)
            answer = cached.get(asked) if cached else None
            if answer:
                return answer
        return passed[0] if passed else await super().get_async(path, options=options)

    def get_range(self, path: str, *, start: int, end: int | None = None, length: int | None = None) -> Buffer:
        """Get one range of an object from the cache, filling it if need be."""
        cached = self._cache.get(_key(path))
        if cached is None and is_complete_range(start, end, length):
            cached = self._object(path)
        answer = cached.get_range(start, end, length) if cached else None
        return super().get_range(path, start=start, end=end, length=length) if answer is None else answer

    async def get_range_async(
        self, path: str, *, start: int, end: int | None = None, length: int | None = None
    ) -> Buffer:
        """Get one range of an object from the cache, filling it if need be."""
        cached = self._cache.get(_key(path))
        if cached is None and is_complete_range(start, end, length):
            cached = await self._object_async(path)
        answer = await cached.get_range_async(start, end, length) if cached else None
        return await super().get_range_async(path, start=start, end=end, length=length) if answer is None else answer

    def get_ranges(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
        **options: Any,  # noqa: ANN401 - the store's own
    ) -> Sequence[Buffer]:
        """Get several ranges of an object from the cache, filling it if need be."""
        cached = self._object(path) if is_complete_ranges(starts, ends, lengths, options) else None
        answer = cached.get_ranges(starts, ends, lengths) if cached else None
        if answer is not None:
            return answer
        return super().get_ranges(path, starts=starts, ends=ends, lengths=lengths, **options)

    async def get_ranges_async(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
        **options: Any,  # noqa: ANN401 - the store's own
    ) -> Sequence[Buffer]:
        """Get several ranges of an object from the cache, filling it if need be."""
        cached = await self._object_async(path) if is_complete_ranges(starts, ends, lengths, options) else None
        answer = cached.get_ranges(starts, ends, lengths) if cached else None
        if answer is not None:
            return answer
        return await super().get_ranges_async(path, starts=starts, ends=ends, lengths=lengths, **options)

    def head(self, path: str) -> ObjectMeta:
        """Get an object's metadata, the cached object's if there is one."""
        cached = self._cache.get(_key(path))
        return super().head(path) if cached is None else cached.metadata()

    async def head_async(self, path: str) -> ObjectMeta:
        """Get an object's metadata, the cached object's if there is one."""
        cached = self._cache.get(_key(path))
        return await super().head_async(path) if cached is None else cached.metadata()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as typed as the store's own attribute
        """Forward an attribute; what changes objects also drops them from the cache."""
        attribute = super().__getattr__(name)
        change = changes(name)
        if change is None:
            return attribute
        return (self._dropping_async if name.endswith("_async") else self._dropping)(attribute, change)

    def _dropping(self, method: Callable[..., object], change: Change) -> Callable[..., object]:
        @wraps(method)
        def changing(*args: object, **kwargs: object) -> object:
            given = list(args)
            paths = changed_paths(change, given, kwargs)
            self._forget(paths)
            try:
                return method(*given, **kwargs)
            finally:  # even a failed change may have happened
                self._forget(paths)

        return changing

    def _dropping_async(self, method: Callable[..., Any], change: Change) -> Callable[..., object]:
        @wraps(method)
        async def changing(*args: object, **kwargs: object) -> object:
            given = list(args)
            paths = changed_paths(change, given, kwargs)
            self._forget(paths)
            try:
                return await method(*given, **kwargs)
            finally:
                self._forget(paths)

        return changing


def _key(path: str) -> str:
    """Return what one object's path is cached by: stores take a slash at either end for nothing."""
    return path.removeprefix("/").removesuffix("/")


def _cached(path: str, result: GetResult | GetResultAsync, parts: Parts) -> CachedObject:
    meta = result.meta
    if len(parts) != meta["size"]:
        msg = f"The store answered the request for {path!r} with {len(parts)} bytes instead of {meta['size']}."
        raise IncompleteReadError(msg)
    return CachedObject(meta, result.attributes, parts)
