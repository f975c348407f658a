"""One flight per missing key: whoever asks first fetches, whoever asks meanwhile waits for the same result."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from obspec_utils._io.gc_pause import gc_paused, held, reset_after_fork

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable

__all__ = ["Claim", "SingleFlight"]

T = TypeVar("T")

# What a flight brings, by keys. Nothing, where its leader was cancelled: one of those who wait takes over.
Results: TypeAlias = "dict[Hashable, T]"
Find: TypeAlias = "Callable[[Hashable], T | None]"
Keep: TypeAlias = "Callable[[Hashable, T], None]"
_Futures: TypeAlias = "dict[Hashable, Any]"


class Claim:
    """A flight, the keys it was claimed for, and the flights that bring the others that are wanted with them."""

    __slots__ = ("future", "joined", "keys")

    def __init__(self, future: Any) -> None:  # noqa: ANN401 - a thread's future or a task's
        self.future = future
        self.keys: dict[Hashable, None] = {}  # in order
        self.joined: dict[Any, None] = {}


class SingleFlight(Generic[T]):
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
        self._by_threads: dict[Hashable, Future[Results[T]]] = {}
        self._by_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, asyncio.Future[Results[T]]]] = (
            WeakKeyDictionary()
        )

    def invalidate(self, keys: Iterable[Hashable] | None = None, also: Callable[[], None] | None = None) -> None:
        """Keep what is being fetched for keys (None: for any key) from being kept, and from being joined.

        What `also` does, no flight lands in the middle of.
        """
        with gc_paused(), held(self._lock):
            for futures in self._all_futures():
                for key in list(futures) if keys is None else keys:
                    futures.pop(key, None)
            if also is not None:
                also()

    def run(self, key: Hashable, fetch: Callable[[], T], *, find: Find[T], keep: Keep[T]) -> T:
        """Return the result for a key: found, fetched by another thread meanwhile, or fetched by this one."""
        return self.run_many([key], lambda _: {key: fetch()}, find=find, keep=keep)[key]

    async def run_async(self, key: Hashable, fetch: Callable[[], Awaitable[T]], *, find: Find[T], keep: Keep[T]) -> T:
        """Return the result for a key as `run` does, on the running event loop."""

        async def fetch_one(_: list[Hashable]) -> Results[T]:
            return {key: await fetch()}

        return (await self.run_many_async([key], fetch_one, find=find, keep=keep))[key]

    def claim(self, keys: list[Hashable], find: Find[T]) -> Claim:
        """Claim those keys that nobody has or is fetching for a flight to come, which others may join from now on.

        The ticket is for `run_many`, or for `abandon`; the thread stays inside `paused()` until then.
        """
        return self._claim([self._by_threads], Claim(_new_future()), keys, {}, find)

    def claim_async(self, keys: list[Hashable], find: Find[T]) -> Claim:
        """Claim keys as `claim` does, for a flight on the running event loop."""
        loop = asyncio.get_running_loop()
        with gc_paused():
            with held(self._lock):
                futures = self._futures_of(loop)
            return self._claim([self._by_threads, futures], Claim(loop.create_future()), keys, {}, find)

    def abandon(self, claim: Claim) -> None:
        """Give up what was claimed, if there has been no flight for it."""
        if claim.keys and not claim.future.done():
            with gc_paused(), held(self._lock):
                all_futures = self._all_futures()
            for futures in all_futures:
                self._publish(futures, claim)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits on it any more
                claim.future.set_result({})

    def run_many(
        self,
        keys: list[Hashable],
        fetch: Callable[[list[Hashable]], Results[T]],
        *,
        find: Find[T],
        keep: Keep[T],
        claim: Claim | None = None,
    ) -> Results[T]:
        """Return the results for several keys; `fetch` is given those of them that nobody has or is fetching.

        A `ticket` is for some of them, claimed before.
        """
        found: Results[T] = {}
        with gc_paused():
            while len(found) < len(keys):
                mine, claim = claim or Claim(_new_future()), None
                try:
                    self._claim([self._by_threads], mine, keys, found, find)
                    if mine.keys:
                        _collect(found, keys, self._run(mine, fetch, keep))
                    for future in mine.joined:
                        _collect(found, keys, future.result())
                finally:
                    self.abandon(mine)  # Ctrl-C, wherever it hit, is for this thread alone
                    # An error's traceback leads to this frame: nothing here may lead back to the error.
                    del mine
                    future = None
        return found

    # Both under the lock, or a loop could come while they are looked through.

    def _all_futures(self) -> list[_Futures]:
        return [self._by_threads, *self._by_loops.values()]

    def _futures_of(self, loop: asyncio.AbstractEventLoop) -> _Futures:
        return self._by_loops.setdefault(loop, {})

    def _claim(
        self, all_futures: list[_Futures], claim: Claim, keys: list[Hashable], found: Results[T], find: Find[T]
    ) -> Claim:
        """Look keys up once more, join the flights of those that are being fetched, and claim the rest."""
        with held(self._lock):
            for key in keys:
                if key in found or key in claim.keys:
                    continue
                value = find(key)
                if value is not None:
                    found[key] = value
                    continue
                future = next((futures[key] for futures in all_futures if key in futures), None)
                if future is None or sys.is_finalizing():  # when other threads never run again, nor land
                    claim.keys[key] = None  # first: what is on the board is always among what is taken off it
                    all_futures[-1][key] = claim.future
                else:
                    claim.joined[future] = None
        return claim

    def _run(self, claim: Claim, fetch: Callable[[list[Hashable]], Results[T]], keep: Keep[T]) -> Results[T]:
        try:
            results = fetch(list(claim.keys))
            self._publish(self._by_threads, claim, results, keep)
        except Exception as error:
            self._publish(self._by_threads, claim)
            if not isinstance(error, StopIteration):  # which a task that has joined could not be told
                claim.future.set_exception(error)
            raise
        else:
            claim.future.set_result(results)
            return results
        finally:
            del claim

    def _publish(
        self, futures: _Futures, claim: Claim, results: Results[T] | None = None, keep: Keep[T] | None = None
    ) -> None:
        """Take a flight off the board, and keep what it brought unless it was forgotten."""
        with gc_paused(), held(self._lock):
            for key in claim.keys:
                if futures.get(key) is claim.future:
                    del futures[key]
                    if results is not None and keep is not None:
                        keep(key, results[key])

    async def run_many_async(
        self,
        keys: list[Hashable],
        fetch: Callable[[list[Hashable]], Awaitable[Results[T]]],
        *,
        find: Find[T],
        keep: Keep[T],
        claim: Claim | None = None,
    ) -> Results[T]:
        """Return the results for several keys as `run_many` does, on the running event loop."""
        loop = asyncio.get_running_loop()
        found: Results[T] = {}
        while len(found) < len(keys):
            mine, claim = claim or Claim(loop.create_future()), None
            with gc_paused():
                with held(self._lock):
                    futures = self._futures_of(loop)
                self._claim([self._by_threads, futures], mine, keys, found, find)
            try:
                if mine.keys:
                    _collect(found, keys, await self._run_async(futures, mine, fetch, keep))
                for future in mine.joined:
                    # A waiter that is cancelled must not cancel what the others wait for.
                    _collect(found, keys, await _shielded(future))
            finally:
                del mine
                future = None
        return found

    async def _run_async(
        self,
        futures: _Futures,
        claim: Claim,
        fetch: Callable[[list[Hashable]], Awaitable[Results[T]]],
        keep: Keep[T],
    ) -> Results[T]:
        future = claim.future
        try:
            results = await fetch(list(claim.keys))
            self._publish(futures, claim, results, keep)
            future.set_result(results)
        except BaseException as error:
            self._publish(futures, claim)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits on it any more
                if isinstance(error, Exception):
                    future.set_exception(error)
                    future.exception()  # seen, even if nobody waits
                else:
                    future.set_result({})
            raise
        else:
            return results
        finally:
            del future, claim


def _new_future() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()  # from now on nobody's cancel() can reach it
    return future


def _shielded(future: Any) -> Awaitable[Results[Any]]:  # noqa: ANN401 - a thread's future or a task's
    return asyncio.wrap_future(future) if isinstance(future, Future) else asyncio.shield(future)


def _collect(found: Results[T], keys: list[Hashable], results: Results[T]) -> None:
    found |= {key: results[key] for key in keys if key in results}
