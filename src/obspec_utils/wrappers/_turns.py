"""Few requests for many byte ranges: those of one call, or those that arrive in one turn of an event loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from obspec_utils._io.backends import ASYNC
from obspec_utils._io.buffers import BufferList
from obspec_utils._io.errors import is_range_unsupported
from obspec_utils._io.get_result import YIELD_AFTER, slice_async
from obspec_utils._io.request import send_range
from obspec_utils._ranges import ByteRange, coalesce, touching
from obspec_utils._version import Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from obstore import Bytes

    from obspec_utils._io.backends import Backend
    from obspec_utils._version import CheckVersion

__all__ = ["MAX_IN_FLIGHT", "Limits", "Turns", "assemble", "fetch_part", "read_ranges"]

# The maximum number of requests in flight, of a call in threads and of a store on an event loop. Small requests take
# the time of a round trip, so many of them are sent at once.
MAX_IN_FLIGHT = 64


class Limits(NamedTuple):
    """How ranges are joined to requests, see `coalesce`, and what is compared between the parts of a range."""

    max_gap: int
    max_size: int
    check_version: CheckVersion = "auto"

    def plan(self, spans: Iterable[ByteRange]) -> list[ByteRange]:
        return coalesce(spans, self.max_gap, self.max_size)


@dataclass(frozen=True, slots=True)
class _Part:
    """The response to a request. Its body ends before the request does if the object ends there."""

    requested: ByteRange
    body: BufferList
    version: Version | None


async def fetch_part(
    backend: Backend, store: object, path: str, span: ByteRange, check_version: CheckVersion = "auto"
) -> _Part:
    """Fetch the bytes and the version of one request. Nothing is retried here."""
    response = await send_range(backend, store, path, span)
    version = None if response.meta is None else Version.of(response.meta, check_version)
    return _Part(span, BufferList([await backend.body(response)], response.span.start), version)


def assemble(path: str, span: ByteRange, parts: Sequence[_Part]) -> BufferList | None:
    """Return the bytes of a range out of its parts, without a copy; None if the object ends before the range does.

    Raises
    ------
    ObjectChangedError
        If the parts are of several versions.
    """
    if len(parts) == 1:  # nearly always
        (part,) = parts
        return part.body if min(span.stop, part.requested.stop) <= part.body.stop else None
    versions = [part.version for part in parts if part.version is not None]
    for version in versions[1:]:
        versions[0].check(path, version)
    if any(min(span.stop, part.requested.stop) > part.body.stop for part in parts):
        return None
    pieces = [piece for part in parts for piece in part.body.pieces(*_overlap(span, part.requested))]
    return BufferList(pieces, span.start)


def _overlap(one: ByteRange, other: ByteRange) -> ByteRange:
    return ByteRange(max(one.start, other.start), min(one.stop, other.stop))


async def read_ranges(
    backend: Backend,
    store: object,
    path: str,
    spans: Sequence[ByteRange],
    limits: Limits,
    max_in_flight: int = MAX_IN_FLIGHT,
) -> list[Bytes] | None:
    """Return the bytes of the ranges of one call; None if the wrapped store has to be asked for them as they are."""
    requests = limits.plan(spans)
    if requests == spans and len(spans) == 1:
        return None
    try:
        parts = await backend.gather(
            lambda number: fetch_part(backend, store, path, requests[number], limits.check_version),
            len(requests),
            max_in_flight,
        )
    except Exception as error:
        if is_range_unsupported(error):
            return None
        raise
    found = [assemble(path, span, [parts[number] for number in touching(requests, span)]) for span in spans]
    if any(body is None for body in found):
        return None
    return [body.slice(*span) for body, span in zip(found, spans, strict=True) if body is not None]


@dataclass(slots=True, eq=False)
class _Request:
    """A request of one turn, and the callers that wait for it. It is cancelled with the last of them."""

    span: ByteRange
    callers: dict[_Caller, None] = field(default_factory=dict)
    task: asyncio.Task[_Part] | None = None

    def leave(self, caller: _Caller) -> None:
        self.callers.pop(caller, None)
        if self.task is not None and not self.callers:
            self.task.cancel()

    def finish(self, task: asyncio.Task[_Part]) -> None:
        """Wake the callers that have all their requests, or all callers if this one failed."""
        error = None if task.cancelled() else task.exception()
        callers, self.callers = self.callers, {}
        for caller in callers:
            caller.missing -= 1
            if caller.done.done():
                continue
            if task.cancelled():
                caller.done.cancel()
            elif isinstance(error, Exception) or (error is None and not caller.missing):
                caller.done.set_result(error)
            elif error is not None:  # Ctrl-C: the loop may go on
                caller.forward()


@dataclass(slots=True, eq=False)
class _Caller:
    """A call that waits for the end of its turn, and for all its requests or for the error of one.

    The error is a result of `done`: as an exception it would be reported as lost if the call was cancelled meanwhile.
    """

    spans: Sequence[ByteRange]
    done: asyncio.Future[Exception | None]
    # The requests of each range; none if the call is to be forwarded.
    requests: list[Sequence[_Request]] = field(default_factory=list)
    missing: int = 0

    def join(self, requests: Sequence[_Request], plan: Sequence[ByteRange]) -> None:
        for span in self.spans:
            numbers = touching(plan, span)
            self.requests.append(requests[numbers.start : numbers.stop])
        for request in self.distinct():
            request.callers[self] = None
            self.missing += 1

    def distinct(self) -> Iterable[_Request]:
        if len(self.requests) == 1:
            return self.requests[0]
        return dict.fromkeys(request for requests in self.requests for request in requests)

    @property
    def is_alone(self) -> bool:
        """Whether the only range neither shares a request nor was cut."""
        request = self.requests[0][0]
        return len(self.spans) == 1 and len(request.callers) == 1 and request.span == self.spans[0]

    def forward(self) -> None:
        """Let the caller go on to the wrapped store."""
        self.leave()
        if not self.done.done():  # not cancelled
            self.done.set_result(None)

    def leave(self) -> None:
        for request in self.distinct():
            request.leave(self)
        self.requests = []


class Turns:
    """The range requests of one store on one event loop, coalesced turn by turn."""

    def __init__(self, store: object, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        # The callers of the current turn, by path.
        self._waiting: dict[str, list[_Caller]] = {}

    async def read(self, path: str, spans: Sequence[ByteRange]) -> list[Bytes] | None:
        """Return the bytes of ranges; None if the wrapped store has to be asked for them as they are."""
        loop = asyncio.get_running_loop()
        caller = _Caller(spans, loop.create_future())
        if not self._waiting:
            loop.call_soon(self._plan)
        self._waiting.setdefault(path, []).append(caller)
        error = None
        try:
            error = await caller.done
            if error is None:
                return await _slices(path, caller) if caller.requests else None
            if is_range_unsupported(error):
                return None
            raise error.with_traceback(None)  # which would grow with each caller that raises it
        finally:
            caller.leave()
            del caller, error  # break the cycle error -> traceback -> frame

    def _plan(self) -> None:
        """End a turn: plan and send its requests."""
        waiting, self._waiting = self._waiting, {}
        try:
            for path, callers in waiting.items():
                for request in _plan_path([caller for caller in callers if not caller.done.done()], self._limits):
                    request.task = asyncio.get_running_loop().create_task(self._fetch(path, request.span))
                    request.task.add_done_callback(request.finish)
        except BaseException:  # Ctrl-C: the loop may go on
            for caller in chain.from_iterable(waiting.values()):
                if any(request.task is None for request in caller.distinct()) or not caller.requests:
                    caller.forward()
            raise

    async def _fetch(self, path: str, span: ByteRange) -> _Part:
        async with self._slots:
            return await fetch_part(ASYNC, self._store, path, span, self._limits.check_version)


def _plan_path(callers: Sequence[_Caller], limits: Limits) -> list[_Request]:
    """Return the requests for the ranges of one object; forward callers that share none."""
    plan = limits.plan(span for caller in callers for span in caller.spans)
    requests = [_Request(span) for span in plan]
    for caller in callers:
        caller.join(requests, plan)
    for caller in callers:
        if caller.is_alone:
            caller.forward()
    return [request for request in requests if request.callers]


async def _slices(path: str, caller: _Caller) -> list[Bytes] | None:
    """Return the bytes of a caller's ranges; None if the object ends before one does."""
    buffers, copied = [], 0
    for span, requests in zip(caller.spans, caller.requests, strict=True):
        body = assemble(path, span, [request.task.result() for request in requests if request.task is not None])
        if body is None:
            return None
        buffers.append(await slice_async(body, span))
        copied += span.length
        if copied >= YIELD_AFTER:
            copied = 0
            await asyncio.sleep(0)
    return buffers
