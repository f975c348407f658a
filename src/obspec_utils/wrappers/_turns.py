"""Few requests for many byte ranges: those of one call, or those that arrive in one turn of an event loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
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

__all__ = ["MAX_IN_FLIGHT", "Limits", "Turns", "assemble", "fetch_part", "read_ranges"]

# The maximum number of requests in flight, of a call in threads and of a store on an event loop. Small requests take
# the time of a round trip, so many of them are sent at once.
MAX_IN_FLIGHT = 64


class Limits(NamedTuple):
    """How ranges are joined to requests, see `coalesce`."""

    max_gap: int
    max_size: int


@dataclass(frozen=True, slots=True)
class _Part:
    """The response to a request. Its body ends before the request does if the object ends there."""

    requested: ByteRange
    body: BufferList
    version: Version | None


async def fetch_part(backend: Backend, store: object, path: str, span: ByteRange) -> _Part:
    """Fetch the bytes and the version of one request. Nothing is retried here."""
    response = await send_range(backend, store, path, span)
    version = None if response.meta is None else Version.of(response.meta)
    return _Part(span, BufferList([await backend.body(response)], response.span.start), version)


def assemble(path: str, span: ByteRange, parts: Sequence[_Part]) -> BufferList | None:
    """Return the bytes of a range out of its parts, without a copy; None if the object ends before the range does.

    Raises
    ------
    ObjectChangedError
        If the parts are of several versions.
    """
    versions = [part.version for part in parts if part.version is not None]
    for version in versions[1:]:
        versions[0].check(path, version)
    if any(min(span.stop, part.requested.stop) > part.body.stop for part in parts):
        return None
    if len(parts) == 1:
        return parts[0].body
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
    requests = coalesce(spans, *limits)
    if requests == spans and len(spans) == 1:
        return None
    try:
        parts = await backend.gather(
            lambda number: fetch_part(backend, store, path, requests[number]), len(requests), max_in_flight
        )
    except Exception as error:
        if is_range_unsupported(error):
            return None
        raise
    found = [assemble(path, span, [parts[number] for number in touching(requests, span)]) for span in spans]
    if any(body is None for body in found):
        return None
    return [body.slice(*span) for body, span in zip(found, spans, strict=True) if body is not None]


class _Request:
    """A request of one turn, and how many callers wait for it. It is cancelled with the last of them."""

    __slots__ = ("callers", "span", "task")

    def __init__(self, span: ByteRange) -> None:
        self.span = span
        self.callers = 0
        self.task: asyncio.Task[_Part] | None = None

    def leave(self) -> None:
        self.callers -= 1
        if self.task is not None and not self.callers:
            self.task.cancel()


@dataclass(slots=True, eq=False)
class _Caller:
    """A call that waits for the end of its turn, then for its requests."""

    spans: Sequence[ByteRange]
    planned: asyncio.Future[None]
    # The requests of each range.
    requests: list[list[_Request]] = field(default_factory=list)

    def join(self, requests: Sequence[_Request], plan: Sequence[ByteRange]) -> None:
        self.requests = [[requests[number] for number in touching(plan, span)] for span in self.spans]
        for request in self.distinct():
            request.callers += 1

    def distinct(self) -> Iterable[_Request]:
        return dict.fromkeys(request for requests in self.requests for request in requests)

    @property
    def is_alone(self) -> bool:
        """Whether the only range neither shares a request nor was cut."""
        if not self.requests:  # planning was interrupted
            return True
        request = self.requests[0][0]
        return len(self.spans) == 1 and request.callers == 1 and request.span == self.spans[0]

    def leave(self) -> None:
        for request in self.distinct():
            request.leave()
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
        try:
            await caller.planned
            return None if caller.is_alone else await self._receive(path, caller)
        finally:
            caller.leave()

    def _plan(self) -> None:
        """End a turn: plan its requests. The first caller of each sends it."""
        waiting, self._waiting = self._waiting, {}
        try:
            for callers in waiting.values():
                _plan_path([caller for caller in callers if not caller.planned.done()], self._limits)
        finally:  # also after Ctrl-C: the loop may go on
            for callers in waiting.values():
                for caller in callers:
                    if not caller.planned.done():  # not cancelled
                        caller.planned.set_result(None)

    async def _receive(self, path: str, caller: _Caller) -> list[Bytes] | None:
        tasks = [self._task(path, request) for request in caller.distinct()]
        # Neither a shared error nor cancelling this caller ends the tasks, as `gather` would.
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        error = next((task.exception() for task in tasks if task.done() and task.exception() is not None), None)
        if error is not None:
            try:
                if isinstance(error, Exception) and is_range_unsupported(error):
                    return None
                raise error
            finally:
                del error, tasks  # break the cycle error -> traceback -> frame
        buffers, copied = [], 0
        for span, requests in zip(caller.spans, caller.requests, strict=True):
            body = assemble(path, span, [self._task(path, request).result() for request in requests])
            if body is None:
                return None
            buffers.append(await slice_async(body, span))
            copied += span.length
            if copied >= YIELD_AFTER:
                copied = 0
                await asyncio.sleep(0)
        return buffers

    def _task(self, path: str, request: _Request) -> asyncio.Task[_Part]:
        """Return the task of a request; its first caller starts it."""
        if request.task is None:
            request.task = asyncio.get_running_loop().create_task(self._fetch(path, request.span))
            request.task.add_done_callback(_mark_retrieved)
        return request.task

    async def _fetch(self, path: str, span: ByteRange) -> _Part:
        async with self._slots:
            return await fetch_part(ASYNC, self._store, path, span)


def _plan_path(callers: Sequence[_Caller], limits: Limits) -> None:
    plan = coalesce((span for caller in callers for span in caller.spans), *limits)
    requests = [_Request(span) for span in plan]
    for caller in callers:
        caller.join(requests, plan)


def _mark_retrieved(task: asyncio.Task[_Part]) -> None:
    """Prevent a warning about an error that no caller was left to raise."""
    if not task.cancelled():
        task.exception()
