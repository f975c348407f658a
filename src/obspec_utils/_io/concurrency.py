"""Run the jobs of one call in the caller and in helper threads or tasks, whose number is limited in the process."""

from __future__ import annotations

import asyncio
from itertools import count as count_up
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from obspec_utils._io.gc_pause import current_scope, inherit_scope, paused, reset_after_fork
from obspec_utils._io.threads import start_thread

if TYPE_CHECKING:
    import threading
    from collections.abc import Awaitable, Callable

    from obspec_utils._io.gc_pause import PauseScope

__all__ = ["MAX_HELPERS", "CapacityLimiter", "gather", "gather_async", "limiter"]

T = TypeVar("T")

# The limit of active helpers in the process, threads and tasks together. Seven whole objects can be loaded at full
# width (17 helpers each), which is more than a 25 Gbit/s line carries at 50 MB/s a connection; and sockets stay well
# below the 256 files that macOS allows a process. The caller runs jobs too, without a token, so no call starves.
MAX_HELPERS = 128


class CapacityLimiter:
    """A bounded number of helpers: threads, which acquire and release tokens, and tasks, which count until they end.

    A SimpleQueue takes and returns tokens atomically and without a lock, which a thread could hold during a fork. A
    task may be interrupted anywhere, also before it releases a token.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._reset_after_fork()
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._tokens: SimpleQueue[None] = SimpleQueue()
        for _ in range(self.capacity):
            self._tokens.put(None)

    @property
    def in_use(self) -> int:
        """How many helpers are at work."""
        self._drop_ended_tasks()
        return self.capacity - self._tokens.qsize() + len(self._tasks)

    def is_available(self) -> bool:
        """Tell whether another helper may start just now."""
        if self._tokens.qsize() <= len(self._tasks):
            self._drop_ended_tasks()
        return self._tokens.qsize() > len(self._tasks)

    def acquire(self) -> bool:
        """Take a token for a thread, if one is left, without waiting."""
        try:
            self._tokens.get_nowait()
        except Empty:
            return False
        if self._tokens.qsize() >= len(self._tasks):
            return True
        self.release()
        return False

    def release(self) -> None:
        """Release a token."""
        self._tokens.put(None)

    def add(self, task: asyncio.Task[None]) -> None:
        """Count a task until it ends."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _drop_ended_tasks(self) -> None:
        """Drop tasks whose loop was stopped before it could call `discard`."""
        for task in self._tasks.copy():
            if task.done() or task.get_loop().is_closed():
                self._tasks.discard(task)


limiter = CapacityLimiter(MAX_HELPERS)


class _Workers(Generic[T]):
    """The caller's thread and its helper threads, which end with the call."""

    def __init__(self, job: Callable[[int], T], count: int, limit: int, stop: threading.Event | None) -> None:
        self.job = job
        self.limit = limit
        self.stop = stop
        self.next = count_up().__next__  # atomic
        self.count = count
        self.started = 0
        self.done: dict[int, T] = {}
        self.errors: list[BaseException] = []
        self.helpers = 0
        self.ended: SimpleQueue[None] = SimpleQueue()  # one item for each helper that has ended

    def run_in_caller(self) -> None:
        """Run jobs; before each one, start the missing helpers, as far as tokens are available."""
        self.run_jobs(self.start_helpers)
        for _ in range(self.helpers):
            self.ended.get()

    def run_jobs(self, before_each: Callable[[], None] | None = None) -> None:
        while not self.errors:
            number = self.next()
            if number >= self.count:
                return
            self.started = number + 1
            try:
                if before_each is not None:
                    before_each()
                self.done[number] = self.job(number)
            except BaseException as error:  # noqa: BLE001 - raised by `results`, in the caller
                self.errors.append(error)
                self.count = 0
                if self.stop is not None:
                    self.stop.set()

    def run_helper(self, scope: PauseScope | None) -> None:
        inherit_scope(scope)
        try:
            self.run_jobs()
        finally:
            limiter.release()
            self.ended.put(None)

    def start_helpers(self) -> None:
        while not self.ended.empty():
            self.ended.get()
            self.helpers -= 1
        # Computed once: the helpers take jobs while others are being started.
        for _ in range(min(self.limit - 1 - self.helpers, self.count - self.started)):
            if not limiter.acquire():
                return
            try:
                start_thread(self.run_helper, current_scope())
            except RuntimeError:  # no thread can be started: the running ones do the rest
                limiter.release()
                return
            self.helpers += 1

    def results(self, count: int) -> list[T]:
        if self.errors:
            # Break the cycle error -> traceback -> frame, which would keep the fetched bytes in memory.
            error, self.errors, self.done = self.errors[0], [], {}
            try:
                raise error
            finally:
                del error
        return [self.done[number] for number in range(count)]


def gather(job: Callable[[int], T], count: int, limit: int, stop: threading.Event | None = None) -> list[T]:
    """Run a job for each number below `count` in threads, at most `limit` at a time; return the results in order.

    The calling thread runs jobs too. Helper threads are limited to `MAX_HELPERS` in the process. After the first error
    no more jobs start; it is raised when the running jobs have ended, so no thread outlives the call.

    Parameters
    ----------
    job
        The function to call with each number.
    count
        Number of jobs.
    limit
        The maximum number of concurrent jobs.
    stop
        Set after the first error, to end the delays of retries.
    """
    if min(count, limit) == 1:
        return [job(number) for number in range(count)]
    workers = _Workers(job, count, limit, stop)
    paused(workers.run_in_caller)
    return workers.results(count)


class _TaskWorkers(Generic[T]):
    """The tasks of one call, which end with the call."""

    def __init__(self, job: Callable[[int], Awaitable[T]], count: int, limit: int, group: asyncio.TaskGroup) -> None:
        self.job = job
        self.count = count
        self.limit = limit
        self.group = group
        self.started = 0
        self.done: dict[int, T] = {}
        self.helping = 0

    async def run_in_caller(self) -> None:
        await self.run_jobs(self.start_helpers)

    async def run_jobs(self, before_each: Callable[[], None] | None = None) -> None:
        while self.started < self.count:
            number = self.started
            self.started += 1
            if before_each is not None:
                before_each()
            self.done[number] = await self.job(number)

    async def run_helper(self) -> None:
        try:
            await self.run_jobs()
        finally:
            self.helping -= 1

    def start_helpers(self) -> None:
        for _ in range(min(self.limit - 1 - self.helping, self.count - self.started)):
            if not limiter.is_available():
                return
            task = self.group.create_task(self.run_helper())
            limiter.add(task)
            self.helping += 1


async def gather_async(job: Callable[[int], Awaitable[T]], count: int, limit: int) -> list[T]:
    """Run a job for each number below `count` as tasks, at most `limit` at a time; return the results in order.

    The first task needs no token, its helpers do, as in `gather`. The first error cancels the other tasks and is raised
    when they have ended.
    """
    tasks = _TaskWorkers(job, count, limit, asyncio.TaskGroup())
    error: BaseException | None = None
    try:
        async with tasks.group:
            tasks.group.create_task(tasks.run_in_caller())
    except BaseExceptionGroup as failed:
        error = failed.exceptions[0]
    if error is not None:
        # Raise outside the handler: `__context__` would form a cycle that keeps the fetched bytes alive.
        tasks.done.clear()
        try:
            raise error
        finally:
            del error
    if len(tasks.done) < count:  # a job raised CancelledError, which a TaskGroup does not raise
        raise asyncio.CancelledError
    return [tasks.done[number] for number in range(count)]
