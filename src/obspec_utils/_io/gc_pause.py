"""Pause garbage collection during reads, to avoid deadlocks under h5py; reset locks in forked children.

h5py calls a file object's `readinto()` while it holds its global lock, and the finalizers of its objects wait for
that lock. If a read waits for another thread, or for a lock, and the garbage collector runs h5py finalizers in the
thread it waits for, both deadlock. So everything that one thread of this library may wait for in another happens inside
`paused()`. See docs/design/002-locks-and-collection.md.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
import weakref
from contextlib import suppress
from functools import partial
from operator import call, not_
from time import monotonic, sleep
from typing import TYPE_CHECKING, Protocol, TypeVar

from obspec_utils._io.threads import in_main_thread, start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "COLLECTION_INTERVAL",
    "PauseScope",
    "ProgressDisplay",
    "call_after_pause",
    "collect_due",
    "current_scope",
    "held",
    "inherit_scope",
    "is_paused",
    "paused",
    "paused_here",
    "raise_if_interrupted",
    "reset_after_fork",
    "run_callbacks",
]

T = TypeVar("T")

COLLECTION_INTERVAL = 0.1  # seconds between looks after collection while pauses last


class ProgressDisplay(Protocol):
    """Progress that a waiting caller shows."""

    def update(self) -> None:
        """Show the progress."""

    def close(self) -> None:
        """Show no more: the caller was interrupted."""


class PauseScope:
    """One outermost pause.

    Attributes
    ----------
    callbacks
        Calls of users' functions, postponed until the pause ends.
    displays
        Progress that the caller updates every 0.1 s if another thread does the work, see `in_own_thread`.
    interrupted
        Whether Ctrl-C interrupted the caller.
    """

    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []
        self.displays: list[ProgressDisplay] = []
        self.interrupted = False


class _Local(threading.local):
    scope: PauseScope | None = None


class _State:
    """Active pauses, and whether they turned collection off.

    Attributes
    ----------
    scopes
        Active pauses of threads other than the main thread. Each is removed: no KeyboardInterrupt is raised there.
    main
        Locked during pauses of the main thread. `with` releases it wherever Ctrl-C hits.
    turned_off
        Not empty if collection was on before the pauses and they turned it off.
    """

    def __init__(self) -> None:
        self.scopes: set[PauseScope] = set()
        self.main = threading.Lock()
        self.turned_off: list[bool] = []
        self.is_watched = False  # by `_watch`
        self.may_collect = threading.Lock()
        self.full_collection_after = 0.0
        self.prune_at = 100
        # Called in order, up to the first that returns something true.
        self._turn_on_steps: tuple[Callable[[], object], ...] = (
            self.scopes.__len__,
            self.main.locked,
            partial(not_, self.turned_off),
            gc.enable,
            self.turned_off.clear,
        )

    def turn_off(self) -> None:
        """Turn collection off, after this pause has been registered."""
        if gc.isenabled():
            if not self.is_watched:
                with suppress(RuntimeError):  # no thread can be started: the last pause to end turns it on
                    start_thread(_watch, self)
            self.turned_off.append(True)  # first, for a fork or Ctrl-C in between
            gc.disable()

    def turn_on_if_unused(self) -> None:
        """Turn collection on if no pause is active and it was on before the pauses.

        This is one call into C: no other thread runs in between, no Ctrl-C hits, and no lock is needed, which a thread
        that collects could hold.
        """
        any(map(call, self._turn_on_steps))


class _Resettable(Protocol):
    def _reset_after_fork(self) -> None: ...


_local = _Local()
_state = _State()
# References without callbacks, in which Ctrl-C would be lost.
_to_reset: list[weakref.ref[_Resettable]] = []


def held(lock: threading.Lock) -> threading.Lock:
    """Return the lock to hold: this one, or a new one at interpreter shutdown.

    At interpreter shutdown other threads never finish, and one of them may have stopped while it held the lock.
    """
    return threading.Lock() if sys.is_finalizing() else lock


def is_paused() -> bool:
    """Return whether this thread is inside a pause, its own or that of the thread it works for."""
    return _local.scope is not None or (_state.main.locked() and in_main_thread())


def paused(function: Callable[..., T], *args: object) -> T:
    """Call a function while automatic collection is off in the whole process.

    When the last overlapping pause ends, collection is turned on again if it was on before. Begin a pause before
    acquiring a lock or making a claim visible to other threads, and end it after publishing the result.
    """
    if is_paused():
        return function(*args)
    if in_main_thread():
        return _paused_in_main_thread(function, *args)
    scope = PauseScope()
    try:
        return paused_here(scope, function, *args)
    finally:
        collect_due()  # if others still pause: pauses that overlap without end must not keep collection off
        run_callbacks(scope)


def paused_here(scope: PauseScope, function: Callable[..., T], *args: object) -> T:
    """Call a function while collection is off, in a thread that KeyboardInterrupt is never raised in."""
    state = _state
    state.scopes.add(scope)
    state.turn_off()
    _local.scope = scope
    try:
        return function(*args)
    finally:
        _local.scope = None
        state.scopes.discard(scope)
        state.turn_on_if_unused()


def _paused_in_main_thread(function: Callable[..., T], *args: object) -> T:
    state = _state
    try:
        with state.main:
            state.turn_off()
            return function(*args)
    finally:
        state.turn_on_if_unused()  # if Ctrl-C hits before, `_watch` does it


def _watch(state: _State) -> None:
    """Run due collections during pauses; after the last one, turn collection on if Ctrl-C kept the pause from it.

    Nobody waits for this thread and it holds nothing: it may collect at any time. Where it meets garbage of h5py, it
    waits for h5py's lock, which the read that is being waited for may hold. While the main thread waits, that collects
    itself: in programs of one thread, objects such as those of Tk must not be finalized in another.
    """
    if state.is_watched:
        return
    state.is_watched = True
    while state.is_watched:
        sleep(COLLECTION_INTERVAL)
        state.turn_on_if_unused()
        if not state.turned_off:
            state.is_watched = False
            # A pause that began just before this relies on this thread.
            state.is_watched = bool(state.turned_off or state.scopes or state.main.locked())
        elif not state.main.locked() and state.may_collect.acquire(blocking=False):
            collect_due()
            state.may_collect.release()


def collect_due() -> None:
    """While collection is turned off, run the one the interpreter would have run by now.

    Full collections take at most a twentieth of the time.
    """
    if not _state.turned_off:
        return
    due = [0 < threshold < count for threshold, count in zip(gc.get_threshold(), gc.get_count(), strict=True)]
    start = monotonic()
    if due[2] and start >= _state.full_collection_after:
        gc.collect()
        _state.full_collection_after = start + 20 * (monotonic() - start)
    elif due[0]:
        gc.collect(1 if due[1] else 0)


def current_scope() -> PauseScope | None:
    """Return the pause of this thread, to pass it to the threads that work for it."""
    return _local.scope


def inherit_scope(scope: PauseScope | None) -> None:
    """Make the calling thread work inside the pause of another thread, which outlives it."""
    _local.scope = scope


def raise_if_interrupted() -> None:
    """Raise KeyboardInterrupt if the caller that this thread works for was interrupted."""
    scope = _local.scope
    if scope is not None and scope.interrupted:
        raise KeyboardInterrupt


def call_after_pause(callback: Callable[[], None]) -> None:
    """Run a user callback now, or after the outermost pause."""
    scope = _local.scope
    if scope is None:
        callback()
    else:
        scope.callbacks.append(callback)


def run_callbacks(scope: PauseScope) -> None:
    """Run every callback, then raise the first error one of them raised."""
    first: BaseException | None = None
    for callback in scope.callbacks:
        try:
            callback()
        except BaseException as error:  # noqa: BLE001 - raised below, after the other callbacks
            first = first or error
    if first is not None:
        raise first


def reset_after_fork(holder: _Resettable) -> None:
    """Call `holder._reset_after_fork()` in forked children, in which locks of other threads are never released."""
    _to_reset.append(weakref.ref(holder))
    if len(_to_reset) >= _state.prune_at:
        _to_reset[:] = [reference for reference in _to_reset if reference() is not None]
        _state.prune_at = 2 * len(_to_reset) + 100


def _after_fork_in_child() -> None:
    global _state
    inherited, _state = _state, _State()
    _local.scope = None
    if inherited.turned_off:
        inherited.turned_off.clear()
        gc.enable()
    for reference in _to_reset:
        if (holder := reference()) is not None:
            holder._reset_after_fork()  # noqa: SLF001 - the protocol of this module


def _end_collecting() -> None:
    """Stop collections in `_watch`: a thread that ends with the interpreter inside h5py's finalizers keeps its lock."""
    _state.may_collect.acquire(timeout=1)


atexit.register(_end_collecting)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
