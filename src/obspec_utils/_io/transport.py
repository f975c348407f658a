"""The steps that differ between a thread and an event loop; everything above is written once, for both.

Code above takes a transport and is written as coroutines. Every step of the sync transport is done when it returns, so
`run` executes such a coroutine to its end in one go, without an event loop.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from obspec_utils._io.concurrency import gather, gather_async
from obspec_utils._io.gc_pause import raise_if_interrupted
from obspec_utils._io.response import has_method

if TYPE_CHECKING:
    import threading
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine

    from typing_extensions import Buffer

    from obspec_utils._io.response import Response

__all__ = ["ASYNC_TRANSPORT", "SYNC_TRANSPORT", "AsyncTransport", "SyncTransport", "Transport", "run"]

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of the sync transport to its end."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        coroutine.close()
    msg = "a step of the sync transport waited for an event loop"
    raise RuntimeError(msg)


class Transport(Protocol):
    """How a store is called, and how something is waited for."""

    def has(self, store: object, method: str) -> bool:
        """Tell whether a store has an obspec method, given by its sync name."""
        ...

    async def invoke(self, store: Any, method: str, path: str, **arguments: object) -> Any:  # noqa: ANN401
        """Call an obspec method of a store, given by its sync name."""
        ...

    async def body(self, response: Response) -> Buffer:
        """Read the body of a response."""
        ...

    def chunks(self, response: Response, min_size: int) -> AsyncGenerator[Buffer]:
        """Read the body of a response as it arrives, in chunks of at least `min_size` bytes but for the last."""
        ...

    async def sleep(self, seconds: float, stop: threading.Event | None = None) -> bool:
        """Wait; return early, with True, where `stop` is set meanwhile."""
        ...

    async def gather(
        self, job: Callable[[int], Coroutine[Any, Any, T]], count: int, limit: int, stop: threading.Event | None = None
    ) -> list[T]:
        """Run a job for each number below `count`, at most `limit` at a time; return the results in order."""
        ...

    def owner(self) -> object:
        """Return the running event loop; None in a thread."""
        ...

    def task(self) -> asyncio.Task[Any] | None:
        """Return the running task; None in a thread."""
        ...

    def new_future(self) -> Any:  # noqa: ANN401 - of a thread or of an event loop
        """Return a future whose result others can wait for."""
        ...

    async def wait(self, future: Any) -> Any:  # noqa: ANN401
        """Wait for the result of a future; cancelling the waiter does not cancel the future."""
        ...


class SyncTransport:
    """Steps in the calling thread."""

    def has(self, store: object, method: str) -> bool:
        return has_method(store, method)

    async def invoke(self, store: Any, method: str, path: str, **arguments: object) -> Any:  # noqa: ANN401
        raise_if_interrupted()
        return getattr(store, method)(path, **arguments)

    async def body(self, response: Response) -> Buffer:
        return response.body()

    async def chunks(self, response: Response, min_size: int) -> AsyncGenerator[Buffer]:
        for chunk in response.chunks(min_size):
            yield chunk

    async def sleep(self, seconds: float, stop: threading.Event | None = None) -> bool:
        if stop is not None:
            return stop.wait(seconds)
        time.sleep(seconds)  # noqa: ASYNC251 - no event loop runs this
        return False

    async def gather(
        self, job: Callable[[int], Coroutine[Any, Any, T]], count: int, limit: int, stop: threading.Event | None = None
    ) -> list[T]:
        return gather(lambda number: run(job(number)), count, limit, stop)

    def owner(self) -> object:
        return None

    def task(self) -> asyncio.Task[Any] | None:
        return None

    def new_future(self) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()  # from now on nobody's cancel() can reach it
        return future

    async def wait(self, future: Future[Any]) -> Any:  # noqa: ANN401
        return future.result()


class AsyncTransport:
    """Steps of a task, which never block its event loop."""

    def has(self, store: object, method: str) -> bool:
        return has_method(store, f"{method}_async")

    async def invoke(self, store: Any, method: str, path: str, **arguments: object) -> Any:  # noqa: ANN401
        return await getattr(store, f"{method}_async")(path, **arguments)

    async def body(self, response: Response) -> Buffer:
        return await response.body_async()

    def chunks(self, response: Response, min_size: int) -> AsyncGenerator[Buffer]:
        return response.chunks_async(min_size)

    async def sleep(self, seconds: float, stop: threading.Event | None = None) -> bool:  # noqa: ARG002 - cancelled
        await asyncio.sleep(seconds)
        return False

    async def gather(
        self,
        job: Callable[[int], Awaitable[T]],
        count: int,
        limit: int,
        stop: threading.Event | None = None,  # noqa: ARG002 - cancelled
    ) -> list[T]:
        return await gather_async(job, count, limit)

    def owner(self) -> object:
        return asyncio.get_running_loop()

    def task(self) -> asyncio.Task[Any] | None:
        return asyncio.current_task()

    def new_future(self) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    async def wait(self, future: Any) -> Any:  # noqa: ANN401
        if isinstance(future, Future):
            return await asyncio.wrap_future(future)
        return await asyncio.shield(future)


SYNC_TRANSPORT: Transport = SyncTransport()
ASYNC_TRANSPORT: Transport = AsyncTransport()
