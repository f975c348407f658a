"""Let Ctrl-C return at once without leaving shared state half changed.

Only the main thread receives KeyboardInterrupt, between any two bytecodes, and never inside a call into obstore, so the
main thread's calls run in a new thread; on Ctrl-C the main thread stops waiting. The other thread completes its
request, sends no more, and releases its claims.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

from obspec_utils._io.concurrency import limiter
from obspec_utils._io.gc_pause import (
    COLLECTION_INTERVAL,
    PauseScope,
    call_after_pause,
    collect_due,
    is_paused,
    paused,
    paused_here,
    run_callbacks,
)
from obspec_utils._io.threads import in_main_thread, start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_own_thread", "interruptible", "with_progress"]

T = TypeVar("T")


def interruptible(function: Callable[..., T], *args: object) -> T:
    """Call a function inside `paused()`; from the main thread, in a thread that Ctrl-C does not reach."""
    return in_own_thread(function, *args) if in_main_thread() else paused(function, *args)


def with_progress(progress: object, function: Callable[..., T], *args: object) -> T:
    """Call a function as `interruptible` does; if `progress` is not None, show it in the calling thread meanwhile.

    Inside a pause the caller may hold what other threads wait for. Then progress is shown by the caller of the
    outermost call if that waits for another thread, as the main thread does, and else only at the end.
    """
    if progress is None:
        return interruptible(function, *args)
    is_nested = is_paused() and not in_main_thread()
    return function(*args) if is_nested else in_own_thread(function, *args)


def in_own_thread(function: Callable[..., T], *args: object) -> T:
    """Call a function inside `paused()` in a thread of its own: Ctrl-C does not reach it; no event loop runs there."""
    call = _Call(function, args)
    try:
        paused(call.start_and_wait)
    except BaseException:
        call.interrupted = True
        call.outcome = None  # a traceback may keep the call alive
        for progress in call.displays[:]:  # here, and not by the thread when its request has ended
            call_after_pause(progress.close)
        raise
    run_callbacks(call)
    result: T = call.result()
    return result


class _Call(PauseScope):
    """A call, and the pause of the thread that runs it."""

    def __init__(self, function: Callable[..., Any], args: tuple[object, ...]) -> None:
        super().__init__()
        self.function = function
        self.args = args
        self.outcome: Any = None
        self.has_failed = False
        self.done = threading.Lock()
        self.done.acquire()

    def start_and_wait(self) -> None:
        try:
            start_thread(self.run)
        except RuntimeError:  # no thread can be started
            self.call()
            return
        # In steps for Windows, where Ctrl-C does not end a step; and for the collections that are due meanwhile, which
        # the thread that is waited for can't run.
        while not self.done.acquire(timeout=COLLECTION_INTERVAL):
            collect_due()
            for progress in self.displays[:]:
                progress.update()

    def run(self) -> None:
        # Takes a token if there is one; never waits for it, so no caller starves.
        counts = limiter.acquire()
        paused_here(self, self.call)
        if counts:
            limiter.release()
        self.done.release()  # the caller waits until now, so that collection is still off
        if self.interrupted:
            run_callbacks(self)

    def call(self) -> None:
        try:
            outcome = self.function(*self.args)
        except BaseException as error:  # noqa: BLE001 - raised in the caller
            outcome, self.has_failed = error, True
        if not self.interrupted:
            self.outcome = outcome
        del outcome  # an error's traceback leads to this frame

    def result(self) -> Any:  # noqa: ANN401
        outcome, self.outcome = self.outcome, None
        if not self.has_failed:
            return outcome
        try:
            raise outcome
        finally:
            del outcome
