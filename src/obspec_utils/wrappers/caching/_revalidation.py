"""One request to a caching store that memory alone could not answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from obspec_utils._io.buffers import BufferList
from obspec_utils._ranges import block_indices
from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.wrappers.caching._entries import concat

if TYPE_CHECKING:
    from collections.abc import Hashable

    from obspec_utils._io.backends import RequestContext
    from obspec_utils._io.response import Response
    from obspec_utils._io.single_flight import Claim
    from obspec_utils._ranges import ByteRange
    from obspec_utils.wrappers.caching._blocks import BlockLoader
    from obspec_utils.wrappers.caching._entry import Entry
    from obspec_utils.wrappers.caching._preconditions import RequestedRanges

__all__ = ["Lookup", "ReadThrough"]

# How many times a read begins anew because the object was replaced meanwhile; then the store answers it by itself.
_TRIES = 4


class Lookup(NamedTuple):
    """The bytes of one version that a request is for."""

    entry: Entry
    spans: list[ByteRange]
    blocks: dict[int, BufferList]
    """None yet, of what is read lazily."""
    first: Response | None = None
    """What has arrived of that."""
    direct: dict[ByteRange, BufferList] | None = None
    """The spans themselves, where their blocks are too many to be kept."""

    def parts(self, span: ByteRange) -> BufferList:
        """Return parts that hold one of the spans."""
        if self.direct is not None:
            return self.direct[span]
        if not span.length:
            return BufferList([])
        return concat([self.blocks[number] for number in block_indices(span, self.entry.size, self.entry.block_size)])


class _Opened(NamedTuple):
    """An object whose version is known; `whole` is all of it, where it was fetched together with that."""

    entry: Entry
    whole: BufferList | None = None


@dataclass(slots=True)
class ReadThrough:
    """One request.

    Parameters
    ----------
    whole
        Whether all of the object is wanted, maybe in one buffer.
    lazy
        Whether what is more than a window need not be fetched yet.
    """

    blocks: BlockLoader
    call: RequestContext
    wanted: RequestedRanges
    whole: bool = False
    lazy: bool = False
    # The version this request has asked for itself, and the blocks claimed with it, which it has to bring to an end.
    _led_entry: Entry | None = field(default=None, init=False)
    _claim: Claim | None = field(default=None, init=False)
    # Whether the bytes come from a whole get of the store below.
    _passed_on: bool = field(default=False, init=False)

    async def run(self) -> Lookup | Response | None:
        """Return the bytes that are wanted; None if only the store can answer, or they are too many to be kept.

        Where an object turns out to be too large only now, and the `whole` of it is wanted, it is the store's answer.
        """
        for _ in range(_TRIES):
            entry = self.blocks.index.find(self.call.key)
            if entry is not None and not self._several and self._too_large(entry):
                return None
            try:
                answer = await self._answer(await self._open())
            except BaseException as error:
                self._abandon()
                if isinstance(error, FileNotFoundError):
                    await self.blocks.evict_missing(self.call)
                # Of blocks it is ours to fetch them anew; what the store below says of a whole object is its own.
                if not isinstance(error, ObjectChangedError) or self._passed_on:
                    raise
            else:
                await self._settle()
                return answer
        return await self._at_once() if self._several else None

    async def _at_once(self) -> Lookup | None:
        """Fetch all ranges by one request, which is always answered from one version."""
        entry, parts = await self.blocks.shared.fetch_single(self.call, self.wanted.cover)
        spans = self.wanted.spans(entry.size)
        return None if spans is None else Lookup(entry, spans, {}, direct=dict.fromkeys(spans, parts))

    @property
    def _several(self) -> bool:
        """Whether ranges are wanted that a store may answer from several versions: they never pass through."""
        return self.blocks.by_blocks and not self.wanted.single

    def _too_large(self, entry: Entry) -> bool:
        return self.blocks.too_large(entry, self.wanted.spans(entry.size))

    def _abandon(self) -> None:
        led, self._led_entry = self._led_entry, None
        if led is not None:
            led.withdraw_response()
            self.blocks.shared.abandon(self.call.backend, led)
        if self._claim is not None:  # abandoned before it is let go of: an interrupt may hit in between
            self.blocks.in_flight.abandon(self._claim)
            self._claim = None

    async def _settle(self) -> None:
        led, self._led_entry = self._led_entry, None
        if led is not None:
            led.withdraw_response()
            await self.blocks.shared.publish(self.call.backend, led)

    async def _answer(self, opened: _Opened) -> Lookup | Response | None:
        entry = opened.entry
        spans = self.wanted.spans(entry.size)
        if spans is None:
            return None
        if self.blocks.too_large(entry, spans):
            return await self._too_large_to_keep(entry, spans)
        if opened.whole is not None:
            return Lookup(entry, spans, {0: opened.whole})
        if self._is_lazy(entry, spans):
            return Lookup(entry, spans, {}, entry.take_response(spans[0], self.call.backend.owner()))
        return Lookup(entry, spans, await self.blocks.load(self.call, entry, spans, self._claim))

    async def _too_large_to_keep(self, entry: Entry, spans: list[ByteRange]) -> Lookup | Response | None:
        if not self._several:
            wants_it = self.whole and not self.blocks.by_blocks
            return entry.take_response(spans[0], self.call.backend.owner()) if wants_it else None
        if not entry.version.comparable(entry.version):
            return await self._at_once()
        return Lookup(entry, spans, {}, direct=await self.blocks.fetch(self.call, entry, spans))

    def _is_lazy(self, entry: Entry, spans: list[ByteRange]) -> bool:
        return self.lazy and spans[0].length > self.blocks.window and entry.block_size < entry.size

    async def _open(self) -> _Opened:
        """Return the version of the object, checked as late as it has to be."""
        min_validated_at = self.blocks.min_validated_at(self.call.key)

        def find(_: Hashable) -> _Opened | None:
            return self._found(min_validated_at)

        async def fetch(_: list[Hashable]) -> dict[Hashable, _Opened]:
            return {self.call.key: await self._fetch(min_validated_at)}

        found = self._found(min_validated_at)
        while found is None:
            landed = await self.call.backend.single_flight(
                self.blocks.in_flight, [self.call.key], fetch, find, self._keep
            )
            opened: _Opened = landed[self.call.key]
            # What another one began to ask for before this read started may be too old for it.
            if self._led_entry is not None or opened.entry.validated_at >= min_validated_at:
                return opened
        return found

    def _found(self, min_validated_at: float) -> _Opened | None:
        index = self.blocks.index
        entry = index.find(self.call.key)
        if entry is None or not self.blocks.fresh(entry, min_validated_at):
            return None
        if entry.size and (self.blocks.by_blocks or self.blocks.too_large(entry, [])):
            return _Opened(entry)
        whole = index.block((entry, 0))
        return None if whole is None else _Opened(entry, whole)

    async def _fetch(self, min_validated_at: float) -> _Opened:
        blocks, call = self.blocks, self.call
        old = blocks.index.find(call.key)
        whole = None if old is None or blocks.by_blocks else blocks.index.block((old, 0))
        if old is not None and not (old.blocks if blocks.by_blocks else whole is not None) and not blocks.tiers:
            old = None  # nothing is kept of it: to know that it is still the same would be no help
        entry = self._led_entry = await blocks.shared.version(call, self.wanted.first, old, min_validated_at)
        self._passed_on = entry.pending and not blocks.by_blocks
        if entry.size == 0:
            return _Opened(entry, BufferList([]))
        if blocks.by_blocks:
            # Those who wait for the version, and want the same blocks, will find them claimed.
            spans = self.wanted.spans(entry.size)
            if spans is not None and not blocks.too_large(entry, spans) and not self._is_lazy(entry, spans):
                self._claim = blocks.claim(call, entry, spans)
            return _Opened(entry)
        if blocks.too_large(entry, []):
            return _Opened(entry)
        if entry is not old or whole is None:
            whole = (await blocks.shared.get_or_fetch(call, entry, [0], whole=self.whole))[0]
        return _Opened(entry, whole)

    def _keep(self, _: Hashable, opened: _Opened) -> None:
        self.blocks.index.put(self.call.key, opened.entry)
        if opened.whole is not None:
            self.blocks.index.keep(opened.entry, 0, opened.whole)
