"""The body of a whole object, fetched in parallel parts once somebody wants it, and kept."""

from __future__ import annotations

from bisect import bisect_left
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from obspec_utils._io.allocation import Allocation, WriteTarget, allocate
from obspec_utils._io.buffers import BufferList
from obspec_utils._io.fetch import fetch, fetch_async
from obspec_utils._io.single_flight import SingleFlight
from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS, REQUEST_SIZE, ByteRange, chain, split
from obspec_utils._version import Version

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from obspec import ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils._io.response import Response
    from obspec_utils._ranges import ByteRanges

__all__ = ["MultipartBody", "PartLimits"]

_Fetched: TypeAlias = "tuple[int, Sequence[Buffer] | BufferList]"


class PartLimits(NamedTuple):
    """How a whole object is fetched: parts near `request_size` bytes, `max_concurrent` of them in flight."""

    request_size: int = REQUEST_SIZE
    max_concurrent: int = MAX_CONCURRENT_REQUESTS


class MultipartBody:
    """Everything that belongs to one answer: the body it came with, and the parts its object has beyond that.

    Nothing beyond the first answer is asked for before `load`. What was loaded is kept, so it can be read again.
    """

    def __init__(
        self, store: object, first: Response, limits: PartLimits, options: Mapping[str, object] | None = None
    ) -> None:
        meta: ObjectMeta = first.meta  # type: ignore[assignment] # a first answer always tells it
        self._store = store
        self._path = first.path
        self.version = Version.of(meta)
        self._limits = limits
        self._options = options
        self._first: Response | None = first
        self._streams = first.streams
        rest = ByteRange(first.span.stop, meta["size"])
        parts = split(rest, limits.request_size, limits.max_concurrent, under_way=1)
        self._spans = chain([[first.span] if first.span.length else [], parts])
        self._buffers: list[Buffer] = []
        self._parts = BufferList([])
        self._flights: SingleFlight[_Fetched] = SingleFlight()

    def load(self, stop: int, *, whole: bool = False) -> BufferList:
        """Return the parts from 0 to at least `stop`, fetching what is missing of them in whole waves.

        Where the `whole` is wanted and nothing is there yet, the parts go into one buffer at once, if their bodies can
        be read as they arrive.
        """
        while self._parts.stop < stop:
            self._flights.run(None, lambda: self._fetch(stop, whole=whole), find=_nothing, keep=self._keep)
        return self._parts

    async def load_async(self, stop: int, *, whole: bool = False) -> BufferList:
        """Load as `load` does, on the running event loop."""
        fetch_missing = partial(self._fetch_async, stop, whole=whole)
        while self._parts.stop < stop:
            await self._flights.run_async(None, fetch_missing, find=_nothing, keep=self._keep)
        return self._parts

    def window(self, position: int) -> BufferList:
        """Return the parts from 0 to beyond `position`."""
        return self.load(position + 1)

    async def window_async(self, position: int) -> BufferList:
        """Return the parts from 0 to beyond `position`."""
        return await self.load_async(position + 1)

    def _keep(self, _: Hashable, fetched: _Fetched) -> None:
        start, buffers = fetched
        if self._parts.stop == self.version.size:  # fetched by a thread and a loop side by side: what came first stays
            return
        if isinstance(buffers, BufferList):
            self._parts = buffers
        else:
            self._buffers += buffers[len(self._buffers) - start :]
            self._parts = BufferList(self._buffers)
        if self._parts.stop == self.version.size:
            self._buffers = []  # last: from here on the parts alone hold the bytes, so that joining them frees memory

    def _plan(self, stop: int, *, whole: bool) -> _Plan:
        """Plan what to fetch next: all that is missing up to `stop`, and what fills the last wave."""
        start = len(self._buffers)
        if self._parts.stop >= stop:  # after a look at what is held, which is empty once all is there
            return _Plan(None, start, self._spans[:0], None)
        needed = bisect_left(self._spans, stop, key=lambda span: span.start) - start
        waves = -(-needed // self._limits.max_concurrent)
        batch = self._spans[start : start + waves * self._limits.max_concurrent]
        # A body can be read only once: after a failure its span is asked for anew.
        first, self._first = self._first, None
        into_one = whole and self._streams and len(batch) == len(self._spans) > 1
        memory = allocate(self.version.size) if into_one else None
        return _Plan(first if first and len(batch) and batch[0] == first.span else None, start, batch, memory)

    def _fetch(self, stop: int, *, whole: bool) -> _Fetched:
        plan = self._plan(stop, whole=whole)
        args = (self._store, self._path, plan.spans, self.version, self._limits.max_concurrent)
        return plan.fetched(fetch(*args, first=plan.first, options=self._options, into=plan.places))

    async def _fetch_async(self, stop: int, *, whole: bool) -> _Fetched:
        plan = self._plan(stop, whole=whole)
        args = (self._store, self._path, plan.spans, self.version, self._limits.max_concurrent)
        return plan.fetched(await fetch_async(*args, first=plan.first, options=self._options, into=plan.places))


class _Plan(NamedTuple):
    """What one flight fetches: the parts of a wave, the first of them maybe begun, maybe into memory that is there."""

    first: Response | None
    start: int
    batch: ByteRanges
    memory: Allocation | None

    @property
    def spans(self) -> ByteRanges:
        """What is still to be asked for."""
        return self.batch[1:] if self.first else self.batch

    @property
    def places(self) -> list[WriteTarget] | None:
        """Where each part goes."""
        return None if self.memory is None else [WriteTarget(self.memory, span.start) for span in self.batch]

    def fetched(self, buffers: Sequence[Buffer]) -> _Fetched:
        """Return what was fetched, and the number of its first part."""
        if self.memory is None:
            return self.start, buffers
        whole = self.memory.view
        return self.start, BufferList([whole[start:stop] for start, stop in self.batch], whole=whole)


def _nothing(_: Hashable) -> None:
    """Find nothing: whether more is to be fetched is seen when a flight has landed."""
