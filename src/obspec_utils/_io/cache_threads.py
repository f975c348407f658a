"""The threads in which shared caches are called for tasks."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from obspec_utils._io.gc_pause import gc_paused, reset_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["THREADS", "call_with_gc_paused"]

T = TypeVar("T")

# The calls wait for a disk or a server, not for a processor.
_MOST = 32


class Threads:
    """A pool of threads of the library's own.

    That of the event loop may be full of functions that wait for the very task that calls. These here wait for nobody:
    what they run asks a disk or a server.
    """

    def __init__(self) -> None:
        self._reset_after_fork()
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        self._pool = ThreadPoolExecutor(_MOST, thread_name_prefix="obspec-utils-cache")

    def submit(self, function: Callable[..., T], *args: object) -> Future[T]:
        """Call a function inside `gc_paused()`: in one of the threads, or here and now where none can be started.

        That is so while the process ends, in exit handlers and in threads that outlive the main thread.
        """
        result: Future[T] = Future()
        result.set_running_or_notify_cancel()
        call = partial(_run, result, count(), function, args)
        with gc_paused():  # a pool has locks
            try:
                self._pool.submit(call)
            except RuntimeError:
                call()
        return result


def _run(result: Future[T], turns: Iterator[int], function: Callable[..., T], args: tuple[object, ...]) -> None:
    if next(turns):  # a pool that can't start another thread keeps what it refused, for those it has
        return
    try:
        result.set_result(call_with_gc_paused(function, *args))
    except BaseException as error:  # noqa: BLE001 - raised from the result
        result.set_exception(error)
        del result  # the error's traceback leads to this frame


def call_with_gc_paused(function: Callable[..., T], *args: object) -> T:
    """Call a function, inside `gc_paused()`."""
    with gc_paused():  # whatever lock it takes
        return function(*args)


THREADS = Threads()
