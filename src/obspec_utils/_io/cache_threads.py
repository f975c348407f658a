"""The threads in which shared caches are called for tasks."""

from __future__ import annotations

from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from obspec_utils._io.concurrency import CapacityLimiter
from obspec_utils._io.gc_pause import paused, reset_after_fork
from obspec_utils._io.threads import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CACHE_THREADS"]

T = TypeVar("T")

# The calls wait for a disk or a server, not for a processor.
_MAX_THREADS = 32


class Threads:
    """Threads of the library's own, which end as soon as there is nothing to do.

    Those of the event loop may be full of functions that wait for the very task that calls. These here wait for nobody:
    what they run asks a disk or a server. And `ThreadPoolExecutor.submit`, interrupted by Ctrl-C, may leave a thread
    behind that keeps the interpreter from ending.
    """

    def __init__(self) -> None:
        self._tokens = CapacityLimiter(_MAX_THREADS)
        self._reset_after_fork()
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def submit(self, function: Callable[..., T], *args: object) -> Future[T]:
        """Call a function inside `paused()`: in one of the threads, or here and now where none can be started.

        That is so while the process ends, in exit handlers and in threads that outlive the main thread.
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
        # Looked at again after the token was returned: a call that came in between found no token.
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
        del result  # the error's traceback leads to this frame


CACHE_THREADS = Threads()
