"""Refuse native stores in a process that was forked after obstore had started its threads: calls would hang."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

__all__ = ["check_fork", "check_fork_of_wrapped", "this_process"]

_TASKS = Path("/proc/self/task")
# The prefix in any release of tokio: "tokio-rt-worker" today, "tokio-runtime-w" up to obstore 0.10.
_RUNTIME_THREADS = "tokio-"
# A new thread has the name of its creator until it sets its own, which takes microseconds once it runs.
_NAMED_AFTER = 0.1
_POLL_INTERVAL = 0.005

_process = object()
_used = False
_io_before_fork = False
_forked_after_io = False


def this_process() -> object:
    """Return an object that identifies this process; a forked child has another. `os.getpid` may take 4 µs."""
    return _process


def _is_obstore(store: object) -> bool:
    return any(base.__module__.startswith("obstore") for base in type(store).__mro__)


def check_fork(store: object, *, using: bool = True) -> None:
    """Refuse a native store in a process that was forked after obstore had started its threads.

    Parameters
    ----------
    store
        The store to be called.
    using
        False if no method is called, so that no thread starts.

    Raises
    ------
    RuntimeError
        If the call would deadlock in this forked process. A call of a MemoryStore would, if another thread held its
        lock at the fork.
    """
    global _used  # noqa: PLW0603 - process-wide by nature
    if using and not _used and _is_obstore(store):
        _used = True
    if _forked_after_io and _is_obstore(store):
        msg = (
            f"{type(store).__name__} can't be used in this process: it was forked (os.fork or multiprocessing's 'fork' "
            "start method) after the parent process had already read through obstore, whose threads don't exist here, "
            "so the call would hang. Start workers with multiprocessing.get_context('spawn') or 'forkserver', or fork "
            "before the first read."
        )
        raise RuntimeError(msg)


def check_fork_of_wrapped(store: object) -> None:
    """Check a store and all stores it wraps, for a call that is forwarded to the innermost one, never cached."""
    while store is not None:
        check_fork(store)
        store = getattr(store, "__dict__", {}).get("_store")


def _runtime_threads() -> bool:
    """Return whether this process runs threads of obstore's runtime.

    `_used` records reads through this library. Otherwise look for tokio threads in /proc; another library's runtime
    gives a needless error, which is better than a hang.
    """
    if _used or not _TASKS.is_dir():
        return _used
    deadline = time.monotonic() + _NAMED_AFTER
    while time.monotonic() < deadline:
        python = {thread.native_id for thread in threading.enumerate()}
        names = {task: _thread_name(task) for task in _TASKS.iterdir()}
        if any(name.startswith(_RUNTIME_THREADS) for name in names.values()):
            return True
        unnamed = {name for task, name in names.items() if int(task.name) in python}
        if not any(name in unnamed and int(task.name) not in python and _is_new(task) for task, name in names.items()):
            return False
        time.sleep(_POLL_INTERVAL)
    return False


def _thread_name(task: Path) -> str:
    try:
        return (task / "comm").read_text().strip()
    except OSError:  # the thread has ended
        return ""


def _is_new(task: Path) -> bool:
    """Return whether a thread may not have set its name yet."""
    try:
        after_name = (task / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    started = int(after_name[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started < _NAMED_AFTER


def _before_fork() -> None:
    global _io_before_fork  # noqa: PLW0603 - process-wide by nature
    _io_before_fork = _runtime_threads()


def _after_fork_in_child() -> None:
    global _forked_after_io, _process, _used  # noqa: PLW0603 - process-wide by nature
    _process = object()
    _forked_after_io = _forked_after_io or _io_before_fork
    _used = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
