"""The read methods of the caching store: from memory if possible, else through the shared caches and the origin."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from obspec_utils._io.backends import ASYNC, SYNC, run_sync
from obspec_utils._io.get_result import InMemoryBody, Result, join, join_async, slice_async
from obspec_utils._ranges import NO_OFFSET, ByteRange
from obspec_utils.wrappers._wrapper import StoreWrapper
from obspec_utils.wrappers.caching._context import RequestContext
from obspec_utils.wrappers.caching._keys import cache_key
from obspec_utils.wrappers.caching._lazy_body import LazyBody
from obspec_utils.wrappers.caching._lookup import Lookup, ReadThrough
from obspec_utils.wrappers.caching._preconditions import (
    UNCONDITIONAL,
    parse_preconditions,
    ranges_of_get,
    ranges_of_get_range,
    ranges_of_get_ranges,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from obspec import GetOptions, ObjectMeta
    from obstore import Bytes
    from typing_extensions import Buffer

    from obspec_utils._io.backends import Backend
    from obspec_utils._io.buffers import BufferList
    from obspec_utils._io.response import Response
    from obspec_utils.wrappers.caching._blocks import BlockLoader
    from obspec_utils.wrappers.caching._entries import Entry, EntryTable
    from obspec_utils.wrappers.caching._preconditions import Preconditions, RequestedRanges
    from obspec_utils.wrappers.caching._revalidation import Revalidator
    from obspec_utils.wrappers.caching._shared_tiers import SharedTiers
    from obspec_utils.wrappers.caching._stats import Counters

__all__ = ["CachedReads", "make_hit"]

Hit: TypeAlias = "Callable[[str, int, int | None, int | None], Bytes | None]"


class CachedReads(StoreWrapper):
    """A store whose reads are cached."""

    _entries: EntryTable
    _revalidator: Revalidator
    _blocks: BlockLoader
    _tiers: SharedTiers
    _counters: Counters
    _hit: Hit

    # Lookup.

    def _find_in_memory(self, path: str, wanted: RequestedRanges) -> Lookup | None:
        entry = self._entries.current(cache_key(path))
        ranges = None if entry is None else wanted.spans(entry.size)
        if entry is None or ranges is None:
            return None
        found = {span: self._entries.held(entry, span) for span in ranges}
        if None in found.values():
            return None
        self._counters.served(len(ranges), sum(span.length for span in ranges))
        return Lookup(entry, ranges, {}, by_range=cast("dict[ByteRange, BufferList]", found))

    async def _read_through(
        self, call: RequestContext, wanted: RequestedRanges, *, whole: bool = False, lazy: bool = False
    ) -> Lookup | Response | None:
        get = "get" + call.backend.suffix
        if not (self._supports(get) if self._blocks.by_blocks else self._gets_whole(get)):
            return None
        request = ReadThrough(self._entries, self._revalidator, self._blocks, call, wanted, whole=whole, lazy=lazy)
        return await request.run()

    def _lazy_body(self, backend: Backend, path: str, found: Lookup) -> LazyBody:
        return LazyBody(self._blocks, path, found.entry, found.ranges[0], found.response, backend.owner())

    # get.

    def _is_cacheable(self, path: str, options: Preconditions | None) -> bool:
        if options is None:
            return False
        entry = self._entries.current(cache_key(path)) if options.conditional else None
        return not options.conditional or (entry is not None and options.satisfied_by(entry.meta.get("e_tag")))

    def _get_from_memory(self, path: str, options: Preconditions) -> Result | None:
        if options is UNCONDITIONAL:  # fast path
            entry = self._entries.trusted(path)
            if entry is not None and entry.block_size >= entry.size:
                parts = self._entries.block((entry, 0))
                if parts is not None:
                    self._counters.served(1, entry.size)
                    return _result(entry, ByteRange(0, entry.size), InMemoryBody(parts))
        found = self._find_in_memory(path, ranges_of_get(options))
        if found is None:
            return None
        (span,) = found.ranges
        return _result(found.entry, span, InMemoryBody(found.parts(span)))

    async def _get_through(self, backend: Backend, path: str, options: Preconditions) -> Any:  # noqa: ANN401 - any result
        call = RequestContext(backend, path)
        found = await self._read_through(call, ranges_of_get(options), whole=options.range is None, lazy=True)
        if not isinstance(found, Lookup):
            return None if found is None else found.source
        (span,) = found.ranges
        if not options.satisfied_by(found.entry.meta.get("e_tag")):
            return None
        self._counters.served(0, span.length)
        if span.length and not found.blocks:
            return _result(found.entry, span, self._lazy_body(backend, path, found))
        return _result(found.entry, span, InMemoryBody(found.parts(span)))

    def get(self, path: str, *, options: GetOptions | None = None) -> Result:
        """Get an object from the cache, or fetch and cache it.

        Ranges are served from the cache. Lists of ETags (`if_match`, `if_none_match`) are compared with the cached
        version if there is one; otherwise the wrapped store serves the request.
        """
        parsed = UNCONDITIONAL if options is None else parse_preconditions(options)
        if parsed is not None and self._is_cacheable(path, parsed):
            result: Result | None = self._get_from_memory(path, parsed)
            result = result or run_sync(self._get_through, SYNC, path, parsed)
            if result is not None:
                return result
        return cast("Result", super().get(path, options=options))

    async def get_async(self, path: str, *, options: GetOptions | None = None) -> Result:
        """Get an object as `get` does, on the running event loop."""
        parsed = UNCONDITIONAL if options is None else parse_preconditions(options)
        if parsed is not None and self._is_cacheable(path, parsed):
            result: Result | None = self._get_from_memory(path, parsed)
            result = result or await self._get_through(ASYNC, path, parsed)
            if result is not None:
                return result
        return cast("Result", await super().get_async(path, options=options))

    # get_range and get_ranges.

    async def _load_ranges(self, backend: Backend, path: str, wanted: RequestedRanges) -> Lookup | None:
        found = await self._read_through(RequestContext(backend, path), wanted)
        if not isinstance(found, Lookup):
            return None
        self._counters.served(0, sum(span.length for span in found.ranges))
        return found

    def get_range(self, path: str, *, start: int, end: int | None = None, length: int | None = None) -> Buffer:
        """Get one range of an object from the cache, or fetch and cache it."""
        hit = self._hit(path, start, end, length)
        if hit is not None:
            return hit
        wanted = ranges_of_get_range(start, end, length)
        found = None
        if wanted is not None:
            found = self._find_in_memory(path, wanted) or run_sync(self._load_ranges, SYNC, path, wanted)
        if found is None:
            return super().get_range(path, start=start, end=end, length=length)
        (span,) = found.ranges
        parts = found.parts(span)
        # As for `Result.buffer`, a whole object is joined into one buffer, which the cache then keeps.
        return (join(parts) if span.length == found.entry.size else parts).slice(*span)

    async def get_range_async(
        self, path: str, *, start: int, end: int | None = None, length: int | None = None
    ) -> Buffer:
        """Get one range of an object as `get_range` does, on the running event loop."""
        hit = self._hit(path, start, end, length)
        if hit is not None:
            return hit
        wanted = ranges_of_get_range(start, end, length)
        found = None
        if wanted is not None:
            found = self._find_in_memory(path, wanted) or await self._load_ranges(ASYNC, path, wanted)
        if found is None:
            return await super().get_range_async(path, start=start, end=end, length=length)
        (span,) = found.ranges
        parts, is_whole = found.parts(span), span.length == found.entry.size
        return (await join_async(parts)).slice(*span) if is_whole else await slice_async(parts, span)

    def get_ranges(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
        **options: Any,  # noqa: ANN401 - the store's own
    ) -> Sequence[Buffer]:
        """Get several ranges of an object from the cache, or fetch and cache them."""
        wanted = ranges_of_get_ranges(starts, ends, lengths, options)
        found = None
        if wanted is not None:
            found = self._find_in_memory(path, wanted) or run_sync(self._load_ranges, SYNC, path, wanted)
        if found is not None:
            return [found.parts(span).slice(*span) for span in found.ranges]
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
        """Get several ranges of an object as `get_ranges` does, on the running event loop."""
        wanted = ranges_of_get_ranges(starts, ends, lengths, options)
        found = None
        if wanted is not None:
            found = self._find_in_memory(path, wanted) or await self._load_ranges(ASYNC, path, wanted)
        if found is not None:
            return [found.parts(span).slice(*span) for span in found.ranges]
        return await super().get_ranges_async(path, starts=starts, ends=ends, lengths=lengths, **options)

    # head.

    def _find_metadata(self, path: str) -> Entry | None:
        entry = self._entries.current(cache_key(path))
        if entry is not None:
            self._entries.block((entry, 0))  # counts as a use of the object
        return entry

    def head(self, path: str) -> ObjectMeta:
        """Get an object's metadata, from the cache if the object is cached."""
        entry = self._find_metadata(path)
        if entry is None and self._tiers:
            entry = run_sync(self._revalidator.find_shared, RequestContext(SYNC, path))
        return super().head(path) if entry is None else entry.metadata()

    async def head_async(self, path: str) -> ObjectMeta:
        """Get an object's metadata as `head` does, on the running event loop."""
        entry = self._find_metadata(path)
        if entry is None and self._tiers:
            entry = await self._revalidator.find_shared(RequestContext(ASYNC, path))
        return await super().head_async(path) if entry is None else entry.metadata()


def make_hit(entries: EntryTable, counters: Counters) -> Hit:
    """Return the function that serves a get_range of one block from memory, or else returns None.

    Hot path: avoid calls and attribute lookups, which would dominate.
    """
    trusted, values, by_thread = entries.trusted, entries.values, counters.by_thread
    touch, served = values.move_to_end, counters.served

    def hit(path: str, start: int, end: int | None, length: int | None) -> Bytes | None:
        entry = trusted(path)
        if entry is None or type(start) is not int:  # the sum may overflow other integers
            return None
        stop = end if length is None else start + length if end is None and type(length) is int else None
        if type(stop) is not int or stop >= NO_OFFSET:
            return None
        size, block_size = entry.size, entry.block_size
        if stop > size:  # noqa: PLR1730 - min() takes longer
            stop = size
        number = start // block_size
        if not 0 <= start < stop <= (number + 1) * block_size:
            return None
        key = (entry, number)
        try:
            parts = values[key][0]
            touch(key)
        except KeyError:  # not in memory, or evicted just now
            return None
        if stop - start == size and not parts.joined:
            return None
        counter = by_thread.get(get_ident())
        if counter is None:
            served(1, stop - start)
        else:  # `Counters.served`, inlined
            counter[0] += 1
            counter[1] += stop - start
        return parts.slice(start, stop)

    return hit


def _result(entry: Entry, span: ByteRange, body: InMemoryBody | LazyBody) -> Result:
    return Result(entry.metadata(), tuple(span), dict(entry.attributes), body)  # type: ignore[arg-type]
