"""One flight per missing key: whoever asks first fetches, whoever asks meanwhile waits for the same result."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from obspec_utils._guard import paused, reset_after_fork

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

__all__ = ["Flights"]

T = TypeVar("T")


class _Abandoned:
    """The result of a flight whose leader was cancelled: a waiter takes over."""


_ABANDONED: Final = _Abandoned()

Find: TypeAlias = "Callable[[Hashable], T | None]"
Keep: TypeAlias = "Callable[[Hashable, T], None]"


class Flights(Generic[T]):
    """The fetches under way, each led by a thread or by a task.

    Threads join flights led by threads. Tasks join those and flights led by tasks of their own event loop. A thread
    never waits for a task: it may be running on that task's own loop, or hold a lock the loop is waiting for. So
    there is at most one flight per key led by threads, and one per event loop.

    Everything a thread may wait for happens inside `paused()`.

    Whoever asks says how a key is looked up where results are kept, which is done once more before a flight starts
    (`find`), and how a result is kept (`keep`), which is left out for a flight that was forgotten meanwhile.
    """

    def __init__(self) -> None:
        self._reset_after_fork()
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        self._lock = threading.Lock()
        self._led: dict[Hashable, Future[T | _Abandoned]] = {}
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, asyncio.Future[T | _Abandoned]]] = (
            WeakKeyDictionary()
        )

    def forget(self, key: Hashable | None = None) -> None:
        """Keep what is being fetched for a key (None: for any key) from being kept, and from being joined."""
        boards: list[dict[Hashable, Any]]
        with paused(), self._lock:
            boards = [self._led, *self._loops.values()]
            for board in boards:
                if key is None:
                    board.clear()
                else:
                    board.pop(key, None)

    def run(self, key: Hashable, fetch: Callable[[], T], *, find: Find[T], keep: Keep[T]) -> T:
        """Return the result for a key: found, fetched by another thread meanwhile, or fetched by this one."""
        with paused():
            while True:
                mine: Future[T | _Abandoned] = Future()
                mine.set_running_or_notify_cancel()  # from now on nobody's cancel() can reach it
                flight = mine
                try:
                    with self._lock:
                        found = find(key)
                        if found is not None:
                            return found
                        flight = self._led.setdefault(key, mine)
                    value = self._lead(key, mine, fetch, keep) if flight is mine else flight.result()
                finally:
                    if flight is mine and not mine.done():  # Ctrl-C, wherever it hit, is for this thread alone
                        self._land(self._led, key, mine)
                        mine.set_result(_ABANDONED)
                    # An error's traceback leads to this frame: nothing here may lead back to the error.
                    del mine, flight
                if not isinstance(value, _Abandoned):
                    return value

    def _lead(self, key: Hashable, flight: Future[T | _Abandoned], fetch: Callable[[], T], keep: Keep[T]) -> T:
        try:
            value = fetch()
            self._land(self._led, key, flight, value, keep)
        except Exception as error:
            self._land(self._led, key, flight)
            if not isinstance(error, StopIteration):  # which a task that has joined could not be told
                flight.set_exception(error)
            raise
        else:
            flight.set_result(value)
            return value
        finally:
            del flight

    def _land(
        self,
        board: dict[Hashable, Any],
        key: Hashable,
        flight: object,
        value: T | None = None,
        keep: Keep[T] | None = None,
    ) -> None:
        """Take a flight off the board, and keep what it brought unless it was forgotten."""
        with paused(), self._lock:
            if board.get(key) is flight:
                del board[key]
                if value is not None and keep is not None:
                    keep(key, value)

    async def run_async(self, key: Hashable, fetch: Callable[[], Awaitable[T]], *, find: Find[T], keep: Keep[T]) -> T:
        """Return the result for a key as `run` does, on the running event loop."""
        loop = asyncio.get_running_loop()
        while True:
            with paused(), self._lock:
                found = find(key)
                if found is not None:
                    return found
                in_thread = self._led.get(key)
                board = self._loops.setdefault(loop, {})
                flight = board.get(key)
                leads = in_thread is None and flight is None
                if leads:
                    flight = board[key] = loop.create_future()
            try:
                if leads and flight is not None:
                    return await self._lead_async(board, key, flight, fetch, keep)
                # A waiter that is cancelled must not cancel what the others wait for.
                value = await (asyncio.wrap_future(in_thread) if in_thread else asyncio.shield(flight))  # type: ignore[arg-type]
            finally:
                del in_thread, flight
            if not isinstance(value, _Abandoned):
                return value

    async def _lead_async(
        self,
        board: dict[Hashable, asyncio.Future[T | _Abandoned]],
        key: Hashable,
        flight: asyncio.Future[T | _Abandoned],
        fetch: Callable[[], Awaitable[T]],
        keep: Keep[T],
    ) -> T:
        try:
            value = await fetch()
            self._land(board, key, flight, value, keep)
            flight.set_result(value)
        except BaseException as error:
            self._land(board, key, flight)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits on it any more
                if isinstance(error, Exception):
                    flight.set_exception(error)
                    flight.exception()  # seen, even if nobody waits
                else:
                    flight.set_result(_ABANDONED)
            raise
        else:
            return value
        finally:
            del flight
