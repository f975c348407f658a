"""Threads that call shared caches on behalf of tasks."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from obspec_utils._io.concurrency import CapacityLimiter
from obspec_utils._io.gc_pause import paused, reset_after_fork
from obspec_utils._io.threads import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CACHE_THREADS", "Threads", "resolve"]

T = TypeVar("T")

# The calls wait for a disk or a server, not for a processor.
_MAX_THREADS = 32


class Threads:
    """Threads of this library that end as soon as there is nothing to do.

    The loop's default executor may be full of functions that wait for the calling task (deadlock). Functions run here
    wait only for disks and servers. And `ThreadPoolExecutor.submit`, interrupted by Ctrl-C, may leave a thread behind
    that keeps the interpreter from ending.
    """

    def __init__(self, max_threads: int = _MAX_THREADS) -> None:
        self._tokens = CapacityLimiter(max_threads)
        self._reset_after_fork()
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def call(self, function: Callable[..., T], *args: object) -> asyncio.Future[T]:
        """Call a function in one of the threads; return a future of the running event loop."""
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.submit(lambda: resolve(result, lambda: function(*args)))
        return result

    def submit(self, function: Callable[[], object]) -> None:
        """Call a function inside `paused()` in one of the threads, and ignore its result and its errors.

        It is called in the caller if no thread can be started, as at interpreter shutdown: in exit handlers and in
        threads that outlive the main thread.
        """
        self._calls.put(function)
        try:
            start_thread(self._work)
        except RuntimeError:
            self._run_all()

    def _work(self) -> None:
        # Check again after releasing the token: a call submitted before that found none.
        while not self._calls.empty() and self._tokens.acquire():
            try:
                self._run_all()
            finally:
                self._tokens.release()

    def _run_all(self) -> None:
        while True:
            try:
                function = self._calls.get_nowait()
            except Empty:
                return
            with suppress(Exception):
                paused(function)
            del function  # its arguments


def resolve(result: asyncio.Future[T], function: Callable[[], T]) -> None:
    """Call a function in a thread and hand its outcome over to a future of an event loop.

    Unlike `asyncio.wrap_future`, this takes no lock in the loop's thread. Ctrl-C in the main thread may leave the
    condition of a `concurrent.futures.Future` locked, and the thread could then never set the result.
    """
    try:
        settle: Callable[[], None] = partial(_settle, result, result.set_result, function())
    except BaseException as error:  # noqa: BLE001 - raised from the future
        settle = partial(_settle, result, result.set_exception, error)
    with suppress(RuntimeError):  # the loop is closed: no task waits
        result.get_loop().call_soon_threadsafe(settle)
    del settle  # break the cycle error -> traceback -> frame


def _settle(result: asyncio.Future[T], method: Callable[[Any], None], outcome: object) -> None:
    if not result.done():  # the task was cancelled
        method(outcome)


CACHE_THREADS = Threads()
