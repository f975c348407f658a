"""Serve a read that memory cannot: validate the version of the object, then load the blocks of that version."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from obspec_utils._io.buffers import BufferList, concat
from obspec_utils._ranges import block_indices
from obspec_utils.exceptions import ObjectChangedError

if TYPE_CHECKING:
    from collections.abc import Hashable

    from obspec_utils._io.response import Response
    from obspec_utils._io.single_flight import Claim
    from obspec_utils._ranges import ByteRange
    from obspec_utils.wrappers.caching._blocks import BlockLoader
    from obspec_utils.wrappers.caching._context import RequestContext
    from obspec_utils.wrappers.caching._entries import Entry, EntryTable
    from obspec_utils.wrappers.caching._preconditions import RequestedRanges
    from obspec_utils.wrappers.caching._revalidation import Revalidator, Validation

__all__ = ["Lookup", "ReadThrough"]

# Attempts of a read while its object is replaced; then the wrapped store serves it.
_MAX_ATTEMPTS = 4


class Lookup(NamedTuple):
    """Bytes located for a request.

    Attributes
    ----------
    blocks
        The blocks that hold the ranges; none yet for a body that is read lazily.
    response
        For a lazy body, a response that holds its first bytes.
    by_range
        The bytes of each range, if they are not in `blocks`.
    """

    entry: Entry
    ranges: list[ByteRange]
    blocks: dict[int, BufferList]
    response: Response | None = None
    by_range: dict[ByteRange, BufferList] | None = None

    def parts(self, span: ByteRange) -> BufferList:
        """Return buffers that hold one of the ranges."""
        if self.by_range is not None:
            return self.by_range[span]
        if not span.length:
            return BufferList([])
        return concat([self.blocks[number] for number in block_indices(span, self.entry.size, self.entry.block_size)])


@dataclass(slots=True)
class _Version:
    """The validated version of an object; with all its bytes, if objects are cached whole."""

    entry: Entry
    whole: BufferList | None = None


@dataclass(slots=True)
class ReadThrough:
    """Serve one read that memory cannot.

    Parameters
    ----------
    entries, revalidator, blocks
        The parts of the caching store.
    call
        The object, and the backend of the caller.
    wanted
        The byte ranges.
    whole
        Whether the whole object is requested, preferably in one buffer.
    lazy
        Whether to return a body that is loaded window by window.
    """

    entries: EntryTable
    revalidator: Revalidator
    blocks: BlockLoader
    call: RequestContext
    wanted: RequestedRanges
    whole: bool = False
    lazy: bool = False
    # The version that this request validated itself, and the blocks claimed with it: to be published or abandoned.
    _validation: Validation | None = field(default=None, init=False)
    _claim: Claim | None = field(default=None, init=False)
    # Whether the bytes come from a whole get of the wrapped store.
    _from_whole_get: bool = field(default=False, init=False)

    async def run(self) -> Lookup | Response | None:
        """Return the requested bytes; None if only the wrapped store can serve them, or they are too large to cache.

        If only the response shows that a whole object is too large, return that response.
        """
        for _ in range(_MAX_ATTEMPTS):
            entry = self.entries.find(self.call.key)
            if entry is not None and not self._is_multi_range and self._is_too_large(entry):
                return None
            try:
                found = await self._load(await self._validated())
            except BaseException as error:
                self._abandon()
                if isinstance(error, FileNotFoundError):
                    await self.revalidator.evict_missing(self.call)
                # A changed object is read again, except where the wrapped store itself serves it whole.
                if not isinstance(error, ObjectChangedError) or self._from_whole_get:
                    raise
            else:
                await self._publish()
                return found
        return await self._load_single() if self._is_multi_range else None

    @property
    def _is_multi_range(self) -> bool:
        """Whether a request by blocks has several ranges: not forwarded, since a store may mix versions of them."""
        return self.blocks.by_blocks and not self.wanted.single

    def _is_too_large(self, entry: Entry) -> bool:
        return self.blocks.too_large(entry, self.wanted.spans(entry.size))

    # Step 1: the version.

    async def _validated(self) -> _Version:
        """Return the version of the object, validated at or after `min_validated_at`."""
        entries, key = self.entries, self.call.key
        min_validated_at = entries.min_validated_at(key)

        def find(_: Hashable) -> _Version | None:
            return self._find(min_validated_at)

        async def fetch(_: list[Hashable]) -> dict[Hashable, _Version]:
            return {key: await self._fetch(min_validated_at)}

        found = self._find(min_validated_at)
        while found is None:
            results = await entries.in_flight.run_many(self.call.backend, [key], fetch, find=find, keep=self._keep)
            version: _Version = results[key]
            # Another caller's request may be too old, if it began before this one.
            if self._validation is not None or version.entry.validated_at >= min_validated_at:
                found = version
        return found

    def _find(self, min_validated_at: float) -> _Version | None:
        entries = self.entries
        entry = entries.find(self.call.key)
        if entry is None or not entries.is_fresh(entry, min_validated_at):
            return None
        if entry.size and (self.blocks.by_blocks or self.blocks.too_large(entry, [])):
            return _Version(entry)
        whole = entries.block((entry, 0))
        return None if whole is None else _Version(entry, whole)

    async def _fetch(self, min_validated_at: float) -> _Version:
        """Validate the version, and fetch the object if it is cached whole."""
        blocks, by_blocks = self.blocks, self.blocks.by_blocks
        old = self.entries.find(self.call.key)
        whole = None if old is None or by_blocks else self.entries.block((old, 0))
        has_bytes = old is not None and (bool(old.blocks) if by_blocks else whole is not None)
        validation = self._validation = await self.revalidator.validate(
            self.call, self.wanted.first, old, min_validated_at, has_bytes=has_bytes
        )
        entry, response = validation.entry, validation.response
        self._from_whole_get = response is not None and not by_blocks
        if entry.size == 0:
            return _Version(entry, BufferList([]))
        if by_blocks:
            ranges = self.wanted.spans(entry.size)
            if ranges is not None and not blocks.too_large(entry, ranges) and not self._is_lazy(entry, ranges):
                # Before the version is published, so that other callers join instead of fetching the same bytes.
                self._claim = blocks.claim(self.call, entry, ranges)
            return _Version(entry)
        if blocks.too_large(entry, []):
            return _Version(entry)
        if entry is not old or whole is None:
            whole = (await blocks.get_or_fetch(self.call, entry, [0], response, whole=self.whole))[0]
        return _Version(entry, whole)

    def _keep(self, _: Hashable, version: _Version) -> None:
        # All waiters get the entry in the table, since blocks are keyed by entry.
        version.entry = self.entries.put(self.call.key, version.entry)
        if version.whole is not None:
            self.entries.keep(version.entry, 0, version.whole)

    # Step 2: the blocks.

    async def _load(self, version: _Version) -> Lookup | Response | None:
        entry, validation = version.entry, self._validation
        response = None if validation is None else validation.response
        if validation is not None and entry is not validation.entry:
            # Another event loop has published the same version: its blocks are keyed by that entry.
            validation.entry = entry
            if self._claim is not None:
                self.entries.in_flight.abandon(self._claim)
                self._claim = None
        ranges = self.wanted.spans(entry.size)
        if ranges is None:
            return None
        if self.blocks.too_large(entry, ranges):
            return await self._load_uncached(entry, ranges, response)
        if version.whole is not None:
            return Lookup(entry, ranges, {0: version.whole})
        if self._is_lazy(entry, ranges):
            return Lookup(entry, ranges, {}, response)
        return Lookup(entry, ranges, await self.blocks.load(self.call, entry, ranges, self._claim, response))

    async def _load_uncached(
        self, entry: Entry, ranges: list[ByteRange], response: Response | None
    ) -> Lookup | Response | None:
        if not self._is_multi_range:
            return response if self.whole and not self.blocks.by_blocks else None
        if not entry.version.has_validator:
            return await self._load_single()
        return Lookup(entry, ranges, {}, by_range=await self.blocks.fetch_uncached(self.call, entry, ranges))

    async def _load_single(self) -> Lookup | None:
        """Load all ranges by one request, whose response is always of one version."""
        entry, parts = await self.blocks.fetch_single(self.call, self.wanted.cover)
        ranges = self.wanted.spans(entry.size)
        return None if ranges is None else Lookup(entry, ranges, {}, by_range=dict.fromkeys(ranges, parts))

    def _is_lazy(self, entry: Entry, ranges: list[ByteRange]) -> bool:
        return self.lazy and ranges[0].length > self.blocks.window and entry.block_size < entry.size

    # The end of a request.

    async def _publish(self) -> None:
        validation, self._validation = self._validation, None
        if validation is not None:
            await self.revalidator.publish(self.call, validation)

    def _abandon(self) -> None:
        validation = self._validation
        if validation is None:
            return
        if self._claim is not None:  # abandoned before it is dropped: an interrupt may hit in between
            self.entries.in_flight.abandon(self._claim)
            self._claim = None
        self._validation = None
        self.revalidator.abandon(self.call, validation)
