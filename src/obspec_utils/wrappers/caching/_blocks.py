"""Blocks of a known version: from memory, then the shared caches, then the wrapped store."""

from __future__ import annotations

from functools import partial
from logging import INFO
from typing import TYPE_CHECKING, Any, cast

from obspec_utils._io.logs import log
from obspec_utils._ranges import covered_size
from obspec_utils.caches._protocol import NO_LEASE
from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.wrappers.caching._shared_tiers import FIRST_PAUSE, MAX_PAUSE, MAX_WAIT

if TYPE_CHECKING:
    from collections.abc import Coroutine, Hashable, Iterable, Sequence

    from obspec_utils._io.buffers import BufferList
    from obspec_utils._io.response import Response
    from obspec_utils._io.single_flight import Claim
    from obspec_utils._ranges import ByteRange
    from obspec_utils.caches import Lease
    from obspec_utils.wrappers.caching._context import RequestContext
    from obspec_utils.wrappers.caching._entries import Entry, EntryTable
    from obspec_utils.wrappers.caching._origin import Origin
    from obspec_utils.wrappers.caching._shared_tiers import SharedTiers
    from obspec_utils.wrappers.caching._stats import Counters

__all__ = ["BlockLoader"]


class BlockLoader:
    """Find and fetch blocks, each block once for all concurrent callers.

    Processes that share a cache fetch a block once, too, as a best effort: after `MAX_WAIT`, or without leases, each
    process fetches it.

    Parameters
    ----------
    origin
        The wrapped store.
    entries
        The memory index.
    tiers
        The shared caches.
    counters
        The store's counters.
    max_ahead
        The maximum number of bytes of a fetch that reads ahead; 0 to read nothing ahead.
    """

    def __init__(
        self, origin: Origin, entries: EntryTable, tiers: SharedTiers, counters: Counters, max_ahead: int
    ) -> None:
        self._origin = origin
        self._entries = entries
        self._tiers = tiers
        self._counters = counters
        self.by_blocks = origin.by_blocks
        self._max_read = origin.max_read
        self._max_ahead = max_ahead
        self.window = origin.window

    def too_large(self, entry: Entry, ranges: list[ByteRange] | None) -> bool:
        """Return whether no cache can keep what a read would fetch: the blocks of ranges, or the whole object."""
        if self._max_read is None or ranges is None:
            return False
        if not self.by_blocks:
            return entry.size > self._max_read
        return covered_size(ranges, entry.size, entry.block_size) > self._max_read

    def claim(self, call: RequestContext, entry: Entry, ranges: list[ByteRange]) -> Claim:
        """Claim the blocks of ranges that are neither in memory nor being fetched."""
        keys: list[Hashable] = [(entry, number) for number in entry.block_numbers(ranges)]
        return self._entries.in_flight.claim(call.backend, keys, self._entries.block)

    def _ahead(self, entry: Entry, claimed: Iterable[Hashable]) -> Iterable[Hashable]:
        """Return the blocks to read ahead with the blocks that a call has claimed."""
        max_blocks, count = self._max_ahead // entry.block_size, -(-entry.size // entry.block_size)
        if max_blocks <= 1:
            return []
        numbers = [number for _, number in cast("Iterable[tuple[Entry, int]]", claimed)]
        start, stop = min(numbers), max(numbers) + 1
        if stop - start > len(numbers):
            return []
        cached = range(count) if self._entries.memory is None else entry.blocks
        end = min(entry.sequences.extend(start, stop, max_blocks, cached), count)
        return [(entry, number) for number in range(stop, end)]

    async def load(
        self,
        call: RequestContext,
        entry: Entry,
        ranges: list[ByteRange],
        claim: Claim | None = None,
        response: Response | None = None,
    ) -> dict[int, BufferList]:
        """Return the blocks of a version that hold byte ranges. If they are read in sequence, fetch more.

        Parameters
        ----------
        claim
            Blocks claimed for this call, which publishes or abandons them.
        response
            A response whose body may hold some of the bytes.

        Raises
        ------
        ObjectChangedError
            If the object has another version by now, and not all blocks are cached.
        """
        cached = {number: self._entries.block((entry, number)) for number in entry.block_numbers(ranges)}
        blocks = {number: parts for number, parts in cached.items() if parts is not None}
        missing: list[Hashable] = [(entry, number) for number, parts in cached.items() if parts is None]
        self._counters.add(hits=len(blocks))
        if not missing and claim is None:
            return blocks
        fetched_keys: list[Hashable] = []  # by this call

        def fetch(keys: list[Hashable]) -> Coroutine[Any, Any, dict[Hashable, BufferList]]:
            unread = None if fetched_keys else response  # a body is read once
            fetched_keys.extend(keys)
            return self._fetch_claimed(call, entry, keys, unread, set(cached))

        in_flight, find = self._entries.in_flight, self._entries.block
        try:
            results = await in_flight.run_many(
                call.backend,
                missing,
                fetch,
                find=find,
                keep=self._keep,
                claim=claim,
                more=partial(self._ahead, entry),
            )
        except ObjectChangedError:
            self._entries.invalidate_version(call.key, entry)
            raise
        finally:
            if claim is not None:  # other callers may wait for it even if this one did not need it
                in_flight.abandon(claim)
        self._counters.add(joined=len(set(missing).difference(fetched_keys)))
        return blocks | {number: results[entry, number] for number in cached if cached[number] is None}

    def _keep(self, key: Hashable, parts: BufferList) -> None:
        entry, number = cast("tuple[Entry, int]", key)
        self._entries.keep(entry, number, parts)

    async def _fetch_claimed(
        self,
        call: RequestContext,
        entry: Entry,
        keys: list[Hashable],
        response: Response | None,
        wanted: set[int],
    ) -> dict[Hashable, BufferList]:
        """Fetch claimed blocks. Those that are not wanted are read ahead; if that fails, fetch only the others."""
        claimed = {number for _, number in cast("list[tuple[Entry, int]]", keys)}
        numbers, ahead = sorted(claimed & wanted), sorted(claimed - wanted)
        blocks = await self._fetch_ahead(call, entry, numbers, ahead, response) if ahead else None
        if blocks is None:
            # Outside a handler: the context of an error would keep the bytes in memory that have arrived.
            blocks = await self.get_or_fetch(call, entry, numbers, None if ahead else response)
        return {(entry, number): parts for number, parts in blocks.items()}

    async def _fetch_ahead(
        self, call: RequestContext, entry: Entry, numbers: list[int], ahead: list[int], response: Response | None
    ) -> dict[int, BufferList] | None:
        """Fetch blocks and those ahead of them; return None if that fails, unless the object has changed."""
        try:
            return await self.get_or_fetch(call, entry, numbers, response, ahead=ahead)
        except (ObjectChangedError, FileNotFoundError):
            raise
        except Exception as error:  # noqa: BLE001 - the error of the blocks ahead is raised when they are read
            log(INFO, "Read-ahead of %r failed: %s", call.path, error)
            return None

    async def fetch_uncached(
        self, call: RequestContext, entry: Entry, ranges: list[ByteRange]
    ) -> dict[ByteRange, BufferList]:
        """Fetch byte ranges of a version without caching them.

        Raises
        ------
        ObjectChangedError
            If the object has another version by now.
        """
        try:
            return await self._origin.fetch_ranges(call, entry, ranges)
        except ObjectChangedError:
            self._entries.invalidate_version(call.key, entry)
            raise

    async def fetch_single(self, call: RequestContext, span: ByteRange) -> tuple[Entry, BufferList]:
        """Fetch a byte range by one request, of any version, without caching it."""
        return await self._origin.fetch_single(call, span)

    async def get_or_fetch(
        self,
        call: RequestContext,
        entry: Entry,
        numbers: list[int],
        response: Response | None,
        *,
        whole: bool = False,
        ahead: Sequence[int] = (),
    ) -> dict[int, BufferList]:
        """Return blocks from the shared caches; fetch the missing ones and put them there.

        Parameters
        ----------
        response
            A response whose body may hold some of the bytes.
        whole
            Whether to prefer one buffer for an object that is one block.
        ahead
            Blocks to return too, unless another process is fetching them.
        """
        every, min_part = sorted([*numbers, *ahead]), len(numbers) if ahead else None
        names = self._tiers.names(call.key, entry, every) if self._tiers else {}
        if not names:
            return await self._fetch(call, entry, every, response, whole, min_part)
        found = await self._find_shared(call, entry, names, count_misses=True)
        pause = FIRST_PAUSE
        while missing := {number: name for number, name in names.items() if number not in found}:
            leased, lease = missing, NO_LEASE
            if call.waited < MAX_WAIT:
                leased, lease = await call.backend.call(self._tiers.lease, missing, call.backend.task())
            if ahead:
                names = {number: names[number] for number in numbers}
            if leased:
                found |= await self._fetch_leased(call, entry, leased, lease, response, whole, min_part)
                response = None  # a body is read once
                continue
            await call.wait(pause)
            pause = min(2 * pause, MAX_PAUSE)
            found |= await self._find_shared(call, entry, missing)
        return found

    async def _find_shared(
        self, call: RequestContext, entry: Entry, names: dict[int, str], *, count_misses: bool = False
    ) -> dict[int, BufferList]:
        found = await call.backend.call(self._tiers.find, entry, names, count_misses)
        self._counters.add(hits=len(found))
        return found

    async def _fetch_leased(
        self,
        call: RequestContext,
        entry: Entry,
        names: dict[int, str],
        lease: Lease,
        response: Response | None,
        whole: bool,  # noqa: FBT001 - passed on
        min_part: int | None,
    ) -> dict[int, BufferList]:
        """Fetch leased blocks, except those that another process put into a cache before the lease was acquired."""
        try:
            found = await self._find_shared(call, entry, names)
            missing = [number for number in names if number not in found]
            fetched: dict[int, BufferList] = {}
            if missing:
                fetched = await self._fetch(call, entry, missing, response, whole, min_part)
                await call.backend.call(self._tiers.put, entry, names, fetched)
        except BaseException:
            call.backend.leave(lease.release)
            raise
        await call.backend.call(lease.release)
        return found | fetched

    async def _fetch(
        self,
        call: RequestContext,
        entry: Entry,
        numbers: list[int],
        response: Response | None,
        whole: bool,  # noqa: FBT001 - passed on
        min_part: int | None,
    ) -> dict[int, BufferList]:
        blocks = await self._origin.fetch(call, entry, numbers, first=response, contiguous=whole, min_part=min_part)
        self._counters.add(misses=len(numbers), bytes_fetched=sum(map(len, blocks.values())))
        return blocks
