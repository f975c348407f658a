"""Steps that differ between a thread and an event loop. Code that uses a backend is written once, for both.

Such code consists of coroutines that take a backend. Every step of the sync backend completes before it returns, so
`run` executes such a coroutine in one go, without an event loop.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from obspec_utils._io.cache_threads import CACHE_THREADS, resolve
from obspec_utils._io.concurrency import gather, gather_async
from obspec_utils._io.gc_pause import call_after_pause, current_scope, raise_if_interrupted
from obspec_utils._io.interruptible import in_own_thread, interruptible
from obspec_utils._io.logs import async_method_of, method_of
from obspec_utils._io.progress import INTERVAL
from obspec_utils._io.response import has_method
from obspec_utils._redact import redact_error

if TYPE_CHECKING:
    import threading
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine

    from typing_extensions import Buffer

    from obspec_utils._io.progress import Progress
    from obspec_utils._io.response import Response

__all__ = ["ASYNC", "SYNC", "AsyncBackend", "Backend", "SyncBackend", "run", "run_sync"]

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of the sync backend to its end."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        coroutine.close()
    msg = "a step of the sync backend waited for an event loop"
    raise RuntimeError(msg)


def run_sync(function: Callable[..., Coroutine[Any, Any, T]], *args: object) -> T:
    """Run a coroutine function of the sync backend to its end, as `interruptible` does."""
    return interruptible(lambda: run(function(*args)))


class Backend(Protocol):
    """Call methods of a store, run jobs concurrently, and wait, in a thread or on an event loop."""

    suffix: str
    """Suffix of the names of a store's methods: empty, or `_async`."""

    def has(self, store: object, method: str) -> bool:
        """Return whether a store has an obspec method, given by its sync name."""
        return has_method(store, method + self.suffix)

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
        """Sleep for `seconds`. If `stop` is set, wake up early and return True."""
        ...

    async def gather(
        self, job: Callable[[int], Coroutine[Any, Any, T]], count: int, limit: int, stop: threading.Event | None = None
    ) -> list[T]:
        """Run a job for each number below `count`, at most `limit` at a time; return the results in order."""
        ...

    async def show_progress(self, progress: Progress, job: Awaitable[T]) -> T:
        """Wait for a job, and show its progress in the caller's thread or task."""
        ...

    def task(self) -> asyncio.Task[Any] | None:
        """Return the running task; None in a thread."""
        ...

    def owner(self) -> object:
        """Return the running event loop; None in a thread."""
        ...

    def new_future(self) -> Any:  # noqa: ANN401 - of a thread or of an event loop
        """Return a future that other callers can wait for."""
        ...

    async def wait(self, future: Any) -> Any:  # noqa: ANN401
        """Wait for the result of a future; cancelling the waiter does not cancel the future."""
        ...

    async def call(self, function: Callable[..., T], *args: object) -> T:
        """Call a function that may block on a disk or on a server."""
        ...

    def leave(self, function: Callable[[], None]) -> None:
        """Run a blocking function to clean up after an error, on an event loop in the background."""
        ...


class SyncBackend(Backend):
    """Steps in the calling thread, inside `paused()`."""

    suffix = ""

    async def invoke(self, store: Any, method: str, path: str, **arguments: object) -> Any:  # noqa: ANN401
        """Call the method, unless the caller was interrupted."""
        raise_if_interrupted()
        try:
            return method_of(store, method)(path, **arguments)
        except Exception as error:
            redact_error(error)
            raise

    async def body(self, response: Response) -> Buffer:
        """Read the body."""
        return response.body()

    async def chunks(self, response: Response, min_size: int) -> AsyncGenerator[Buffer]:
        """Read the body as it arrives."""
        for chunk in response.chunks(min_size):
            yield chunk

    async def sleep(self, seconds: float, stop: threading.Event | None = None) -> bool:
        """Block the thread, unless the caller was interrupted."""
        raise_if_interrupted()
        if stop is not None:
            return stop.wait(seconds)
        time.sleep(seconds)  # noqa: ASYNC251 - no event loop runs this
        return False

    async def gather(
        self, job: Callable[[int], Coroutine[Any, Any, T]], count: int, limit: int, stop: threading.Event | None = None
    ) -> list[T]:
        """Run the jobs here and in helper threads."""
        return gather(lambda number: run(job(number)), count, limit, stop)

    async def show_progress(self, progress: Progress, job: Awaitable[T]) -> T:
        """Run the job here, inside the pause of a caller who shows the progress, see `with_progress`."""
        scope = current_scope()
        shown_by_caller = [] if scope is None else scope.displays
        shown_by_caller.append(progress)
        try:
            result = await job
        except BaseException:
            call_after_pause(progress.close)
            raise
        finally:
            shown_by_caller.remove(progress)
        is_interrupted = scope is not None and scope.interrupted
        call_after_pause(progress.close if is_interrupted else progress.end)
        return result

    def task(self) -> None:
        """Return None."""

    def owner(self) -> None:
        """Return None."""

    def new_future(self) -> Future[Any]:
        """Return a future of a thread."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()  # so that cancel() has no effect
        return future

    async def wait(self, future: Future[Any]) -> Any:  # noqa: ANN401
        """Block the thread until the future has a result."""
        return future.result()

    async def call(self, function: Callable[..., T], *args: object) -> T:
        """Call the function here."""
        return function(*args)

    def leave(self, function: Callable[[], None]) -> None:
        """Call the function here."""
        function()


class AsyncBackend(Backend):
    """Steps of a task, which never block its event loop."""

    suffix = "_async"

    async def invoke(self, store: Any, method: str, path: str, **arguments: object) -> Any:  # noqa: ANN401
        """Call the async method."""
        try:
            return await async_method_of(store, f"{method}_async")(path, **arguments)
        except Exception as error:
            redact_error(error)
            raise

    async def body(self, response: Response) -> Buffer:
        """Read the body."""
        return await response.body_async()

    def chunks(self, response: Response, min_size: int) -> AsyncGenerator[Buffer]:
        """Read the body as it arrives."""
        return response.chunks_async(min_size)

    async def sleep(self, seconds: float, stop: threading.Event | None = None) -> bool:  # noqa: ARG002 - cancelled
        """Suspend the task."""
        await asyncio.sleep(seconds)
        return False

    async def gather(
        self,
        job: Callable[[int], Awaitable[T]],
        count: int,
        limit: int,
        stop: threading.Event | None = None,  # noqa: ARG002 - cancelled
    ) -> list[T]:
        """Run the jobs as tasks."""
        return await gather_async(job, count, limit)

    async def show_progress(self, progress: Progress, job: Awaitable[T]) -> T:
        """Run the job in a task of its own, and show the progress in this one, which holds nothing others wait for."""
        running = asyncio.ensure_future(job)
        try:
            while not (await asyncio.wait((running,), timeout=INTERVAL))[0]:
                progress.update()
            result = running.result()
            progress.end()
        except BaseException:
            running.cancel()
            await asyncio.wait((running,))
            progress.close()
            raise
        else:
            return result
        finally:
            del running  # break the cycle error -> traceback -> frame

    def task(self) -> asyncio.Task[Any] | None:
        """Return the running task."""
        return asyncio.current_task()

    def owner(self) -> asyncio.AbstractEventLoop:
        """Return the running event loop."""
        return asyncio.get_running_loop()

    def new_future(self) -> asyncio.Future[Any]:
        """Return a future of the running event loop."""
        return asyncio.get_running_loop().create_future()

    async def wait(self, future: Any) -> Any:  # noqa: ANN401
        """Suspend the task until a future of a thread or of this loop has a result."""
        if not isinstance(future, Future):
            return await asyncio.shield(future)
        result = self.new_future()
        in_own_thread(future.add_done_callback, lambda done: resolve(result, done.result))
        return await result

    async def call(self, function: Callable[..., T], *args: object) -> T:
        """Call the function in a thread; if the task is cancelled, release any lease that it acquires."""
        running = CACHE_THREADS.call(function, *args)
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
        CACHE_THREADS.submit(function)


SYNC: Backend = SyncBackend()
ASYNC: Backend = AsyncBackend()
