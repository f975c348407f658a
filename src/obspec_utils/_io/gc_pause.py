"""A counted pause of garbage collection, which keeps reads safe under h5py; and resets in forked children.

h5py calls a file object's `readinto()` while it holds its global lock, and the finalizers of its objects wait for
that lock. If a read waits for another thread, or for a lock, and the garbage collector runs h5py finalizers in the
thread it waits for, neither ever moves again. So whatever one thread of ours can wait for in another happens inside
`gc_paused()`. docs/design/002-locks-and-collection.md tells the whole story.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["call_after_pause", "current_pause", "gc_paused", "held", "inherit_pause", "reset_after_fork"]


class PauseScope:
    """The callbacks that the outermost pause of a thread, and its helper threads, postpone until it ends."""

    __slots__ = ("callbacks", "ended", "thread")

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.callbacks: list[Callable[[], None]] = []
        self.ended = False


class _Local(threading.local):
    scope: PauseScope | None = None


class _State:
    """Which threads pause, by their ids, so that a pause whose end was interrupted is mended by the thread's next one.

    The lock is only ever taken while collection is off: a collection under it could wait for h5py for ever.
    """

    __slots__ = ("entering", "leaves", "lock", "threads", "wanted")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.threads: set[int] = set()
        self.entering: set[int] = set()
        self.leaves = 0
        self.wanted = False  # whether collection is on outside pauses


class _Resettable(Protocol):
    def _reset_after_fork(self) -> None: ...


_local = _Local()
_state = _State()
_to_reset: weakref.WeakSet[_Resettable] = weakref.WeakSet()


def held(lock: threading.Lock) -> threading.Lock:
    """Return the lock to hold: this one, or another while the interpreter ends.

    Then the other threads never run again, and one of them may have stopped while it held the lock.
    """
    return threading.Lock() if sys.is_finalizing() else lock


def _enter(state: _State) -> None:
    thread = threading.get_ident()
    leaves = state.leaves
    state.entering.add(thread)
    was_on = gc.isenabled()
    if was_on:
        state.wanted = True
    gc.disable()
    with held(state.lock):
        gc.disable()  # again: the last one to leave may have turned it on in between
        state.entering.discard(thread)
        # That it was off tells what the user wants only if none of our threads could have turned it off.
        if not (was_on or state.threads or state.entering or state.leaves != leaves):
            state.wanted = False
        state.threads.add(thread)


def _leave(state: _State, thread: int) -> bool:
    """End the pause of a thread; return whether others still pause although collection would otherwise be on."""
    with held(state.lock):
        # Until it is through: where Ctrl-C hits before, nobody takes "off" for what is wanted.
        state.entering.add(thread)
        state.threads.discard(thread)
        others = bool(state.threads) and state.wanted
        if not state.threads and state.wanted:
            # As late as can be: a collection that starts before the lock is released could ask for it again.
            gc.enable()
        state.leaves += 1  # last: who sees it sees collection on, too
    state.entering.discard(thread)
    return others


def _collect_due() -> None:
    """Run the collection the interpreter would have run by now, so that overlapping pauses cannot starve it."""
    due = [0 < threshold < count for threshold, count in zip(gc.get_threshold(), gc.get_count(), strict=True)]
    if due[0]:
        gc.collect(2 if due[2] else 1 if due[1] else 0)


class gc_paused:  # noqa: N801 - a context manager, used as a function
    """Keep automatic garbage collection off, in the whole process, until the last overlapping pause ends.

    Entered before a lock is taken or a flight is made visible to other threads, left after the result is published.
    Collection comes back only if it was on. Callbacks given to `call_after_pause` meanwhile run when the calling thread
    leaves its outermost pause.
    """

    __slots__ = ("_scope", "_state")

    def __init__(self) -> None:
        self._scope: PauseScope | None = None
        self._state = _state

    def __enter__(self) -> None:
        if current_pause() is not None:  # a nested pause, or a thread that works for a paused one
            return
        self._state = _state
        self._scope = PauseScope()
        _enter(self._state)
        _local.scope = self._scope

    def __exit__(self, *_: object) -> None:
        scope = self._end()
        if scope is not None:
            _run(scope.callbacks)

    def __del__(self) -> None:
        self._end()  # where Ctrl-C hit on the way in or out

    def _end(self) -> PauseScope | None:
        scope: PauseScope | None = getattr(self, "_scope", None)  # Ctrl-C may have hit before it was there
        self._scope = None
        if scope is not None:
            scope.ended = True
            # A child forked inside the pause has a new state, which never heard of this pause.
            if self._state is _state and self._leave(scope.thread):
                _collect_due()
        return scope

    def _leave(self, thread: int) -> bool:
        try:
            return _leave(self._state, thread)
        except BaseException:  # Ctrl-C in the middle: once more, which does no harm
            _leave(self._state, thread)
            raise


def _run(callbacks: list[Callable[[], None]]) -> None:
    """Run every callback, then raise the first error one of them raised."""
    first: BaseException | None = None
    for callback in callbacks:
        try:
            callback()
        except BaseException as error:  # noqa: BLE001 - re-raised below, after the other callbacks had their turn
            first = first or error
    if first is not None:
        raise first


def current_pause() -> PauseScope | None:
    """Return the pause this thread is in, to be handed to the threads that work for it."""
    scope = _local.scope
    return None if scope is None or scope.ended else scope


def inherit_pause(scope: PauseScope | None) -> None:
    """Make the calling thread work inside the pause of another thread, which outlives it."""
    _local.scope = scope


def call_after_pause(callback: Callable[[], None]) -> None:
    """Run a user's callback now, or once nothing of ours is held or waited for any more."""
    scope = current_pause()
    if scope is None:
        callback()
    else:
        scope.callbacks.append(callback)


def reset_after_fork(holder: _Resettable) -> None:
    """Call `holder._reset_after_fork()` in forked children, in which locks of other threads are never released."""
    _to_reset.add(holder)


def _after_fork_in_child() -> None:
    global _state
    inherited, _state = _state, _State()
    _local.scope = None
    if inherited.threads and inherited.wanted:
        gc.enable()
    for holder in list(_to_reset):
        holder._reset_after_fork()  # noqa: SLF001 - the protocol of this module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
