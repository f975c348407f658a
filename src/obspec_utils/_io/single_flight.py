"""Single flight: the first caller of a missing key fetches it, all others wait for the same result."""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from obspec_utils._io.backends import ASYNC, SYNC, run_sync
from obspec_utils._io.gc_pause import held, paused, reset_after_fork

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable

    from obspec_utils._io.backends import Backend

__all__ = ["Claim", "SingleFlight"]

T = TypeVar("T")

# The results of a fetch by key. Empty if its task was cancelled; a waiter then fetches.
Results: TypeAlias = "dict[Hashable, T]"
Find: TypeAlias = "Callable[[Hashable], T | None]"
Keep: TypeAlias = "Callable[[Hashable, T], None]"
More: TypeAlias = "Callable[[Iterable[Hashable]], Iterable[Hashable]]"


class Claim:
    """The keys that one caller fetches, the future of their results, and the futures of keys that others fetch."""

    __slots__ = ("_backend", "_future", "_task", "has_ended", "joined", "keys", "owner")

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._future: Any = None
        self.has_ended = False
        self.owner = backend.owner()  # an event loop; None for a thread
        task = backend.task()
        self._task = None if task is None else weakref.ref(task)
        self.keys: dict[Hashable, None] = {}  # in order
        self.joined: dict[Any, None] = {}

    @property
    def future(self) -> Any:  # noqa: ANN401 - of a thread or of an event loop
        """The future that others wait for, made for the first of them, which holds the lock."""
        if self._future is None:
            self._future = self._backend.new_future()
        return self._future

    def end(self, outcome: Results[Any] | Exception) -> None:
        """Wake those who wait, once nobody can join any more."""
        self.has_ended = True
        future = self._future
        if future is None:
            return
        with contextlib.suppress(RuntimeError):  # the event loop is closed, so no task waits
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
                if not isinstance(future, Future):
                    future.exception()  # mark as retrieved
            else:
                future.set_result(outcome)

    @property
    def is_lost(self) -> bool:
        """Whether its task has ended without releasing it, or was left in a closed event loop (by Ctrl-C)."""
        if self._task is None:
            return False
        task = self._task()
        return task is None or task.done() or task.get_loop().is_closed()


class SingleFlight(Generic[T]):
    """Running fetches of one or several keys, each by a thread or by a task.

    A thread joins fetches of threads. A task joins those and the fetches of tasks of its own event loop. A thread never
    waits for a task: it may be running on that task's own loop, or hold a lock that the loop waits for. So there is at
    most one fetch of each key by threads, and one by each event loop. A caller of several keys first fetches those it
    has claimed, then waits for the others, so that no two callers wait for each other.

    Ctrl-C does not reach these threads: calls of the main thread run in another thread, see `interruptible`. A task may
    end anywhere; the next caller of the same keys then replaces its claims.

    Everything that a thread may wait for happens inside `paused()`.

    `find(key)` looks a key up again before a fetch; `keep(key, value)` stores a result unless it was invalidated.
    """

    def __init__(self) -> None:
        self._reset_after_fork()
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        self._lock = threading.Lock()
        # By key, and event loop or None.
        self._claims: dict[tuple[Hashable, object], Claim] = {}

    def invalidate(self, keys: Iterable[Hashable] | None = None, also: Callable[[], None] | None = None) -> None:
        """Discard the results of running fetches for `keys` (None: all) and prevent joins.

        Call `also` in the same critical section, in which no result is kept.
        """
        paused(self._invalidate, None if keys is None else set(keys), also)

    def _invalidate(self, keys: set[Hashable] | None, also: Callable[[], None] | None) -> None:
        with held(self._lock):
            for key in [key for key in self._claims if keys is None or key[0] in keys]:
                del self._claims[key]
            if also is not None:
                also()

    def run(self, key: Hashable, fetch: Callable[[], T], *, find: Find[T], keep: Keep[T]) -> T:
        """Return the result of a key: found, fetched by another thread, or fetched by this one."""

        async def fetch_one(_: list[Hashable]) -> Results[T]:
            return {key: fetch()}

        return run_sync(partial(self.run_many, SYNC, [key], fetch_one, find=find, keep=keep))[key]

    async def run_async(self, key: Hashable, fetch: Callable[[], Awaitable[T]], *, find: Find[T], keep: Keep[T]) -> T:
        """Return the result of a key as `run` does, on the running event loop."""

        async def fetch_one(_: list[Hashable]) -> Results[T]:
            return {key: await fetch()}

        return (await self.run_many(ASYNC, [key], fetch_one, find=find, keep=keep))[key]

    def claim(self, backend: Backend, keys: list[Hashable], find: Find[T]) -> Claim:
        """Claim the keys that are neither found nor being fetched, for `run_many` or `abandon`; others may join now.

        A thread must stay inside `paused()` until then.
        """
        claim = Claim(backend)
        paused(self._claim, claim, keys, {}, find)
        return claim

    def abandon(self, claim: Claim) -> None:
        """Release the claimed keys, if no result was published for them."""
        if claim.keys and not claim.has_ended:
            paused(self._publish, claim)
            claim.end({})

    async def run_many(
        self,
        backend: Backend,
        keys: list[Hashable],
        fetch: Callable[[list[Hashable]], Awaitable[Results[T]]],
        *,
        find: Find[T],
        keep: Keep[T],
        claim: Claim | None = None,
        more: More | None = None,
    ) -> Results[T]:
        """Return the results of several keys; call `fetch` with those that are neither found nor being fetched.

        `claim` has some of the keys already. `more(keys)` returns further keys to fetch with these if nobody else does;
        it runs under the lock, and `fetch` may return no results for them. A thread must be inside `paused()`.
        """
        found: Results[T] = {}
        while len(found) < len(keys):
            mine, claim = claim or Claim(backend), None
            try:
                paused(self._claim, mine, keys, found, find, more)
                if mine.keys:
                    _collect(found, keys, await self._run_claimed(mine, fetch, keep))
                for future in mine.joined:
                    _collect(found, keys, await backend.wait(future))
            finally:
                self.abandon(mine)  # if the task was cancelled, or waiting raised an error
                # Break the cycle error -> traceback -> frame.
                del mine
                future = None
        return found

    def _claim(
        self, claim: Claim, keys: list[Hashable], found: Results[T], find: Find[T], more: More | None = None
    ) -> None:
        """Look keys up again, join their running fetches, and claim the rest."""
        with held(self._lock):
            for key in keys:
                if key in found or key in claim.keys:
                    continue
                value = find(key)
                if value is not None:
                    found[key] = value
                    continue
                other = self._running(key, claim.owner)
                if other is None:
                    self._add(claim, key)
                else:
                    claim.joined[other.future] = None
            for key in more(claim.keys) if more is not None and claim.keys else ():
                if find(key) is None and self._running(key, claim.owner) is None:
                    self._add(claim, key)

    def _running(self, key: Hashable, owner: object) -> Claim | None:
        """Return the running fetch of a key that `owner` can join."""
        other = self._claims.get((key, None)) or self._claims.get((key, owner))
        # At shutdown other threads never finish.
        return None if other is None or other.is_lost or sys.is_finalizing() else other

    def _add(self, claim: Claim, key: Hashable) -> None:
        claim.keys[key] = None
        self._claims[key, claim.owner] = claim

    async def _run_claimed(
        self, claim: Claim, fetch: Callable[[list[Hashable]], Awaitable[Results[T]]], keep: Keep[T]
    ) -> Results[T]:
        try:
            results = await fetch(list(claim.keys))
            paused(self._publish, claim, results, keep)
        except Exception as error:
            paused(self._publish, claim)
            claim.end(error)
            raise
        else:
            claim.end(results)
            return results
        finally:
            del claim

    def _publish(self, claim: Claim, results: Results[T] | None = None, keep: Keep[T] | None = None) -> None:
        """Remove the claims of a fetch, and keep its results unless they were invalidated."""
        with held(self._lock):
            for key in claim.keys:
                if self._claims.get((key, claim.owner)) is claim:
                    del self._claims[key, claim.owner]
                    if results is not None and keep is not None and key in results:
                        keep(key, results[key])


def _collect(found: Results[T], keys: list[Hashable], results: Results[T]) -> None:
    found |= {key: results[key] for key in keys if key in results}
