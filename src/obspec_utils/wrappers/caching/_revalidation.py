"""Find an object's version, no older than `max_age`, in shared caches or at the origin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from obspec_utils.wrappers.caching._shared_tiers import FIRST_PAUSE, MAX_PAUSE, MAX_WAIT

if TYPE_CHECKING:
    from obspec_utils._io.response import Response
    from obspec_utils._ranges import ByteRange
    from obspec_utils.caches import Lease
    from obspec_utils.wrappers.caching._context import RequestContext
    from obspec_utils.wrappers.caching._entries import Entry, EntryTable
    from obspec_utils.wrappers.caching._origin import Origin
    from obspec_utils.wrappers.caching._shared_tiers import SharedTiers
    from obspec_utils.wrappers.caching._stats import Counters

__all__ = ["Revalidator", "Validation"]


@dataclass(slots=True)
class Validation:
    """A version that one request validated.

    Attributes
    ----------
    response
        The response that returned the version, its body not read yet; None if there was none, or it had no body.
    unpublished
        Whether the version must still be written to the shared caches.
    lease
        The lease to request the version, held until the version is published.
    """

    entry: Entry
    response: Response | None = None
    unpublished: bool = False
    lease: Lease | None = None


class Revalidator:
    """Validate versions, once for all processes that share a cache.

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
    """

    def __init__(self, origin: Origin, entries: EntryTable, tiers: SharedTiers, counters: Counters) -> None:
        self._origin = origin
        self._entries = entries
        self._tiers = tiers
        self._counters = counters

    async def validate(
        self, call: RequestContext, first: ByteRange, old: Entry | None, min_validated_at: float, *, has_bytes: bool
    ) -> Validation:
        """Return a version that is fresh, from the shared caches or else by a request to the wrapped store.

        Parameters
        ----------
        first
            First byte range wanted, included in the response.
        old
            The version known before.
        min_validated_at
            The earliest time of validation that is fresh.
        has_bytes
            Whether bytes of the old version are in memory. Without cached bytes, no conditional request is sent.
        """
        lease: Lease | None = None
        if self._tiers:
            old, lease = await self._find_shared(call, old, min_validated_at)
            if old is not None and self._entries.is_fresh(old, min_validated_at):
                return Validation(old)
        conditional = old is not None and (has_bytes or bool(self._tiers))
        try:
            entry, response = await self._origin.request_version(call, first, old, conditional=conditional)
        except BaseException:
            if lease is not None:
                call.backend.leave(lease.release)
            raise
        if conditional:
            self._counters.add(revalidations=1)
        return Validation(entry, response, bool(self._tiers), lease)

    async def _find_shared(
        self, call: RequestContext, old: Entry | None, min_validated_at: float
    ) -> tuple[Entry | None, Lease | None]:
        """Return the latest known version, and the lease to request it if it is too old."""
        tiers, is_fresh = self._tiers, self._entries.is_fresh
        pause = FIRST_PAUSE
        while True:
            old = self._latest(old, await call.backend.call(tiers.find_record, call.key, min_validated_at))
            if old is not None and is_fresh(old, min_validated_at):
                return old, None
            lease = await call.backend.call(tiers.lease_record, call.key, call.backend.task())
            if lease is not None or call.waited >= MAX_WAIT:
                break
            await call.wait(pause)
            pause = min(2 * pause, MAX_PAUSE)
        # The previous holder of the lease may have published a version.
        try:
            old = self._latest(old, await call.backend.call(tiers.find_record, call.key, min_validated_at))
        except BaseException:
            if lease is not None:
                call.backend.leave(lease.release)
            raise
        if old is not None and is_fresh(old, min_validated_at) and lease is not None:
            await call.backend.call(lease.release)
        return old, lease

    def _latest(self, old: Entry | None, record: tuple[object, object, float] | None) -> Entry | None:
        """Return the later of a known version and a record; if both are the same version, the known entry."""
        if record is None or (old is not None and old.validated_at >= record[2]):
            return old
        entry = self._origin.entry(*record)  # type: ignore[arg-type]
        if old is not None and old.version == entry.version:
            old.validated_at = entry.validated_at
            return old
        return entry

    async def find_shared(self, call: RequestContext) -> Entry | None:
        """Return the version of an object that a shared cache has, if it is fresh."""
        min_validated_at = self._entries.min_validated_at(call.key)
        entry = self._latest(None, await call.backend.call(self._tiers.find_record, call.key, min_validated_at))
        return entry if entry is not None and self._entries.is_fresh(entry, min_validated_at) else None

    async def publish(self, call: RequestContext, validation: Validation) -> None:
        """Put a version into the shared caches, after its first bytes, and release its lease."""
        if validation.unpublished:
            await call.backend.call(partial(self._publish, call.key, validation))

    def abandon(self, call: RequestContext, validation: Validation) -> None:
        """Publish a version after an error, on an event loop in the background."""
        if validation.unpublished:
            call.backend.leave(partial(self._publish, call.key, validation))

    def _publish(self, key: str, validation: Validation) -> None:
        try:
            self._tiers.publish(key, validation.entry)
        finally:
            if validation.lease is not None:
                validation.lease.release()

    async def evict_missing(self, call: RequestContext) -> None:
        """Evict an object that does not exist any more."""
        if self._entries.find(call.key) is not None or self._tiers:
            self._entries.evict_missing(call.key)
            await call.backend.call(self._tiers.invalidate, call.key)
