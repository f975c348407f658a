"""Two ways of going the same road: in the calling thread, or as a task of an event loop.

What a cache does on a miss is written once, as coroutines that are given a way. `Blocking` never waits for an event
loop: its steps are done when they return, so such a coroutine runs from its beginning to its end in one go.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from obspec_utils._io.cache_threads import THREADS, call_with_gc_paused
from obspec_utils._io.fetch import fetch, fetch_async
from obspec_utils._io.fork import check_fork
from obspec_utils._io.gc_pause import gc_paused
from obspec_utils._io.request import request_first, request_first_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence

    from typing_extensions import Buffer

    from obspec_utils._io.buffers import BufferList
    from obspec_utils._io.get_result import Result
    from obspec_utils._io.response import Response
    from obspec_utils._io.single_flight import Claim, SingleFlight
    from obspec_utils._ranges import ByteRange
    from obspec_utils._version import Version

__all__ = ["ASYNC", "SYNC", "AsyncBackend", "Backend", "RequestContext", "SyncBackend", "run_sync"]

T = TypeVar("T")


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine whose way is `BLOCKING`.

    All of it happens inside `paused()`: others may wait, from one of its steps to the next, for what it has claimed.
    """
    try:
        with gc_paused():
            coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        coroutine.close()
    raise RuntimeError  # it has waited for something


class Backend(Protocol):
    """The steps that differ."""

    get: str
    """The name of the store's method that gets an object."""

    def owner(self) -> object:
        """Return the running event loop; None in a thread."""
        ...

    async def revalidate(self, store: object, path: str, options: dict[str, object]) -> Any:  # noqa: ANN401 - any result
        """Get an object; returns when the headers are there."""
        ...

    async def request_first(self, store: object, path: str, span: ByteRange, options: dict[str, object]) -> Response:
        """Ask for the first bytes that are wanted of an object."""
        ...

    async def fetch(
        self,
        store: object,
        path: str,
        spans: Sequence[ByteRange],
        version: Version,
        limit: int,
        *,
        first: Response | None,
    ) -> list[Buffer]:
        """Fetch spans of one version side by side."""
        ...

    async def parts(self, result: Result, *, whole: bool) -> BufferList:
        """Return all bytes of a result of ours."""
        ...

    async def single_flight(
        self,
        in_flight: SingleFlight[T],
        keys: list[Hashable],
        fetch: Callable[[list[Hashable]], Coroutine[Any, Any, dict[Hashable, T]]],
        find: Callable[[Hashable], T | None],
        keep: Callable[[Hashable, T], None],
        claim: Claim | None = None,
    ) -> dict[Hashable, T]:
        """Return the results for keys, each fetched once by all who ask at the same time."""
        ...

    def claim(self, in_flight: SingleFlight[T], keys: list[Hashable], find: Callable[[Hashable], T | None]) -> Claim:
        """Claim keys for a flight to come."""
        ...

    async def call(self, function: Callable[..., T], *args: object) -> T:
        """Call what may block: a disk, a server."""
        ...

    def leave(self, function: Callable[[], None]) -> None:
        """Call what may block, and whose end need not be waited for: on the way out after an error."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SyncBackend:
    """Steps taken in the calling thread.

    Parameters
    ----------
    most
        How many requests may be in flight for one fetch, if that is less than its own limit.
    """

    get = "get"

    def __init__(self, most: int | None = None) -> None:
        self._most = most

    def owner(self) -> None:
        return None

    async def revalidate(self, store: Any, path: str, options: dict[str, object]) -> Any:  # noqa: ANN401 - any store
        check_fork(store)
        return store.get(path, options=options) if options else store.get(path)

    async def request_first(self, store: object, path: str, span: ByteRange, options: dict[str, object]) -> Response:
        return request_first(store, path, span.length, options, start=span.start)

    async def fetch(
        self,
        store: object,
        path: str,
        spans: Sequence[ByteRange],
        version: Version,
        limit: int,
        *,
        first: Response | None,
    ) -> list[Buffer]:
        return fetch(store, path, spans, version, min(limit, self._most or limit), first=first)

    async def parts(self, result: Result, *, whole: bool) -> BufferList:
        return result.parts(whole=whole)

    async def single_flight(
        self,
        in_flight: SingleFlight[T],
        keys: list[Hashable],
        fetch: Callable[[list[Hashable]], Coroutine[Any, Any, dict[Hashable, T]]],
        find: Callable[[Hashable], T | None],
        keep: Callable[[Hashable, T], None],
        claim: Claim | None = None,
    ) -> dict[Hashable, T]:
        return in_flight.run_many(keys, lambda mine: run_sync(fetch(mine)), find=find, keep=keep, claim=claim)

    def claim(self, in_flight: SingleFlight[T], keys: list[Hashable], find: Callable[[Hashable], T | None]) -> Claim:
        return in_flight.claim(keys, find)

    async def call(self, function: Callable[..., T], *args: object) -> T:
        return call_with_gc_paused(function, *args)

    def leave(self, function: Callable[[], None]) -> None:
        call_with_gc_paused(function)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - no event loop runs this


class AsyncBackend:
    """Steps taken as a task, which never block its event loop; parameters as of `Blocking`."""

    get = "get_async"

    def __init__(self, most: int | None = None) -> None:
        self._most = most

    def owner(self) -> object:
        return asyncio.get_running_loop()

    async def revalidate(self, store: Any, path: str, options: dict[str, object]) -> Any:  # noqa: ANN401 - any store
        check_fork(store)
        return await (store.get_async(path, options=options) if options else store.get_async(path))

    async def request_first(self, store: object, path: str, span: ByteRange, options: dict[str, object]) -> Response:
        return await request_first_async(store, path, span.length, options, start=span.start)

    async def fetch(
        self,
        store: object,
        path: str,
        spans: Sequence[ByteRange],
        version: Version,
        limit: int,
        *,
        first: Response | None,
    ) -> list[Buffer]:
        return await fetch_async(store, path, spans, version, min(limit, self._most or limit), first=first)

    async def parts(self, result: Result, *, whole: bool) -> BufferList:
        return await result.parts_async(whole=whole)

    async def single_flight(
        self,
        in_flight: SingleFlight[T],
        keys: list[Hashable],
        fetch: Callable[[list[Hashable]], Awaitable[dict[Hashable, T]]],
        find: Callable[[Hashable], T | None],
        keep: Callable[[Hashable, T], None],
        claim: Claim | None = None,
    ) -> dict[Hashable, T]:
        return await in_flight.run_many_async(keys, fetch, find=find, keep=keep, claim=claim)

    def claim(self, in_flight: SingleFlight[T], keys: list[Hashable], find: Callable[[Hashable], T | None]) -> Claim:
        return in_flight.claim_async(keys, find)

    async def call(self, function: Callable[..., T], *args: object) -> T:
        running = asyncio.wrap_future(THREADS.submit(function, *args))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            running.add_done_callback(self._give_back)
            raise

    def _give_back(self, done: asyncio.Future[Any]) -> None:
        """Release the leases that were taken for a task which was cancelled meanwhile."""
        if done.cancelled() or done.exception() is not None:
            return
        taken = done.result()
        for lease in taken if isinstance(taken, tuple) else [taken]:
            if hasattr(lease, "release"):
                self.leave(lease.release)

    def leave(self, function: Callable[[], None]) -> None:
        THREADS.submit(function)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(slots=True)
class RequestContext:
    """Who asks, and for which object.

    Parameters
    ----------
    path
        As it was given.
    key
        What it is cached by.

    Attributes
    ----------
    waited
        For how many seconds it has waited for what others fetch.
    """

    backend: Backend
    path: str
    key: str
    waited: float = field(default=0.0, init=False)

    async def wait(self, seconds: float) -> None:
        """Wait for others."""
        if sys.is_finalizing():  # when the other threads of this process never run again
            self.waited = math.inf
            return
        request_first = time.monotonic()
        await self.backend.sleep(seconds)
        self.waited += time.monotonic() - request_first


SYNC: Backend = SyncBackend()
ASYNC: Backend = AsyncBackend()
