"""Threads that call shared caches on behalf of tasks."""

from __future__ import annotations

from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from obspec_utils._io.concurrency import CapacityLimiter
from obspec_utils._io.gc_pause import paused, reset_after_fork
from obspec_utils._io.threads import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CACHE_THREADS", "Threads"]

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
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def submit(self, function: Callable[..., T], *args: object) -> Future[T]:
        """Call a function inside `paused()` in one of the threads, or in the caller if no thread can be started.

        No thread can be started at interpreter shutdown: in exit handlers and in threads that outlive the main thread.
        """
        result: Future[T] = Future()
        result.set_running_or_notify_cancel()
        self._calls.put(lambda: _run(result, function, args))
        try:
            start_thread(self._work)
        except RuntimeError:
            self._run_all()
        return result

    def _work(self) -> None:
        # Check again after releasing the token: a call submitted before that found none.
        while not self._calls.empty() and self._tokens.acquire():
            try:
                self._run_all()
            finally:
                self._tokens.release()

    def _run_all(self) -> None:
        try:
            while True:
                self._calls.get_nowait()()
        except Empty:
            pass


def _run(result: Future[T], function: Callable[..., T], args: tuple[object, ...]) -> None:
    try:
        result.set_result(paused(function, *args))
    except BaseException as error:  # noqa: BLE001 - raised from the result
        result.set_exception(error)
        del result  # break the cycle error -> traceback -> frame


CACHE_THREADS = Threads()
