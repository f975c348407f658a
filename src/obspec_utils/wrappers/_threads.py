"""The threads in which shared caches are called for tasks."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from obspec_utils._guard import paused, reset_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["THREADS", "within_pause"]

T = TypeVar("T")

# Those who call wait for a disk or a server, not for a processor.
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
        """Call a function in one of the threads, inside `paused()`."""
        with paused():  # a pool has locks
            return self._pool.submit(within_pause, function, *args)


def within_pause(function: Callable[..., T], *args: object) -> T:
    """Call a function, inside `paused()`."""
    with paused():  # whatever lock it takes
        return function(*args)


THREADS = Threads()
