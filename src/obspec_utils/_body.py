"""The body of a whole object, fetched in parallel parts once somebody wants it, and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from obspec_utils._buffers import Parts
from obspec_utils._fetch import fetch, fetch_async
from obspec_utils._flight import Flights
from obspec_utils._plan import Span, split
from obspec_utils._requests import Version

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from obspec import ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils._requests import Answer

__all__ = ["Limits", "SplitBody"]


class Limits(NamedTuple):
    """How a whole object is fetched: parts near `request_size` bytes, `max_concurrent` of them in flight."""

    request_size: int
    max_concurrent: int


class SplitBody:
    """Everything that belongs to one answer: the body it came with, and the parts its object has beyond that.

    Nothing beyond the first answer is asked for before `load`. What was loaded is kept, so it can be read again.
    """

    def __init__(
        self, store: object, first: Answer, limits: Limits, options: Mapping[str, object] | None = None
    ) -> None:
        meta: ObjectMeta = first.meta  # type: ignore[assignment] # a first answer always tells it
        self._store = store
        self._path = first.path
        self.version = Version.of(meta)
        self._limits = limits
        self._options = options
        self._first: Answer | None = first
        rest = Span(first.span.stop, meta["size"])
        self._spans = split(rest, limits.request_size, limits.max_concurrent, under_way=1)
        if first.span.length:
            self._spans.insert(0, first.span)
        self._parts = Parts([])
        self._flights: Flights[Parts] = Flights(find=lambda _: None, keep=self._keep)

    def load(self, stop: int) -> Parts:
        """Return the parts from 0 to at least `stop`, fetching what is missing of them in whole waves."""
        while self._parts.stop < stop:
            self._flights.run(None, lambda: self._fetch(stop))
        return self._parts

    async def load_async(self, stop: int) -> Parts:
        """Load as `load` does, on the running event loop."""
        while self._parts.stop < stop:
            await self._flights.run_async(None, lambda: self._fetch_async(stop))
        return self._parts

    def _keep(self, _: Hashable, parts: Parts) -> None:
        self._parts = parts

    def _plan(self, stop: int) -> tuple[Answer | None, list[Span]]:
        """Return what to fetch next: all that is missing up to `stop`, and what fills the last wave."""
        missing = [span for span in self._spans if span.start >= self._parts.stop]
        needed = sum(span.start < stop for span in missing)
        waves = -(-needed // self._limits.max_concurrent)
        wave = missing[: waves * self._limits.max_concurrent]
        # A body can be read only once: after a failure its span is asked for anew.
        first, self._first = self._first, None
        return first, wave[1:] if first and wave else wave

    def _fetch(self, stop: int) -> Parts:
        first, spans = self._plan(stop)
        limit = self._limits.max_concurrent
        args = (self._store, self._path, spans, self.version, limit)
        return self._extended(fetch(*args, first=first, options=self._options))

    async def _fetch_async(self, stop: int) -> Parts:
        first, spans = self._plan(stop)
        limit = self._limits.max_concurrent
        args = (self._store, self._path, spans, self.version, limit)
        return self._extended(await fetch_async(*args, first=first, options=self._options))

    def _extended(self, buffers: list[Buffer]) -> Parts:
        return Parts([*self._parts.pieces(0, self._parts.stop), *buffers])
