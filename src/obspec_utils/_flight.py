"""One flight per missing key: whoever asks first fetches, whoever asks meanwhile waits for the same result."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

from obspec_utils._guard import paused, reset_after_fork

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

__all__ = ["Flights"]

T = TypeVar("T")


class _Abandoned:
    """The result of a flight whose leader was cancelled: a waiter takes over."""


_ABANDONED: Final = _Abandoned()


class Flights(Generic[T]):
    """The fetches under way, each led by a thread or by a task.

    Threads join flights led by threads. Tasks join those and flights led by tasks of their own event loop. A thread
    never waits for a task: it may be running on that task's own loop, or hold a lock the loop is waiting for. So
    there is at most one flight per key led by threads, and one per event loop.

    Everything a thread may wait for happens inside `paused()`.

    Parameters
    ----------
    find
        Looks a key up where results are kept; asked once more before a flight starts.
    keep
        Keeps a result. Not called for a flight that was forgotten meanwhile, see `forget`.
    """

    def __init__(self, find: Callable[[Hashable], T | None], keep: Callable[[Hashable, T], None]) -> None:
        self._find = find
        self._keep = keep
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

    def run(self, key: Hashable, fetch: Callable[[], T]) -> T:
        """Return the result for a key: found, fetched by another thread meanwhile, or fetched by this one."""
        with paused():
            while True:
                with self._lock:
                    found = self._find(key)
                    if found is not None:
                        return found
                    flight = self._led.get(key)
                    leads = flight is None
                    if flight is None:
                        flight = self._led[key] = Future()
                        flight.set_running_or_notify_cancel()  # from now on nobody's cancel() can reach it
                if leads:
                    return self._lead(key, flight, fetch)
                value = flight.result()
                if not isinstance(value, _Abandoned):
                    return value

    def _lead(self, key: Hashable, flight: Future[T | _Abandoned], fetch: Callable[[], T]) -> T:
        try:
            value = fetch()
        except BaseException as error:
            self._land(self._led, key, flight)
            if isinstance(error, Exception):
                flight.set_exception(error)
            else:  # Ctrl-C is for this thread alone
                flight.set_result(_ABANDONED)
            raise
        self._land(self._led, key, flight, value)
        flight.set_result(value)
        return value

    def _land(self, board: dict[Hashable, Any], key: Hashable, flight: object, value: T | None = None) -> None:
        """Take a flight off the board, and keep what it brought unless it was forgotten."""
        with paused(), self._lock:
            if board.get(key) is flight:
                del board[key]
                if value is not None:
                    self._keep(key, value)

    async def run_async(self, key: Hashable, fetch: Callable[[], Awaitable[T]]) -> T:
        """Return the result for a key as `run` does, on the running event loop."""
        loop = asyncio.get_running_loop()
        while True:
            with paused(), self._lock:
                found = self._find(key)
                if found is not None:
                    return found
                in_thread = self._led.get(key)
                flights = self._loops.setdefault(loop, {})
                flight = flights.get(key)
                leads = in_thread is None and flight is None
                if leads:
                    flight = flights[key] = loop.create_future()
            if leads and flight is not None:
                return await self._lead_async(flights, key, flight, fetch)
            # A waiter that is cancelled must not cancel what the others wait for.
            value = await (asyncio.wrap_future(in_thread) if in_thread else asyncio.shield(flight))  # type: ignore[arg-type]
            if not isinstance(value, _Abandoned):
                return value

    async def _lead_async(
        self,
        flights: dict[Hashable, asyncio.Future[T | _Abandoned]],
        key: Hashable,
        flight: asyncio.Future[T | _Abandoned],
        fetch: Callable[[], Awaitable[T]],
    ) -> T:
        try:
            value = await fetch()
        except BaseException as error:
            self._land(flights, key, flight)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits on it any more
                if isinstance(error, Exception):
                    flight.set_exception(error)
                    flight.exception()  # seen, even if nobody waits
                else:
                    flight.set_result(_ABANDONED)
            raise
        self._land(flights, key, flight, value)
        flight.set_result(value)
        return value
