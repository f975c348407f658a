"""Who carries out the jobs of one call: the caller, and helpers out of an allowance that all calls share."""

from __future__ import annotations

import asyncio
import sys
import threading
from itertools import count as count_up
from typing import TYPE_CHECKING, Generic, TypeVar

from obspec_utils._io.gc_pause import PauseScope, current_pause, gc_paused, inherit_pause, reset_after_fork

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["MAX_HELPERS", "gather", "gather_async"]

T = TypeVar("T")

# The most helpers at work in the process, threads and tasks together. Seven whole objects can then be loaded at full
# width (17 helpers each), which is more than a 25 Gbit/s line carries at 50 MB/s a connection; and sockets stay well
# below the 256 files that macOS lets a process have open. Who calls works too and needs none of it: nobody starves.
MAX_HELPERS = 128


class _CapacityLimiter:
    """Who helps now. A set, whose operations are atomic: nobody waits for it, and there is no lock to be left held."""

    def __init__(self) -> None:
        self._reset_after_fork()
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        self.helpers: set[object] = set()

    def is_available(self) -> bool:
        """Tell whether it is worth while to try."""
        return len(self.helpers) < MAX_HELPERS

    def acquire(self, helper: object) -> bool:
        """Let a helper in if there is room; it has to leave either way.

        Each looks after it has come in, so that of several that do so at once never too many stay.
        """
        self.helpers.add(helper)
        return len(self.helpers) <= MAX_HELPERS

    def release(self, helper: object) -> None:
        self.helpers.discard(helper)


_limiter = _CapacityLimiter()


class _Workers(Generic[T]):
    """The caller's thread and those that help it, which end with the call."""

    def __init__(self, job: Callable[[int], T], count: int, limit: int, stop: threading.Event | None) -> None:
        self.job = job
        self.limit = limit
        self.stop = stop
        self.next = count_up().__next__  # atomic
        self.count = count
        self.started = 0
        self.done: dict[int, T] = {}
        self.errors: list[BaseException] = []
        self.threads: list[threading.Thread] = []

    def run_in_caller(self) -> None:
        """Work, and look before each job whether there is room for the helpers that are still missing."""
        self.run_jobs(self.start_helpers)

    def run_jobs(self, beforehand: Callable[[], None] | None = None) -> None:
        while not self.errors:
            number = self.next()
            if number >= self.count:
                return
            self.started = number + 1
            try:
                if beforehand is not None:
                    beforehand()
                self.done[number] = self.job(number)
            except BaseException as error:  # noqa: BLE001 - raised by `results`, in the thread that asked
                self.errors.append(error)
                self.stop_all()

    def run_helper(self, scope: PauseScope | None) -> None:
        # Not in the caller, whom Ctrl-C may hit anywhere: what is entered here is left.
        helper = object()
        try:
            if _limiter.acquire(helper):
                inherit_pause(scope)
                self.run_jobs()
        finally:
            _limiter.release(helper)

    def start_helpers(self) -> None:
        self.threads = [thread for thread in self.threads if thread.is_alive()]
        for _ in range(min(self.limit - 1, self.count - self.started) - len(self.threads)):
            # While the interpreter ends, a new thread never runs, and on Python 3.11 start() waits for it for ever.
            if sys.is_finalizing() or not _limiter.is_available():
                return
            thread = threading.Thread(
                target=self.run_helper, args=(current_pause(),), name="obspec-utils-part", daemon=True
            )
            self.threads.append(thread)
            try:
                thread.start()
            except RuntimeError:  # no more threads to be had: those there are do the work
                self.threads.pop()
                return

    def stop_all(self) -> None:
        """Let nothing more start, and nobody go on pausing."""
        self.count = 0
        if self.stop is not None:
            self.stop.set()

    def join(self) -> None:
        """Wait for what is under way."""
        for thread in self.threads:
            if thread.ident is not None:
                thread.join()

    def results(self, count: int) -> list[T]:
        if self.errors:
            # Ctrl-C in the caller counts more than what failed beside it.
            error = next((error for error in self.errors if not isinstance(error, Exception)), self.errors[0])
            # Nothing that the traceback leads to may lead back to the error, nor hold what was fetched.
            self.errors = []
            self.done = {}
            try:
                raise error
            finally:
                del error
        return [self.done[number] for number in range(count)]


def gather(job: Callable[[int], T], count: int, limit: int, stop: threading.Event | None = None) -> list[T]:
    """Run a job for each number below `count` in threads, at most `limit` at a time; return the results in order.

    The calling thread works too; the others are as many as the process-wide `ALLOWANCE` has room for. The first error
    keeps further jobs from starting and is raised when those under way have ended: no thread outlives the call.

    Parameters
    ----------
    job
        What to run, given a number.
    count
        How many jobs there are.
    limit
        The most jobs at a time.
    stop
        Set as soon as nothing is wanted any more, so that a job that pauses can end.
    """
    if min(count, limit) == 1:
        return [job(number) for number in range(count)]
    with gc_paused():
        crew = _Workers(job, count, limit, stop)
        try:
            crew.run_in_caller()
            crew.join()
        except BaseException:  # Ctrl-C between two jobs, or while waiting
            crew.stop_all()
            crew.join()
            raise
        return crew.results(count)


class _TaskWorkers(Generic[T]):
    """The tasks of one call, which end with it."""

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

    async def run_jobs(self, beforehand: Callable[[], None] | None = None) -> None:
        while self.started < self.count:
            number = self.started
            self.started += 1
            if beforehand is not None:
                beforehand()
            self.done[number] = await self.job(number)

    async def run_helper(self) -> None:
        helper = object()
        try:
            if _limiter.acquire(helper):
                await self.run_jobs()
        finally:
            _limiter.release(helper)
            self.helping -= 1

    def start_helpers(self) -> None:
        for _ in range(min(self.limit - 1, self.count - self.started) - self.helping):
            if not _limiter.is_available():
                return
            self.helping += 1
            self.group.create_task(self.run_helper())


async def gather_async(job: Callable[[int], Awaitable[T]], count: int, limit: int) -> list[T]:
    """Run a job for each number below `count` as tasks, at most `limit` at a time; return the results in order.

    One task needs no room; the others are as many as the process-wide `ALLOWANCE` has room for. The first error cancels
    the others and is raised when they have ended.
    """
    tasks = _TaskWorkers(job, count, limit, asyncio.TaskGroup())
    error: BaseException | None = None
    try:
        async with tasks.group:
            tasks.group.create_task(tasks.run_in_caller())
    except BaseExceptionGroup as failed:
        error = failed.exceptions[0]
    if error is not None:
        # Outside the handler, so that it does not lead to the group, which leads back to it and to what was fetched.
        tasks.done.clear()
        try:
            raise error
        finally:
            del error
    if len(tasks.done) < count:  # a job was cancelled from within: its task ended quietly
        raise asyncio.CancelledError
    return [tasks.done[number] for number in range(count)]
