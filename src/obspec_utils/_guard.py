"""What keeps a read safe under h5py and after a fork: a counted pause of garbage collection, and a fork check.

h5py calls a file object's `readinto()` while it holds its global lock, and the finalizers of its objects wait for
that lock. If a read waits for another thread, or for a lock, and the garbage collector runs h5py finalizers in the
thread it waits for, neither ever moves again. So whatever one thread of ours can wait for in another happens inside
`paused()`. docs/design/002-locks-and-collection.md tells the whole story.
"""

from __future__ import annotations

import gc
import os
import threading
import weakref
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["adopt", "after_pause", "check_fork", "current", "paused", "reset_after_fork"]


class Scope:
    """What the outermost `paused()` of one thread, and the threads that work for it, leave until it ends."""

    __slots__ = ("callbacks",)

    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []


class _Local(threading.local):
    scope: Scope | None = None


class _State:
    """The process-wide count of pauses, guarded by a lock that is only ever taken while collection is off."""

    __slots__ = ("count", "lock", "restore")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.restore = False


class _Resettable(Protocol):
    def _reset_after_fork(self) -> None: ...


_TASKS = Path("/proc/self/task")
_local = _Local()
_state = _State()
_to_reset: weakref.WeakSet[_Resettable] = weakref.WeakSet()
_forked_after_io = False
_io_before_fork = False
_used = False


def _enter(state: _State) -> None:
    # Collection goes off before the lock is taken: a collection under the lock could wait for h5py for ever.
    was_on = gc.isenabled()
    gc.disable()
    with state.lock:
        state.restore = was_on or (state.count > 0 and state.restore)
        state.count += 1


def _leave(state: _State) -> bool:
    """End one pause; return whether others still pause although collection would otherwise be on."""
    with state.lock:
        state.count -= 1
        others = state.count > 0 and state.restore
        if state.count == 0 and state.restore:
            # The last thing under the lock: nothing after it allocates, so no collection can start before release.
            gc.enable()
    return others


def _collect_due() -> None:
    """Run the collection the interpreter would have run by now, so that overlapping pauses cannot starve it."""
    due = [0 < threshold < count for threshold, count in zip(gc.get_threshold(), gc.get_count(), strict=True)]
    if due[0]:
        gc.collect(2 if due[2] else 1 if due[1] else 0)


@contextmanager
def paused() -> Iterator[None]:
    """Keep automatic garbage collection off, in the whole process, until the last overlapping pause ends.

    Entered before a lock is taken or a flight is made visible to other threads, left after the result is published.
    Collection comes back only if it was on. Callbacks given to `after_pause` meanwhile run when the calling thread
    leaves its outermost pause.
    """
    if _local.scope is not None:  # a nested pause, or a thread that works for a paused one
        yield
        return
    scope = Scope()
    state = _state
    _enter(state)
    try:
        _local.scope = scope
        yield
    finally:
        _local.scope = None
        # A child forked inside the pause has a new state, whose count never heard of this pause.
        if state is _state and _leave(state):
            _collect_due()
        _run(scope.callbacks)


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


def current() -> Scope | None:
    """Return the pause this thread is in, to be handed to the threads that work for it."""
    return _local.scope


def adopt(scope: Scope | None) -> None:
    """Make the calling thread work inside the pause of another thread, which outlives it."""
    _local.scope = scope


def after_pause(callback: Callable[[], None]) -> None:
    """Run a user's callback now, or once nothing of ours is held or waited for any more."""
    scope = _local.scope
    if scope is None:
        callback()
    else:
        scope.callbacks.append(callback)


def reset_after_fork(holder: _Resettable) -> None:
    """Have `holder._reset_after_fork()` called in forked children, where what other threads hold never ends."""
    _to_reset.add(holder)


def _native(store: object) -> bool:
    """Tell whether a store runs on obstore's threads. MemoryStore does not wait for them."""
    kind = type(store)
    return any(base.__module__.startswith("obstore") for base in kind.__mro__) and kind.__name__ != "MemoryStore"


def check_fork(store: object) -> None:
    """Refuse a native store in a process that was forked after obstore had started its threads.

    Raises
    ------
    RuntimeError
        Where the call would hang for ever: the forked child has none of those threads.
    """
    global _used  # noqa: PLW0603 - process-wide by nature
    if not _used and _native(store):
        _used = True
    if _forked_after_io and _native(store):
        msg = (
            f"{type(store).__name__} can't be used in this process: it was forked (os.fork or multiprocessing's 'fork' "
            "start method) after the parent process had already read through obstore, whose threads don't exist here, "
            "so the call would hang. Start workers with multiprocessing.get_context('spawn') or 'forkserver', or fork "
            "before the first read."
        )
        raise RuntimeError(msg)


def _runtime_threads() -> bool:
    """Tell whether this process runs threads of obstore's runtime.

    Where the system lists threads any tokio runtime counts: a needless error in the child is better than a hang. Where
    it does not, what was read through this library counts.
    """
    if not _TASKS.is_dir():
        return _used
    return any(_thread_name(task) == "tokio-rt-worker" for task in _TASKS.iterdir())


def _thread_name(task: Path) -> str:
    try:
        return (task / "comm").read_text().strip()
    except OSError:  # it ended meanwhile
        return ""


def _before_fork() -> None:
    global _io_before_fork  # noqa: PLW0603 - process-wide by nature
    _io_before_fork = _runtime_threads()


def _after_fork_in_child() -> None:
    global _forked_after_io, _state  # noqa: PLW0603 - process-wide by nature
    _forked_after_io = _forked_after_io or _io_before_fork
    inherited, _state = _state, _State()
    _local.scope = None
    if inherited.count and inherited.restore:
        gc.enable()
    for holder in list(_to_reset):
        holder._reset_after_fork()  # noqa: SLF001 - the protocol of this module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
