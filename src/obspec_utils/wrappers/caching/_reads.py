"""How a caching store answers requests: from memory at once, else by its engine, else as the store below does."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from obspec_utils._io.backends import ASYNC, SYNC, RequestContext, run_sync
from obspec_utils._io.get_result import InMemoryBody, Result, join, join_async, slice_async
from obspec_utils._ranges import ByteRange
from obspec_utils._validation import check_path
from obspec_utils.wrappers._wrapper import StoreWrapper
from obspec_utils.wrappers.caching._invalidation import invalidating, invalidating_async, mutation_of
from obspec_utils.wrappers.caching._lazy_body import LazyBody
from obspec_utils.wrappers.caching._preconditions import (
    UNCONDITIONAL,
    parse_preconditions,
    ranges_of_get,
    ranges_of_get_range,
    ranges_of_get_ranges,
)
from obspec_utils.wrappers.caching._revalidation import Lookup, ReadThrough

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obspec import GetOptions, ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils._io.backends import Backend
    from obspec_utils._io.buffers import BufferList
    from obspec_utils._io.response import Response
    from obspec_utils.wrappers.caching._blocks import BlockLoader
    from obspec_utils.wrappers.caching._entry import Entry
    from obspec_utils.wrappers.caching._hits import Hit
    from obspec_utils.wrappers.caching._preconditions import Preconditions, RequestedRanges

__all__ = ["CachedReads", "cache_key"]


class CachedReads(StoreWrapper):
    """The methods of a store that read through an engine, and those that change objects, which it then forgets."""

    _blocks: BlockLoader
    _hit: Hit

    def _holds(self, path: str) -> bool:
        return self._blocks.index.has_all(self._blocks.current(cache_key(path))) or super()._holds(path)

    def _takes_leases(self) -> bool:
        return self._blocks.tiers.takes_leases or super()._takes_leases()

    def _kept(self, path: str) -> bool:
        """Tell whether all of an object is in memory; what shared caches have is taken for granted."""
        return bool(self._blocks.tiers) or self._blocks.index.has_all(self._blocks.index.find(cache_key(path)))

    def _lazy_body(self, backend: Backend, path: str, found: Lookup) -> LazyBody:
        return LazyBody(self._blocks, path, cache_key(path), found.entry, found.spans[0], found.first, backend.owner())

    def _in_memory(self, path: str, wanted: RequestedRanges) -> tuple[Entry, list[ByteRange], list[BufferList]] | None:
        entry = self._blocks.current(cache_key(path))
        spans = None if entry is None else wanted.spans(entry.size)
        if entry is None or spans is None:
            return None
        held = [self._blocks.index.held(entry, span) for span in spans]
        if None in held:
            return None
        self._blocks.counters.served(len(held), sum(span.length for span in spans))
        return entry, spans, cast("list[BufferList]", held)

    async def _find(
        self, backend: Backend, path: str, wanted: RequestedRanges, *, whole: bool = False, lazy: bool = False
    ) -> Lookup | Response | None:
        by_blocks = self._blocks.by_blocks
        gets = self._supports(backend.get) if by_blocks else self._gets_whole(backend.get)
        if not gets:
            return None
        return await ReadThrough(
            self._blocks, RequestContext(backend, path, cache_key(path)), wanted, whole, lazy
        ).run()

    def _may_answer(self, path: str, asked: Preconditions | None) -> bool:
        if asked is None:
            return False
        entry = self._blocks.current(cache_key(path)) if asked.conditional else None
        return not asked.conditional or (entry is not None and asked.hold(entry.meta.get("e_tag")))

    def _got(self, path: str, asked: Preconditions) -> Result | None:
        """Return what is in memory."""
        if asked is UNCONDITIONAL:
            entry = self._blocks.trusted(path)
            if entry is not None and entry.block_size >= entry.size:  # one block
                parts = self._blocks.block((entry, 0))
                if parts is not None:
                    self._blocks.counters.served(1, entry.size)
                    return _result(entry, ByteRange(0, entry.size), InMemoryBody(parts))
        held = self._in_memory(path, ranges_of_get(asked))
        if held is None:
            return None
        entry, (span,), (parts,) = held
        return _result(entry, span, InMemoryBody(parts))

    async def _get(self, backend: Backend, path: str, asked: Preconditions) -> Any:  # noqa: ANN401 - any store's result
        found = await self._find(backend, path, ranges_of_get(asked), whole=asked.range is None, lazy=True)
        if not isinstance(found, Lookup):
            return None if found is None else found.source
        (span,) = found.spans
        if not asked.hold(found.entry.meta.get("e_tag")):
            return None
        self._blocks.counters.served(0, span.length)
        if span.length and not found.blocks:
            return _result(found.entry, span, self._lazy_body(backend, path, found))
        return _result(found.entry, span, InMemoryBody(found.parts(span)))

    def get(self, path: str, *, options: GetOptions | None = None) -> Result:
        """Get an object from the cache, filling it if need be.

        Ranges and lists of ETags are answered from the cache; with ETags, only if the object is there already.
        """
        asked = UNCONDITIONAL if options is None else parse_preconditions(options)
        if asked is not None and self._may_answer(path, asked):
            result: Result | None = self._got(path, asked) or run_sync(self._get(SYNC, path, asked))
            if result is not None:
                return result
        return cast("Result", super().get(path, options=options))

    async def get_async(self, path: str, *, options: GetOptions | None = None) -> Result:
        """Get an object as `get` does, on the running event loop."""
        asked = UNCONDITIONAL if options is None else parse_preconditions(options)
        if asked is not None and self._may_answer(path, asked):
            result: Result | None = self._got(path, asked) or await self._get(ASYNC, path, asked)
            if result is not None:
                return result
        return cast("Result", await super().get_async(path, options=options))

    async def _range(
        self, backend: Backend, path: str, start: int, end: int | None, length: int | None
    ) -> tuple[BufferList, ByteRange, int] | None:
        wanted = ranges_of_get_range(start, end, length)
        held = None if wanted is None else self._in_memory(path, wanted)
        if held is not None:
            entry, (span,), (parts,) = held
            return parts, span, entry.size
        found = None if wanted is None else await self._find(backend, path, wanted)
        if not isinstance(found, Lookup):
            return None
        (span,) = found.spans
        self._blocks.counters.served(0, span.length)
        return found.parts(span), span, found.entry.size

    def get_range(self, path: str, *, start: int, end: int | None = None, length: int | None = None) -> Buffer:
        """Get one range of an object from the cache, filling it if need be."""
        hit = self._hit(path, start, end, length)
        if hit is not None:
            return hit
        found = run_sync(self._range(SYNC, path, start, end, length))
        if found is None:
            return super().get_range(path, start=start, end=end, length=length)
        parts, span, size = found
        # All of it is asked for as `Result.buffer` is: in one buffer once and for all.
        return (join(parts) if span.length == size else parts).slice(*span)

    async def get_range_async(
        self, path: str, *, start: int, end: int | None = None, length: int | None = None
    ) -> Buffer:
        """Get one range of an object from the cache, filling it if need be."""
        hit = self._hit(path, start, end, length)
        if hit is not None:
            return hit
        found = await self._range(ASYNC, path, start, end, length)
        if found is None:
            return await super().get_range_async(path, start=start, end=end, length=length)
        parts, span, size = found
        return (await join_async(parts)).slice(*span) if span.length == size else await slice_async(parts, span)

    async def _ranges(self, backend: Backend, path: str, wanted: RequestedRanges | None) -> list[Buffer] | None:
        held = None if wanted is None else self._in_memory(path, wanted)
        if held is not None:
            _, spans, parts = held
            return [it.slice(*span) for it, span in zip(parts, spans, strict=True)]
        found = None if wanted is None else await self._find(backend, path, wanted)
        if not isinstance(found, Lookup):
            return None
        self._blocks.counters.served(0, sum(span.length for span in found.spans))
        return [found.parts(span).slice(*span) for span in found.spans]

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
        answer = run_sync(self._ranges(SYNC, path, ranges_of_get_ranges(starts, ends, lengths, options)))
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
        answer = await self._ranges(ASYNC, path, ranges_of_get_ranges(starts, ends, lengths, options))
        if answer is not None:
            return answer
        return await super().get_ranges_async(path, starts=starts, ends=ends, lengths=lengths, **options)

    def head(self, path: str) -> ObjectMeta:
        """Get an object's metadata, the cached object's if there is one."""
        entry = self._metadata_of(path) or run_sync(
            self._blocks.shared_entry(RequestContext(SYNC, path, cache_key(path)))
        )
        return super().head(path) if entry is None else entry.metadata()

    async def head_async(self, path: str) -> ObjectMeta:
        """Get an object's metadata, the cached object's if there is one."""
        entry = self._metadata_of(path) or await self._blocks.shared_entry(RequestContext(ASYNC, path, cache_key(path)))
        return await super().head_async(path) if entry is None else entry.metadata()

    def _metadata_of(self, path: str) -> Entry | None:
        entry = self._blocks.current(cache_key(path))
        if entry is not None:
            self._blocks.index.block((entry, 0))  # a use of the object
        return entry

    # Changing: what is changed through this store is forgotten.

    async def _invalidate(self, backend: Backend, paths: list[str] | None) -> None:
        keys = None if paths is None else [cache_key(path) for path in paths]
        self._blocks.invalidate(keys)
        if self._blocks.tiers:
            for key in keys or []:
                await backend.call(self._blocks.tiers.invalidate, key)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as typed as the store's own attribute
        """Forward an attribute; what changes objects also drops them from the cache."""
        attribute = super().__getattr__(name)
        change = mutation_of(name)
        if change is None:
            return attribute
        if name.endswith("_async"):
            return invalidating_async(attribute, change, partial(self._invalidate, ASYNC))
        return invalidating(attribute, change, lambda paths: run_sync(self._invalidate(SYNC, paths)))


def cache_key(path: str) -> str:
    """Return what one object's path is cached by: stores take a slash at either end for nothing."""
    try:
        return path.removeprefix("/").removesuffix("/")
    except (AttributeError, TypeError):
        check_path(path)
        raise


def _result(entry: Entry, span: ByteRange, body: InMemoryBody | LazyBody) -> Result:
    return Result(entry.metadata(), tuple(span), dict(entry.attributes), body)  # type: ignore[arg-type]
