"""The body of a whole object, fetched in parallel parts when it is consumed, and kept."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from obspec_utils._io.allocation import Allocation, WriteTarget, allocate
from obspec_utils._io.backends import ASYNC, SYNC, run
from obspec_utils._io.buffers import BufferList
from obspec_utils._io.fetch import fetch_parts
from obspec_utils._io.gc_pause import call_after_pause
from obspec_utils._io.interruptible import with_progress
from obspec_utils._io.single_flight import SingleFlight
from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS, REQUEST_SIZE, ByteRange, chain, split

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from typing_extensions import Buffer

    from obspec_utils._io.backends import Backend
    from obspec_utils._io.progress import Counter, Progress
    from obspec_utils._io.response import Response
    from obspec_utils._ranges import ByteRanges
    from obspec_utils._version import Version

__all__ = ["MultipartBody", "PartLimits"]

_Fetched: TypeAlias = "tuple[int, Sequence[Buffer] | BufferList]"


class PartLimits(NamedTuple):
    """The size of parts, about `request_size` bytes, and the maximum number of them in flight."""

    request_size: int = REQUEST_SIZE
    max_concurrent: int = MAX_CONCURRENT_REQUESTS


class MultipartBody:
    """Body of an object whose first response has arrived.

    The other parts are fetched by `load` and kept, so the body can be read again. They must have the `version` of the
    first response.

    Attributes
    ----------
    counters
        Where to count the bytes that arrive.
    """

    def __init__(
        self,
        store: object,
        first: Response,
        limits: PartLimits,
        version: Version,
        progress: Progress | None = None,
    ) -> None:
        self._store = store
        self._path = first.path
        self.version = version
        self._limits = limits
        self._first: Response | None = first
        self._streams = first.streams
        rest = ByteRange(first.span.stop, version.size)
        parts = split(rest, limits.request_size, limits.max_concurrent, under_way=1)
        self._spans = chain([[first.span] if first.span.length else [], parts])
        self._buffers: list[Buffer] = []
        self._parts = BufferList([])
        self._in_flight: SingleFlight[_Fetched] = SingleFlight()
        self._progress = progress
        self.counters: list[Counter] = [] if progress is None else [progress.counter(version.size)]

    @property
    def requests(self) -> int:
        """How many requests the whole object takes."""
        return max(1, len(self._spans))

    def load(self, stop: int, *, whole: bool = False) -> BufferList:
        """Return the parts from 0 to at least `stop`; fetch the missing ones, in full batches.

        With `whole`, if nothing was fetched yet and bodies can be read as they arrive, the parts are written into one
        buffer.
        """
        progress = self._progress
        if self._parts.stop < stop or (progress is not None and not stop):  # an empty object has an end to show, too
            with_progress(progress, lambda: run(self._load(SYNC, stop, whole)))
        return self._parts

    async def load_async(self, stop: int, *, whole: bool = False) -> BufferList:
        """Load as `load` does, on the running event loop."""
        await self._load(ASYNC, stop, whole)
        return self._parts

    async def _load(self, backend: Backend, stop: int, whole: bool) -> None:  # noqa: FBT001
        async def fetch_missing(keys: list[Hashable]) -> dict[Hashable, _Fetched]:
            return dict.fromkeys(keys, await self._fetch(backend, stop, whole=whole))

        while self._parts.stop < stop:
            await self._in_flight.run_many(backend, [None], fetch_missing, find=_nothing, keep=self._keep)
        if not self.version.size and self._progress is not None:
            call_after_pause(self._progress.end)

    def window(self, position: int) -> BufferList:
        """Return the parts from 0 to beyond `position`."""
        return self.load(position + 1)

    async def window_async(self, position: int) -> BufferList:
        """Return the parts from 0 to beyond `position`."""
        return await self.load_async(position + 1)

    def _keep(self, _: Hashable, fetched: _Fetched) -> None:
        start, buffers = fetched
        if self._parts.stop == self.version.size:  # fetched by a thread and a task concurrently: keep the first
            return
        if isinstance(buffers, BufferList):
            self._parts = buffers
        else:
            self._buffers += buffers[len(self._buffers) - start :]
            self._parts = BufferList(self._buffers)
        if self._parts.stop == self.version.size:
            self._buffers = []  # last: only the parts hold the bytes, so that joining them frees memory

    def _plan(self, stop: int, *, whole: bool) -> _Plan:
        """Plan what to fetch next: the missing parts up to `stop`, and those that fill the last batch."""
        start = len(self._buffers)
        if self._parts.stop >= stop:  # read after the buffers, which are empty once all parts are fetched
            return _Plan(None, start, self._spans[:0], None)
        needed = bisect_left(self._spans, stop, key=lambda span: span.start) - start
        batches = -(-needed // self._limits.max_concurrent)
        batch = self._spans[start : start + batches * self._limits.max_concurrent]
        # A body can be read only once: after a failure its range is requested again.
        first, self._first = self._first, None
        into_one = whole and self._streams and len(batch) == len(self._spans) > 1
        memory = allocate(self.version.size) if into_one else None
        return _Plan(first if first and len(batch) and batch[0] == first.span else None, start, batch, memory)

    async def _fetch(self, backend: Backend, stop: int, *, whole: bool) -> _Fetched:
        plan = self._plan(stop, whole=whole)
        for counter in self.counters:
            counter.restart(self._parts.stop)
        fetching = fetch_parts(
            backend,
            self._store,
            self._path,
            plan.spans,
            self.version,
            self._limits.max_concurrent,
            first=plan.first,
            targets=plan.targets,
            counters=self.counters,
        )
        progress = self._progress
        buffers = await (fetching if progress is None else backend.show_progress(progress, fetching))
        return plan.fetched(buffers)


class _Plan(NamedTuple):
    """The parts of one batch. The first may have a response already, and all may be written into one buffer."""

    first: Response | None
    start: int
    batch: ByteRanges
    memory: Allocation | None

    @property
    def spans(self) -> ByteRanges:
        """The ranges still to be requested."""
        return self.batch[1:] if self.first else self.batch

    @property
    def targets(self) -> list[WriteTarget] | None:
        """Where to write each part; None for a separate buffer each."""
        return None if self.memory is None else [WriteTarget(self.memory, span.start) for span in self.batch]

    def fetched(self, buffers: Sequence[Buffer]) -> _Fetched:
        """Return the number of the first part and the fetched parts."""
        if self.memory is None:
            return self.start, buffers
        whole = self.memory.view
        return self.start, BufferList([whole[start:stop] for start, stop in self.batch], whole=whole)


def _nothing(_: Hashable) -> None:
    """Return None: `_load` checks after each fetch whether bytes are missing."""
