"""One flight per missing key: whoever asks first fetches, whoever asks meanwhile waits for the same result."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from obspec_utils._guard import held, paused, reset_after_fork

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable

__all__ = ["Flights", "Ticket"]

T = TypeVar("T")

# What a flight brings, by keys. Nothing, where its leader was cancelled: one of those who wait takes over.
Landed: TypeAlias = "dict[Hashable, T]"
Find: TypeAlias = "Callable[[Hashable], T | None]"
Keep: TypeAlias = "Callable[[Hashable, T], None]"
_Board: TypeAlias = "dict[Hashable, Any]"


class Ticket:
    """A flight, the keys it was claimed for, and the flights that bring the others that are wanted with them."""

    __slots__ = ("flight", "joined", "keys")

    def __init__(self, flight: Any) -> None:  # noqa: ANN401 - a thread's future or a task's
        self.flight = flight
        self.keys: dict[Hashable, None] = {}  # in order
        self.joined: dict[Any, None] = {}


class Flights(Generic[T]):
    """The fetches under way, each led by a thread or by a task, each of one key or of several at once.

    Threads join flights led by threads. Tasks join those and flights led by tasks of their own event loop. A thread
    never waits for a task: it may be running on that task's own loop, or hold a lock the loop is waiting for. So
    there is at most one flight per key led by threads, and one per event loop. Who asks for several keys first fetches
    those that nobody else does, and then waits for the others, so no two ever wait for each other.

    Everything a thread may wait for happens inside `paused()`.

    Whoever asks says how a key is looked up where results are kept, which is done once more before a flight starts
    (`find`), and how a result is kept (`keep`), which is left out for a flight that was forgotten meanwhile.
    """

    def __init__(self) -> None:
        self._reset_after_fork()
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        self._lock = threading.Lock()
        self._led: dict[Hashable, Future[Landed[T]]] = {}
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, asyncio.Future[Landed[T]]]] = (
            WeakKeyDictionary()
        )

    def forget(self, keys: Iterable[Hashable] | None = None, also: Callable[[], None] | None = None) -> None:
        """Keep what is being fetched for keys (None: for any key) from being kept, and from being joined.

        What `also` does, no flight lands in the middle of.
        """
        with paused(), held(self._lock):
            for board in self._boards():
                for key in list(board) if keys is None else keys:
                    board.pop(key, None)
            if also is not None:
                also()

    def run(self, key: Hashable, fetch: Callable[[], T], *, find: Find[T], keep: Keep[T]) -> T:
        """Return the result for a key: found, fetched by another thread meanwhile, or fetched by this one."""
        return self.run_many([key], lambda _: {key: fetch()}, find=find, keep=keep)[key]

    async def run_async(self, key: Hashable, fetch: Callable[[], Awaitable[T]], *, find: Find[T], keep: Keep[T]) -> T:
        """Return the result for a key as `run` does, on the running event loop."""

        async def fetch_one(_: list[Hashable]) -> Landed[T]:
            return {key: await fetch()}

        return (await self.run_many_async([key], fetch_one, find=find, keep=keep))[key]

    def claim(self, keys: list[Hashable], find: Find[T]) -> Ticket:
        """Claim those keys that nobody has or is fetching for a flight to come, which others may join from now on.

        The ticket is for `run_many`, or for `abandon`; the thread stays inside `paused()` until then.
        """
        return self._claim([self._led], Ticket(_flight()), keys, {}, find)

    def claim_async(self, keys: list[Hashable], find: Find[T]) -> Ticket:
        """Claim keys as `claim` does, for a flight on the running event loop."""
        loop = asyncio.get_running_loop()
        with paused():
            with held(self._lock):
                board = self._board(loop)
            return self._claim([self._led, board], Ticket(loop.create_future()), keys, {}, find)

    def abandon(self, ticket: Ticket) -> None:
        """Give up what was claimed, if there has been no flight for it."""
        if ticket.keys and not ticket.flight.done():
            with paused(), held(self._lock):
                boards = self._boards()
            for board in boards:
                self._land(board, ticket)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits on it any more
                ticket.flight.set_result({})

    def run_many(
        self,
        keys: list[Hashable],
        fetch: Callable[[list[Hashable]], Landed[T]],
        *,
        find: Find[T],
        keep: Keep[T],
        ticket: Ticket | None = None,
    ) -> Landed[T]:
        """Return the results for several keys; `fetch` is given those of them that nobody has or is fetching.

        A `ticket` is for some of them, claimed before.
        """
        found: Landed[T] = {}
        with paused():
            while len(found) < len(keys):
                mine, ticket = ticket or Ticket(_flight()), None
                try:
                    self._claim([self._led], mine, keys, found, find)
                    if mine.keys:
                        _take(found, keys, self._lead(mine, fetch, keep))
                    for flight in mine.joined:
                        _take(found, keys, flight.result())
                finally:
                    self.abandon(mine)  # Ctrl-C, wherever it hit, is for this thread alone
                    # An error's traceback leads to this frame: nothing here may lead back to the error.
                    del mine
                    flight = None
        return found

    # Both under the lock, or a loop could come while they are looked through.

    def _boards(self) -> list[_Board]:
        return [self._led, *self._loops.values()]

    def _board(self, loop: asyncio.AbstractEventLoop) -> _Board:
        return self._loops.setdefault(loop, {})

    def _claim(
        self, boards: list[_Board], ticket: Ticket, keys: list[Hashable], found: Landed[T], find: Find[T]
    ) -> Ticket:
        """Look keys up once more, join the flights of those that are being fetched, and claim the rest."""
        with held(self._lock):
            for key in keys:
                if key in found or key in ticket.keys:
                    continue
                value = find(key)
                if value is not None:
                    found[key] = value
                    continue
                flight = next((board[key] for board in boards if key in board), None)
                if flight is None or sys.is_finalizing():  # when other threads never run again, nor land
                    ticket.keys[key] = None  # first: what is on the board is always among what is taken off it
                    boards[-1][key] = ticket.flight
                else:
                    ticket.joined[flight] = None
        return ticket

    def _lead(self, ticket: Ticket, fetch: Callable[[list[Hashable]], Landed[T]], keep: Keep[T]) -> Landed[T]:
        try:
            landed = fetch(list(ticket.keys))
            self._land(self._led, ticket, landed, keep)
        except Exception as error:
            self._land(self._led, ticket)
            if not isinstance(error, StopIteration):  # which a task that has joined could not be told
                ticket.flight.set_exception(error)
            raise
        else:
            ticket.flight.set_result(landed)
            return landed
        finally:
            del ticket

    def _land(
        self, board: _Board, ticket: Ticket, landed: Landed[T] | None = None, keep: Keep[T] | None = None
    ) -> None:
        """Take a flight off the board, and keep what it brought unless it was forgotten."""
        with paused(), held(self._lock):
            for key in ticket.keys:
                if board.get(key) is ticket.flight:
                    del board[key]
                    if landed is not None and keep is not None:
                        keep(key, landed[key])

    async def run_many_async(
        self,
        keys: list[Hashable],
        fetch: Callable[[list[Hashable]], Awaitable[Landed[T]]],
        *,
        find: Find[T],
        keep: Keep[T],
        ticket: Ticket | None = None,
    ) -> Landed[T]:
        """Return the results for several keys as `run_many` does, on the running event loop."""
        loop = asyncio.get_running_loop()
        found: Landed[T] = {}
        while len(found) < len(keys):
            mine, ticket = ticket or Ticket(loop.create_future()), None
            with paused():
                with held(self._lock):
                    board = self._board(loop)
                self._claim([self._led, board], mine, keys, found, find)
            try:
                if mine.keys:
                    _take(found, keys, await self._lead_async(board, mine, fetch, keep))
                for flight in mine.joined:
                    # A waiter that is cancelled must not cancel what the others wait for.
                    _take(found, keys, await _shielded(flight))
            finally:
                del mine
                flight = None
        return found

    async def _lead_async(
        self,
        board: _Board,
        ticket: Ticket,
        fetch: Callable[[list[Hashable]], Awaitable[Landed[T]]],
        keep: Keep[T],
    ) -> Landed[T]:
        flight = ticket.flight
        try:
            landed = await fetch(list(ticket.keys))
            self._land(board, ticket, landed, keep)
            flight.set_result(landed)
        except BaseException as error:
            self._land(board, ticket)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits on it any more
                if isinstance(error, Exception):
                    flight.set_exception(error)
                    flight.exception()  # seen, even if nobody waits
                else:
                    flight.set_result({})
            raise
        else:
            return landed
        finally:
            del flight, ticket


def _flight() -> Future[Any]:
    flight: Future[Any] = Future()
    flight.set_running_or_notify_cancel()  # from now on nobody's cancel() can reach it
    return flight


def _shielded(flight: Any) -> Awaitable[Landed[Any]]:  # noqa: ANN401 - a thread's future or a task's
    return asyncio.wrap_future(flight) if isinstance(flight, Future) else asyncio.shield(flight)


def _take(found: Landed[T], keys: list[Hashable], landed: Landed[T]) -> None:
    found |= {key: landed[key] for key in keys if key in landed}
