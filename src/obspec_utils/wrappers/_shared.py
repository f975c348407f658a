"""Fetching together with other processes: what one of them has put into a shared cache, the others find there."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from obspec_utils.wrappers._tier import NO_LEASE

if TYPE_CHECKING:
    from collections.abc import Callable

    from obspec_utils._buffers import Parts
    from obspec_utils._plan import Span
    from obspec_utils.caches import Lease
    from obspec_utils.wrappers._known import Known
    from obspec_utils.wrappers._origin import Origin
    from obspec_utils.wrappers._tally import Tally
    from obspec_utils.wrappers._tiers import Tiers
    from obspec_utils.wrappers._ways import Call, Way

__all__ = ["Shared"]

# For how many seconds one call waits for what others are fetching. Who died is not waited for: the leases end.
_PATIENCE = 30.0
# How long it takes to look again, in seconds: at first, and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.05


class Shared:
    """The store below and the caches shared with other processes, of which one at a time fetches the same bytes.

    That is best effort: who waits too long, or can't tell who fetches, fetches too.
    """

    def __init__(self, origin: Origin, tiers: Tiers, tally: Tally) -> None:
        self._origin = origin
        self._tiers = tiers
        self._tally = tally

    # Versions.

    async def version(self, call: Call, first: Span, old: Known | None, oldest: float) -> Known:
        """Return the version of an object, checked at `oldest` or later; `old` is what it was as far as is known."""
        lease: Lease | None = None
        if self._tiers:
            old, lease = await self._from_tiers(call, old, oldest)
            if old is not None and _fresh(old, oldest):
                return old
        try:
            found = await self._origin.ask(call.way, call.path, first, old)
        except BaseException:
            if lease is not None:
                call.way.leave(lease.release)
            raise
        self._tally.add(revalidations=int(old is not None))
        if self._tiers:
            found.unpublished.append(partial(self._publish, call.key, found, lease))
        return found

    async def recorded(self, call: Call, oldest: float) -> Known | None:
        """Return the version that a shared cache has, if it was checked at `oldest` or later."""
        known = self._latest(None, await call.way.call(self._tiers.record, call.key, oldest))
        return known if known is not None and _fresh(known, oldest) else None

    async def _from_tiers(self, call: Call, old: Known | None, oldest: float) -> tuple[Known | None, Lease | None]:
        """Return the latest version that is known to anybody, and the right to ask for it if it is too old."""
        pause = _FIRST_PAUSE
        while True:
            old = self._latest(old, await call.way.call(self._tiers.record, call.key, oldest))
            if old is not None and _fresh(old, oldest):
                return old, None
            lease = await call.way.call(self._tiers.lease_path, call.key, call.way.owner())
            if lease is not None or call.waited >= _PATIENCE:
                break
            await call.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        # Whoever had the lease until now has told what it found.
        try:
            latest = self._latest(old, await call.way.call(self._tiers.record, call.key, oldest))
        except BaseException:
            if lease is not None:
                call.way.leave(lease.release)
            raise
        if latest is not None and _fresh(latest, oldest) and lease is not None:
            await call.way.call(lease.release)
        return latest, lease

    def _latest(self, old: Known | None, record: tuple[object, object, float] | None) -> Known | None:
        """Return what was known before, or what a record says if it is later; the same version stays the same."""
        if record is None or (old is not None and old.checked >= record[2]):
            return old
        known = self._origin.known(*record)  # type: ignore[arg-type]
        if old is not None and old.version == known.version:
            old.checked = known.checked
            return old
        return known

    def _publish(self, key: str, known: Known, lease: Lease | None) -> None:
        try:
            self._tiers.publish(key, known)
        finally:
            if lease is not None:
                lease.release()

    async def settle(self, way: Way, known: Known) -> None:
        """Tell the shared caches of a version, after its first bytes are there."""
        while known.unpublished:
            await way.call(_pop(known.unpublished))

    def abandon(self, way: Way, known: Known) -> None:
        """Give back the right to ask for a version, without waiting: on the way out after an error."""
        while known.unpublished:
            way.leave(_pop(known.unpublished))

    # Blocks.

    async def fetch(self, call: Call, known: Known, numbers: list[int], *, whole: bool) -> dict[int, Parts]:
        """Fetch blocks from the store below."""
        blocks = await self._origin.fetch(call.way, call.path, known, numbers, contiguous=whole) if numbers else {}
        self._tally.add(misses=len(numbers), origin_bytes=sum(map(len, blocks.values())))
        return blocks

    async def ranges(self, call: Call, known: Known, spans: list[Span]) -> dict[Span, Parts]:
        """Fetch spans from the store below, which are no blocks."""
        return await self._origin.ranges(call.way, call.path, known, spans)

    async def at_once(self, call: Call, span: Span) -> tuple[Known, Parts]:
        """Fetch a span from the store below by one request, of whatever version there is."""
        return await self._origin.at_once(call.way, call.path, span)

    async def bring(self, call: Call, known: Known, numbers: list[int], *, whole: bool) -> dict[int, Parts]:
        """Find blocks in the shared caches; fetch the others, and put them there."""
        if not self._tiers:
            return await self.fetch(call, known, numbers, whole=whole)
        found = await self._find(call, known, numbers, first=True)
        pause = _FIRST_PAUSE
        while missing := [number for number in numbers if number not in found]:
            mine, lease = missing, NO_LEASE
            if call.waited < _PATIENCE:
                mine, lease = await call.way.call(self._tiers.lease, call.key, known, missing, call.way.owner())
            if mine:
                found |= await self._lead(call, known, (mine, lease), whole=whole)
                continue
            await call.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            found |= await self._find(call, known, missing)
        return found

    async def _find(self, call: Call, known: Known, numbers: list[int], *, first: bool = False) -> dict[int, Parts]:
        found = await call.way.call(self._tiers.find, call.key, known, numbers, first)
        self._tally.add(hits=len(found))
        return found

    async def _lead(self, call: Call, known: Known, led: tuple[list[int], Lease], *, whole: bool) -> dict[int, Parts]:
        """Fetch blocks that this process has the right to fetch, unless they have been put there just before."""
        numbers, lease = led
        try:
            found = await self._find(call, known, numbers)
            missing = [number for number in numbers if number not in found]
            fetched = await self.fetch(call, known, missing, whole=whole)
            if fetched:
                await call.way.call(self._tiers.put, call.key, known, fetched)
        except BaseException:
            call.way.leave(lease.release)
            raise
        await call.way.call(lease.release)
        return found | fetched


def _pop(publishing: list[Callable[[], None]]) -> Callable[[], None]:
    """Take what is to be done next; nothing, if another thread was faster."""
    try:
        return publishing.pop()
    except IndexError:
        return _nothing


def _nothing() -> None:
    pass


def _fresh(known: Known, oldest: float) -> bool:
    """Tell whether a version was checked late enough, and not in the future: clocks of other machines differ."""
    return oldest <= known.checked <= time.time()
