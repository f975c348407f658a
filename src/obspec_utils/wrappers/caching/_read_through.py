"""Fetching together with other processes: what one of them has put into a shared cache, the others find there."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from obspec_utils.caches._protocol import NO_LEASE

if TYPE_CHECKING:
    from collections.abc import Callable

    from obspec_utils._io.backends import Backend, RequestContext
    from obspec_utils._io.buffers import BufferList
    from obspec_utils._ranges import ByteRange
    from obspec_utils.caches import Lease
    from obspec_utils.wrappers.caching._counters import Counters
    from obspec_utils.wrappers.caching._entry import Entry
    from obspec_utils.wrappers.caching._origin import Origin
    from obspec_utils.wrappers.caching._shared_tiers import SharedTiers

__all__ = ["SharedFetcher"]

# For how many seconds one call waits for what others are fetching. Who died is not waited for: the leases end.
_PATIENCE = 30.0
# How long it takes to look again, in seconds: at first, and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.05


class SharedFetcher:
    """The store below and the caches shared with other processes, of which one at a time fetches the same bytes.

    That is best effort: who waits too long, or can't tell who fetches, fetches too.
    """

    def __init__(self, origin: Origin, tiers: SharedTiers, counters: Counters) -> None:
        self._origin = origin
        self._tiers = tiers
        self._tally = counters

    # Versions.

    async def version(
        self, call: RequestContext, first: ByteRange, old: Entry | None, min_validated_at: float
    ) -> Entry:
        """Return the version of an object, checked at `oldest` or later; `old` is what it was as far as is known."""
        lease: Lease | None = None
        if self._tiers:
            old, lease = await self._from_tiers(call, old, min_validated_at)
            if old is not None and _fresh(old, min_validated_at):
                return old
        try:
            found = await self._origin.revalidate(call.backend, call.path, first, old)
        except BaseException:
            if lease is not None:
                call.backend.leave(lease.release)
            raise
        self._tally.add(revalidations=int(old is not None))
        if self._tiers:
            found.unpublished.append(partial(self._publish, call.key, found, lease))
        return found

    async def recorded(self, call: RequestContext, min_validated_at: float) -> Entry | None:
        """Return the version that a shared cache has, if it was checked at `oldest` or later."""
        entry = self._latest(None, await call.backend.call(self._tiers.record, call.key, min_validated_at))
        return entry if entry is not None and _fresh(entry, min_validated_at) else None

    async def _from_tiers(
        self, call: RequestContext, old: Entry | None, min_validated_at: float
    ) -> tuple[Entry | None, Lease | None]:
        """Return the latest version that is known to anybody, and the right to ask for it if it is too old."""
        pause = _FIRST_PAUSE
        while True:
            old = self._latest(old, await call.backend.call(self._tiers.record, call.key, min_validated_at))
            if old is not None and _fresh(old, min_validated_at):
                return old, None
            lease = await call.backend.call(self._tiers.lease_record, call.key, call.backend.owner())
            if lease is not None or call.waited >= _PATIENCE:
                break
            await call.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        # Whoever had the lease until now has told what it found.
        try:
            latest = self._latest(old, await call.backend.call(self._tiers.record, call.key, min_validated_at))
        except BaseException:
            if lease is not None:
                call.backend.leave(lease.release)
            raise
        if latest is not None and _fresh(latest, min_validated_at) and lease is not None:
            await call.backend.call(lease.release)
        return latest, lease

    def _latest(self, old: Entry | None, record: tuple[object, object, float] | None) -> Entry | None:
        """Return what was known before, or what a record says if it is later; the same version stays the same."""
        if record is None or (old is not None and old.validated_at >= record[2]):
            return old
        entry = self._origin.entry(*record)  # type: ignore[arg-type]
        if old is not None and old.version == entry.version:
            old.validated_at = entry.validated_at
            return old
        return entry

    def _publish(self, key: str, entry: Entry, lease: Lease | None) -> None:
        try:
            self._tiers.publish(key, entry)
        finally:
            if lease is not None:
                lease.release()

    async def publish(self, backend: Backend, entry: Entry) -> None:
        """Tell the shared caches of a version, after its first bytes are there."""
        while entry.unpublished:
            await backend.call(_pop(entry.unpublished))

    def abandon(self, backend: Backend, entry: Entry) -> None:
        """Give back the right to ask for a version, without waiting: on the way out after an error."""
        while entry.unpublished:
            backend.leave(_pop(entry.unpublished))

    # Blocks.

    async def fetch(
        self, call: RequestContext, entry: Entry, numbers: list[int], *, whole: bool
    ) -> dict[int, BufferList]:
        """Fetch blocks from the store below."""
        blocks = await self._origin.fetch(call.backend, call.path, entry, numbers, contiguous=whole) if numbers else {}
        self._tally.add(misses=len(numbers), origin_bytes=sum(map(len, blocks.values())))
        return blocks

    async def ranges(self, call: RequestContext, entry: Entry, spans: list[ByteRange]) -> dict[ByteRange, BufferList]:
        """Fetch spans from the store below, which are no blocks."""
        return await self._origin.ranges(call.backend, call.path, entry, spans)

    async def fetch_single(self, call: RequestContext, span: ByteRange) -> tuple[Entry, BufferList]:
        """Fetch a span from the store below by one request, of whatever version there is."""
        return await self._origin.fetch_single(call.backend, call.path, span)

    async def get_or_fetch(
        self, call: RequestContext, entry: Entry, numbers: list[int], *, whole: bool
    ) -> dict[int, BufferList]:
        """Find blocks in the shared caches; fetch the others, and put them there."""
        if not self._tiers:
            return await self.fetch(call, entry, numbers, whole=whole)
        found = await self._find(call, entry, numbers, first=True)
        pause = _FIRST_PAUSE
        while missing := [number for number in numbers if number not in found]:
            mine, lease = missing, NO_LEASE
            if call.waited < _PATIENCE:
                mine, lease = await call.backend.call(self._tiers.lease, call.key, entry, missing, call.backend.owner())
            if mine:
                found |= await self._lead(call, entry, (mine, lease), whole=whole)
                continue
            await call.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            found |= await self._find(call, entry, missing)
        return found

    async def _find(
        self, call: RequestContext, entry: Entry, numbers: list[int], *, first: bool = False
    ) -> dict[int, BufferList]:
        found = await call.backend.call(self._tiers.find, call.key, entry, numbers, first)
        self._tally.add(hits=len(found))
        return found

    async def _lead(
        self, call: RequestContext, entry: Entry, led: tuple[list[int], Lease], *, whole: bool
    ) -> dict[int, BufferList]:
        """Fetch blocks that this process has the right to fetch, unless they have been put there just before."""
        numbers, lease = led
        try:
            found = await self._find(call, entry, numbers)
            missing = [number for number in numbers if number not in found]
            fetched = await self.fetch(call, entry, missing, whole=whole)
            if fetched:
                await call.backend.call(self._tiers.put, call.key, entry, fetched)
        except BaseException:
            call.backend.leave(lease.release)
            raise
        await call.backend.call(lease.release)
        return found | fetched


def _pop(publishing: list[Callable[[], None]]) -> Callable[[], None]:
    """Take what is to be done next; nothing, if another thread was faster."""
    try:
        return publishing.pop()
    except IndexError:
        return _nothing


def _nothing() -> None:
    pass


def _fresh(entry: Entry, min_validated_at: float) -> bool:
    """Tell whether a version was checked late enough, and not in the future: clocks of other machines differ."""
    return min_validated_at <= entry.validated_at <= time.time()
