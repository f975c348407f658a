"""One request to a caching store that memory alone could not answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from obspec_utils._buffers import Parts
from obspec_utils._plan import align
from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.wrappers._index import together

if TYPE_CHECKING:
    from collections.abc import Hashable

    from obspec_utils._flight import Ticket
    from obspec_utils._plan import Span
    from obspec_utils._response import Answer
    from obspec_utils.wrappers._conditions import Wanted
    from obspec_utils.wrappers._engine import Engine
    from obspec_utils.wrappers._known import Known
    from obspec_utils.wrappers._ways import Call

__all__ = ["Read", "Reading"]

# How many times a read begins anew because the object was replaced meanwhile; then the store answers it by itself.
_TRIES = 4


class Read(NamedTuple):
    """The bytes of one version that a request is for."""

    known: Known
    spans: list[Span]
    blocks: dict[int, Parts]
    """None yet, of what is read lazily."""
    first: Answer | None = None
    """What has arrived of that."""
    direct: dict[Span, Parts] | None = None
    """The spans themselves, where their blocks are too many to be kept."""

    def parts(self, span: Span) -> Parts:
        """Return parts that hold one of the spans."""
        if self.direct is not None:
            return self.direct[span]
        if not span.length:
            return Parts([])
        return together([self.blocks[number] for number in align(span, self.known.size, self.known.unit)])


class _Opened(NamedTuple):
    """An object whose version is known; `whole` is all of it, where it was fetched together with that."""

    known: Known
    whole: Parts | None = None


@dataclass(slots=True)
class Reading:
    """One request.

    Parameters
    ----------
    whole
        Whether all of the object is wanted, maybe in one buffer.
    lazy
        Whether what is more than a window need not be fetched yet.
    """

    engine: Engine
    call: Call
    wanted: Wanted
    whole: bool = False
    lazy: bool = False
    # The version this request has asked for itself, and the blocks claimed with it, which it has to bring to an end.
    _led: Known | None = field(default=None, init=False)
    _ticket: Ticket | None = field(default=None, init=False)
    # Whether the bytes come from a whole get of the store below.
    _passed_on: bool = field(default=False, init=False)

    async def run(self) -> Read | Answer | None:
        """Return the bytes that are wanted; None if only the store can answer, or they are too many to be kept.

        Where an object turns out to be too large only now, and the `whole` of it is wanted, it is the store's answer.
        """
        for _ in range(_TRIES):
            known = self.engine.index.find(self.call.key)
            if known is not None and not self._several and self._too_large(known):
                return None
            try:
                answer = await self._answer(await self._open())
            except BaseException as error:
                self._abandon()
                if isinstance(error, FileNotFoundError):
                    await self.engine.lose(self.call)
                # Of blocks it is ours to fetch them anew; what the store below says of a whole object is its own.
                if not isinstance(error, ObjectChangedError) or self._passed_on:
                    raise
            else:
                await self._settle()
                return answer
        return await self._at_once() if self._several else None

    async def _at_once(self) -> Read | None:
        """Fetch all ranges by one request, which is always answered from one version."""
        known, parts = await self.engine.shared.at_once(self.call, self.wanted.cover)
        spans = self.wanted.spans(known.size)
        return None if spans is None else Read(known, spans, {}, direct=dict.fromkeys(spans, parts))

    @property
    def _several(self) -> bool:
        """Whether ranges are wanted that a store may answer from several versions: they never pass through."""
        return self.engine.by_blocks and not self.wanted.single

    def _too_large(self, known: Known) -> bool:
        return self.engine.too_large(known, self.wanted.spans(known.size))

    def _abandon(self) -> None:
        led, self._led = self._led, None
        if led is not None:
            led.withdraw()
            self.engine.shared.abandon(self.call.way, led)
        if self._ticket is not None:
            self.engine.flights.abandon(self._ticket)

    async def _settle(self) -> None:
        led, self._led = self._led, None
        if led is not None:
            led.withdraw()
            await self.engine.shared.settle(self.call.way, led)

    async def _answer(self, opened: _Opened) -> Read | Answer | None:
        known = opened.known
        spans = self.wanted.spans(known.size)
        if spans is None:
            return None
        if self.engine.too_large(known, spans):
            return await self._too_large_to_keep(known, spans)
        if opened.whole is not None:
            return Read(known, spans, {0: opened.whole})
        if self._is_lazy(known, spans):
            return Read(known, spans, {}, known.take(spans[0], self.call.way.owner()))
        ticket, self._ticket = self._ticket, None
        return Read(known, spans, await self.engine.load(self.call, known, spans, ticket))

    async def _too_large_to_keep(self, known: Known, spans: list[Span]) -> Read | Answer | None:
        if not self._several:
            wants_it = self.whole and not self.engine.by_blocks
            return known.take(spans[0], self.call.way.owner()) if wants_it else None
        if not known.version.comparable(known.version):
            return await self._at_once()
        return Read(known, spans, {}, direct=await self.engine.fetch(self.call, known, spans))

    def _is_lazy(self, known: Known, spans: list[Span]) -> bool:
        return self.lazy and spans[0].length > self.engine.window and known.unit < known.size

    async def _open(self) -> _Opened:
        """Return the version of the object, checked as late as it has to be."""
        oldest = self.engine.oldest(self.call.key)

        def find(_: Hashable) -> _Opened | None:
            return self._found(oldest)

        async def fetch(_: list[Hashable]) -> dict[Hashable, _Opened]:
            return {self.call.key: await self._fetch(oldest)}

        found = self._found(oldest)
        while found is None:
            landed = await self.call.way.fly(self.engine.flights, [self.call.key], fetch, find, self._keep)
            opened: _Opened = landed[self.call.key]
            # What another one began to ask for before this read started may be too old for it.
            if self._led is not None or opened.known.checked >= oldest:
                return opened
        return found

    def _found(self, oldest: float) -> _Opened | None:
        index = self.engine.index
        known = index.find(self.call.key)
        if known is None or not self.engine.fresh(known, oldest):
            return None
        if known.size and (self.engine.by_blocks or self.engine.too_large(known, [])):
            return _Opened(known)
        whole = index.block((known, 0))
        return None if whole is None else _Opened(known, whole)

    async def _fetch(self, oldest: float) -> _Opened:
        engine, call = self.engine, self.call
        old = engine.index.find(call.key)
        whole = None if old is None or engine.by_blocks else engine.index.block((old, 0))
        if old is not None and not (old.blocks if engine.by_blocks else whole is not None) and not engine.tiers:
            old = None  # nothing is kept of it: to know that it is still the same would be no help
        known = self._led = await engine.shared.version(call, self.wanted.first, old, oldest)
        self._passed_on = known.pending and not engine.by_blocks
        if known.size == 0:
            return _Opened(known, Parts([]))
        if engine.by_blocks:
            # Those who wait for the version, and want the same blocks, will find them claimed.
            spans = self.wanted.spans(known.size)
            if spans is not None and not engine.too_large(known, spans) and not self._is_lazy(known, spans):
                self._ticket = engine.claim(call, known, spans)
            return _Opened(known)
        if engine.too_large(known, []):
            return _Opened(known)
        if known is not old or whole is None:
            whole = (await engine.shared.bring(call, known, [0], whole=self.whole))[0]
        return _Opened(known, whole)

    def _keep(self, _: Hashable, opened: _Opened) -> None:
        self.engine.index.put(self.call.key, opened.known)
        if opened.whole is not None:
            self.engine.index.keep(opened.known, 0, opened.whole)
