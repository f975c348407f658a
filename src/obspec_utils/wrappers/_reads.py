"""How a caching store answers requests: from memory at once, else by its engine, else as the store below does."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from obspec_utils._plan import Span
from obspec_utils._results import Held, Result, join, join_async, slice_async
from obspec_utils._validation import check_path
from obspec_utils.wrappers._base import StoreWrapper
from obspec_utils.wrappers._changes import changes, forgetting, forgetting_async
from obspec_utils.wrappers._conditions import (
    UNCONDITIONAL,
    conditions,
    wanted_by_get,
    wanted_by_range,
    wanted_by_ranges,
)
from obspec_utils.wrappers._reading import Read, Reading
from obspec_utils.wrappers._ways import BLOCKING, LOOPING, Call, run_now
from obspec_utils.wrappers._windows import Windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obspec import GetOptions, GetResult, GetResultAsync, ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils._buffers import Parts
    from obspec_utils._response import Answer
    from obspec_utils.wrappers._conditions import Conditions, Wanted
    from obspec_utils.wrappers._engine import Engine
    from obspec_utils.wrappers._hits import Hit
    from obspec_utils.wrappers._known import Known
    from obspec_utils.wrappers._ways import Way

__all__ = ["CachedReads", "key_of"]


class CachedReads(StoreWrapper):
    """The methods of a store that read through an engine, and those that change objects, which it then forgets."""

    _engine: Engine
    _hit: Hit

    def _holds(self, path: str) -> bool:
        return self._engine.index.has_all(self._engine.current(key_of(path))) or super()._holds(path)

    def _kept(self, path: str) -> bool:
        """Tell whether all of an object is in memory; what shared caches have is taken for granted."""
        return bool(self._engine.tiers) or self._engine.index.has_all(self._engine.index.find(key_of(path)))

    def _windows(self, way: Way, path: str, found: Read) -> Windows:
        return Windows(self._engine, path, key_of(path), found.known, found.spans[0], found.first, way.owner())

    def _in_memory(self, path: str, wanted: Wanted) -> tuple[Known, list[Span], list[Parts]] | None:
        known = self._engine.current(key_of(path))
        spans = None if known is None else wanted.spans(known.size)
        if known is None or spans is None:
            return None
        held = [self._engine.index.held(known, span) for span in spans]
        if None in held:
            return None
        self._engine.tally.served(len(held), sum(span.length for span in spans))
        return known, spans, cast("list[Parts]", held)

    async def _find(
        self, way: Way, path: str, wanted: Wanted, *, whole: bool = False, lazy: bool = False
    ) -> Read | Answer | None:
        by_blocks = self._engine.by_blocks
        gets = self._supports(way.get) if by_blocks else self._gets_whole(way.get)
        if not gets:
            return None
        return await Reading(self._engine, Call(way, path, key_of(path)), wanted, whole, lazy).run()

    def _may_answer(self, path: str, asked: Conditions | None) -> bool:
        if asked is None:
            return False
        known = self._engine.current(key_of(path)) if asked.conditional else None
        return not asked.conditional or (known is not None and asked.hold(known.meta.get("e_tag")))

    def _got(self, path: str, asked: Conditions) -> Result | None:
        """Return what is in memory."""
        if asked is UNCONDITIONAL:
            known = self._engine.trusted(path)
            if known is not None and known.unit >= known.size:  # one block
                parts = self._engine.block((known, 0))
                if parts is not None:
                    self._engine.tally.served(1, known.size)
                    return _result(known, Span(0, known.size), Held(parts))
        held = self._in_memory(path, wanted_by_get(asked))
        if held is None:
            return None
        known, (span,), (parts,) = held
        return _result(known, span, Held(parts))

    async def _get(self, way: Way, path: str, asked: Conditions) -> Any:  # noqa: ANN401 - any store's result
        found = await self._find(way, path, wanted_by_get(asked), whole=asked.range is None, lazy=True)
        if not isinstance(found, Read):
            return None if found is None else found.source
        (span,) = found.spans
        if not asked.hold(found.known.meta.get("e_tag")):
            return None
        self._engine.tally.served(0, span.length)
        if span.length and not found.blocks:
            return _result(found.known, span, self._windows(way, path, found))
        return _result(found.known, span, Held(found.parts(span)))

    def get(self, path: str, *, options: GetOptions | None = None) -> GetResult:
        """Get an object from the cache, filling it if need be.

        Ranges and lists of ETags are answered from the cache; with ETags, only if the object is there already.
        """
        asked = UNCONDITIONAL if options is None else conditions(options)
        if asked is not None and self._may_answer(path, asked):
            result: GetResult | None = self._got(path, asked) or run_now(self._get(BLOCKING, path, asked))
            if result is not None:
                return result
        return super().get(path, options=options)

    async def get_async(self, path: str, *, options: GetOptions | None = None) -> GetResultAsync:
        """Get an object as `get` does, on the running event loop."""
        asked = UNCONDITIONAL if options is None else conditions(options)
        if asked is not None and self._may_answer(path, asked):
            result: GetResultAsync | None = self._got(path, asked) or await self._get(LOOPING, path, asked)
            if result is not None:
                return result
        return await super().get_async(path, options=options)

    async def _range(
        self, way: Way, path: str, start: int, end: int | None, length: int | None
    ) -> tuple[Parts, Span, int] | None:
        wanted = wanted_by_range(start, end, length)
        held = None if wanted is None else self._in_memory(path, wanted)
        if held is not None:
            known, (span,), (parts,) = held
            return parts, span, known.size
        found = None if wanted is None else await self._find(way, path, wanted)
        if not isinstance(found, Read):
            return None
        (span,) = found.spans
        self._engine.tally.served(0, span.length)
        return found.parts(span), span, found.known.size

    def get_range(self, path: str, *, start: int, end: int | None = None, length: int | None = None) -> Buffer:
        """Get one range of an object from the cache, filling it if need be."""
        hit = self._hit(path, start, end, length)
        if hit is not None:
            return hit
        found = run_now(self._range(BLOCKING, path, start, end, length))
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
        found = await self._range(LOOPING, path, start, end, length)
        if found is None:
            return await super().get_range_async(path, start=start, end=end, length=length)
        parts, span, size = found
        return (await join_async(parts)).slice(*span) if span.length == size else await slice_async(parts, span)

    async def _ranges(self, way: Way, path: str, wanted: Wanted | None) -> list[Buffer] | None:
        held = None if wanted is None else self._in_memory(path, wanted)
        if held is not None:
            _, spans, parts = held
            return [it.slice(*span) for it, span in zip(parts, spans, strict=True)]
        found = None if wanted is None else await self._find(way, path, wanted)
        if not isinstance(found, Read):
            return None
        self._engine.tally.served(0, sum(span.length for span in found.spans))
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
        answer = run_now(self._ranges(BLOCKING, path, wanted_by_ranges(starts, ends, lengths, options)))
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
        answer = await self._ranges(LOOPING, path, wanted_by_ranges(starts, ends, lengths, options))
        if answer is not None:
            return answer
        return await super().get_ranges_async(path, starts=starts, ends=ends, lengths=lengths, **options)

    def head(self, path: str) -> ObjectMeta:
        """Get an object's metadata, the cached object's if there is one."""
        known = self._metadata_of(path) or run_now(self._engine.found_elsewhere(Call(BLOCKING, path, key_of(path))))
        return super().head(path) if known is None else known.metadata()

    async def head_async(self, path: str) -> ObjectMeta:
        """Get an object's metadata, the cached object's if there is one."""
        known = self._metadata_of(path) or await self._engine.found_elsewhere(Call(LOOPING, path, key_of(path)))
        return await super().head_async(path) if known is None else known.metadata()

    def _metadata_of(self, path: str) -> Known | None:
        known = self._engine.current(key_of(path))
        if known is not None:
            self._engine.index.block((known, 0))  # a use of the object
        return known

    # Changing: what is changed through this store is forgotten.

    async def _forget(self, way: Way, paths: list[str] | None) -> None:
        keys = None if paths is None else [key_of(path) for path in paths]
        self._engine.forget(keys)
        if self._engine.tiers:
            for key in keys or []:
                await way.call(self._engine.tiers.forget, key)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as typed as the store's own attribute
        """Forward an attribute; what changes objects also drops them from the cache."""
        attribute = super().__getattr__(name)
        change = changes(name)
        if change is None:
            return attribute
        if name.endswith("_async"):
            return forgetting_async(attribute, change, partial(self._forget, LOOPING))
        return forgetting(attribute, change, lambda paths: run_now(self._forget(BLOCKING, paths)))


def key_of(path: str) -> str:
    """Return what one object's path is cached by: stores take a slash at either end for nothing."""
    try:
        return path.removeprefix("/").removesuffix("/")
    except (AttributeError, TypeError):
        check_path(path)
        raise


def _result(known: Known, span: Span, body: Held | Windows) -> Result:
    return Result(known.metadata(), tuple(span), dict(known.attributes), body)  # type: ignore[arg-type]
