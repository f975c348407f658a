"""What a cache does on a miss, for a thread or for a task: requests, single flight, and calls of caches that block.

The code of the caching store is written once, as coroutines that are given a backend. `run_sync` runs one of the sync
backend to its end.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from obspec_utils._io.cache_threads import THREADS
from obspec_utils._io.fetch import fetch_parts
from obspec_utils._io.fork import check_fork
from obspec_utils._io.interruptible import interruptible
from obspec_utils._io.request import send_first
from obspec_utils._io.transport import ASYNC_TRANSPORT, SYNC_TRANSPORT, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence

    from typing_extensions import Buffer

    from obspec_utils._io.buffers import BufferList
    from obspec_utils._io.get_result import Result
    from obspec_utils._io.response import Response
    from obspec_utils._io.single_flight import Claim, SingleFlight
    from obspec_utils._io.transport import Transport
    from obspec_utils._ranges import ByteRange
    from obspec_utils._version import Version

__all__ = ["ASYNC", "SYNC", "AsyncBackend", "Backend", "RequestContext", "SyncBackend", "run_sync"]

T = TypeVar("T")


def run_sync(function: Callable[..., Coroutine[Any, Any, T]], *args: object) -> T:
    """Run a coroutine of the sync backend to its end, as `interruptible` does."""
    return interruptible(lambda: run(function(*args)))


class Backend(Protocol):
    """The steps that differ, and what is built on them."""

    get: str
    """The name of the store's method that gets an object."""
    transport: Transport
    """How the store is called."""
    max_requests: int | None
    """The most requests in flight for one fetch, if that is less than the fetch's own limit."""

    def owner(self) -> object:
        """Return the running event loop; None in a thread."""
        return self.transport.owner()

    def task(self) -> asyncio.Task[Any] | None:
        """Return the running task; None in a thread."""
        return self.transport.task()

    async def revalidate(self, store: object, path: str, options: dict[str, object]) -> Any:  # noqa: ANN401
        """Get an object; return when the headers have arrived."""
        check_fork(store)
        return await self.transport.invoke(store, "get", path, **({"options": options} if options else {}))

    async def request_first(self, store: object, path: str, span: ByteRange, options: dict[str, object]) -> Response:
        """Request the first bytes that are wanted of an object."""
        return await send_first(self.transport, store, path, span, options)

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
        """Fetch spans of one version concurrently."""
        limit = min(limit, self.max_requests or limit)
        return await fetch_parts(self.transport, store, path, spans, version, limit, first=first)

    async def single_flight(
        self,
        in_flight: SingleFlight[T],
        keys: list[Hashable],
        fetch: Callable[[list[Hashable]], Awaitable[dict[Hashable, T]]],
        find: Callable[[Hashable], T | None],
        keep: Callable[[Hashable, T], None],
        claim: Claim | None = None,
    ) -> dict[Hashable, T]:
        """Return the results of keys, each fetched once for all callers."""
        return await in_flight.run_many(self.transport, keys, fetch, find=find, keep=keep, claim=claim)

    def claim(self, in_flight: SingleFlight[T], keys: list[Hashable], find: Callable[[Hashable], T | None]) -> Claim:
        """Claim keys for a fetch to come."""
        return in_flight.claim(self.transport, keys, find)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self.transport.sleep(seconds)

    async def parts(self, result: Result, *, whole: bool) -> BufferList:
        """Return all bytes of a result of this library."""
        ...

    async def call(self, function: Callable[..., T], *args: object) -> T:
        """Call a function that may block: on a disk, or on a server."""
        ...

    def leave(self, function: Callable[[], None]) -> None:
        """Call a function that may block without waiting for its end: after an error."""
        ...


class SyncBackend(Backend):
    """Steps in the calling thread."""

    get = "get"
    transport = SYNC_TRANSPORT

    def __init__(self, max_requests: int | None = None) -> None:
        self.max_requests = max_requests

    async def parts(self, result: Result, *, whole: bool) -> BufferList:
        """Return all bytes of a result of this library."""
        return result.parts(whole=whole)

    async def call(self, function: Callable[..., T], *args: object) -> T:
        """Call the function here."""
        return function(*args)

    def leave(self, function: Callable[[], None]) -> None:
        """Call the function here."""
        function()


class AsyncBackend(Backend):
    """Steps of a task, which never block its event loop."""

    get = "get_async"
    transport = ASYNC_TRANSPORT

    def __init__(self, max_requests: int | None = None) -> None:
        self.max_requests = max_requests

    async def parts(self, result: Result, *, whole: bool) -> BufferList:
        """Return all bytes of a result of this library."""
        return await result.parts_async(whole=whole)

    async def call(self, function: Callable[..., T], *args: object) -> T:
        """Call the function in a thread; release the leases it takes, should the task be cancelled meanwhile."""
        running = asyncio.wrap_future(THREADS.submit(function, *args))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            running.add_done_callback(self._release)
            raise

    def _release(self, done: asyncio.Future[Any]) -> None:
        if done.cancelled() or done.exception() is not None:
            return
        taken = done.result()
        for lease in taken if isinstance(taken, tuple) else [taken]:
            if hasattr(lease, "release"):
                self.leave(lease.release)

    def leave(self, function: Callable[[], None]) -> None:
        """Call the function in a thread."""
        THREADS.submit(function)


@dataclass(slots=True)
class RequestContext:
    """One request to a caching store.

    Parameters
    ----------
    path
        The path as it was given.
    key
        The key that the object is cached by.

    Attributes
    ----------
    waited
        The seconds it has waited for fetches of other processes.
    """

    backend: Backend
    path: str
    key: str
    waited: float = field(default=0.0, init=False)

    async def wait(self, seconds: float) -> None:
        """Wait for other processes."""
        if sys.is_finalizing():  # when the other threads of this process never run again
            self.waited = math.inf
            return
        start = time.monotonic()
        await self.backend.sleep(seconds)
        self.waited += time.monotonic() - start


SYNC: Backend = SyncBackend()
ASYNC: Backend = AsyncBackend()
