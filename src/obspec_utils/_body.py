"""The body of a whole object, fetched in parallel parts once somebody wants it, and kept."""

from __future__ import annotations

from itertools import takewhile
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
        self._held: dict[Span, Buffer] = {}
        self._parts = Parts([])
        self._flights: Flights[dict[Span, Buffer]] = Flights()

    def load(self, stop: int) -> Parts:
        """Return the parts from 0 to at least `stop`, fetching what is missing of them in whole waves."""
        while self._parts.stop < stop:
            self._flights.run(None, lambda: self._fetch(stop), find=_nothing, keep=self._keep)
        return self._parts

    async def load_async(self, stop: int) -> Parts:
        """Load as `load` does, on the running event loop."""
        while self._parts.stop < stop:
            await self._flights.run_async(None, lambda: self._fetch_async(stop), find=_nothing, keep=self._keep)
        return self._parts

    def _keep(self, _: Hashable, fetched: dict[Span, Buffer]) -> None:
        # A thread and a loop may have fetched the same spans side by side: what came first stays.
        self._held = {**fetched, **self._held}
        whole = takewhile(lambda span: span in self._held, self._spans)
        self._parts = Parts([self._held[span] for span in whole])

    def _plan(self, stop: int) -> tuple[Answer | None, list[Span]]:
        """Return what to fetch next: all that is missing up to `stop`, and what fills the last wave."""
        held = self._held
        missing = [span for span in self._spans if span not in held]
        needed = sum(span.start < stop for span in missing)
        waves = -(-needed // self._limits.max_concurrent)
        wave = missing[: waves * self._limits.max_concurrent]
        # A body can be read only once: after a failure its span is asked for anew.
        first, self._first = self._first, None
        return (first if wave and first and wave[0] == first.span else None), wave

    def _fetch(self, stop: int) -> dict[Span, Buffer]:
        first, wave = self._plan(stop)
        args = (self._store, self._path, wave[1:] if first else wave, self.version, self._limits.max_concurrent)
        return dict(zip(wave, fetch(*args, first=first, options=self._options), strict=True))

    async def _fetch_async(self, stop: int) -> dict[Span, Buffer]:
        first, wave = self._plan(stop)
        args = (self._store, self._path, wave[1:] if first else wave, self.version, self._limits.max_concurrent)
        return dict(zip(wave, await fetch_async(*args, first=first, options=self._options), strict=True))


def _nothing(_: Hashable) -> None:
    """Find nothing: whether more is to be fetched is seen when a flight has landed."""
