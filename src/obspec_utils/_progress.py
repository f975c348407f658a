"""The argument `progress`: a bar, an fsspec Callback, or a function."""

from __future__ import annotations

import pickle
import sys
from inspect import iscoroutinefunction
from time import time
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from obspec_utils._io.gc_pause import paused
from obspec_utils._io.progress import Progress
from obspec_utils._redact import redacted, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from obspec_utils._io.progress import Counter

__all__ = ["CountedFor", "FsspecCallback", "ProgressArgument", "ProgressSetting", "progress_setting"]


class FsspecCallback(Protocol):
    """The methods of an `fsspec.Callback` that are called."""

    def set_size(self, size: int, /) -> object:
        """Set the number of bytes to come in all."""
        ...

    def relative_update(self, inc: int, /) -> object:
        """Add the number of bytes that have arrived since the last update."""
        ...


ProgressArgument: TypeAlias = "bool | FsspecCallback | Callable[[int, int | None], object] | None"


class ProgressSetting:
    """A valid argument `progress`. A pickle of it is None if what the user passed can't be pickled."""

    def __init__(self, value: Any) -> None:  # noqa: ANN401 - see `progress_setting`
        self._value = value

    def __repr__(self) -> str:
        return repr(self._value)

    def __deepcopy__(self, _: dict[int, object]) -> ProgressSetting:
        return self

    def __reduce__(self) -> tuple[Callable[[Any], ProgressSetting | None], tuple[Any]]:
        try:
            pickle.dumps(self._value)
        except Exception:  # noqa: BLE001 - pickle raises whatever an object's own reduction raises
            return progress_setting, (None,)
        return progress_setting, (self._value,)

    def start(self, name: str, objects: int = 1) -> Progress | None:
        """Return the progress of a call; None if a bar would not be seen."""
        if self._value is True:
            if not _is_interactive():
                return None
            bar = _Bar(name)
            return Progress(bar.show, bar.close, objects)
        show = self._value if callable(self._value) else _CallbackUpdates(self._value).show
        return Progress(show, _nothing, objects)


class CountedFor(ProgressSetting):
    """The setting of a load whose bytes are counted for the progress of a task, which shows it."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(None)
        self._progress = progress

    def start(self, name: str, objects: int = 1) -> Progress:  # noqa: ARG002 - of the base class
        """Return a progress that shows nothing itself."""
        return _Counted(self._progress, objects)


class _Counted(Progress):
    def __init__(self, progress: Progress, objects: int) -> None:
        super().__init__(_nothing, _nothing, objects)
        self._shown_by = progress

    def counter(self, size: int | None = None) -> Counter:
        return self._shown_by.counter(size)


def progress_setting(value: Any) -> ProgressSetting | None:  # noqa: ANN401 - checked here
    """Return the setting for an argument `progress`; None for no progress.

    Raises
    ------
    TypeError
        If it is none of `ProgressArgument`.
    ModuleNotFoundError
        If it is True and a bar would be seen, but tqdm is not installed.
    """
    if value is None or value is False:
        return None
    if isinstance(value, ProgressSetting):
        return value
    if value is True:
        if _is_interactive():
            _tqdm()
    elif isinstance(value, type) or iscoroutinefunction(value) or not (callable(value) or _is_callback(value)):
        expected = "True, an fsspec Callback, a function of (bytes_done, bytes_total), or None"
        msg = f"progress must be {expected}, got {shown(value)}"
        raise TypeError(msg)
    return ProgressSetting(value)


def _is_callback(value: object) -> bool:
    return all(callable(getattr(value, name, None)) for name in ("set_size", "relative_update"))


def _nothing(*_: object) -> None:
    """Show or close nothing."""


class _CallbackUpdates:
    """Updates of an fsspec Callback."""

    def __init__(self, callback: FsspecCallback) -> None:
        self._callback = callback
        self._done = 0
        self._total: int | None = None

    def show(self, done: int, total: int | None) -> None:
        if total is not None and total != self._total:
            self._total = total
            self._callback.set_size(total)
        if done > self._done:
            change, self._done = done - self._done, done
            self._callback.relative_update(change)


def _is_interactive() -> bool:
    """Return whether a bar would be seen: standard error is a terminal, or this is the kernel of a notebook."""
    try:
        if sys.stderr.isatty():
            return True
    except (AttributeError, ValueError):  # there is none, or it is closed
        pass
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def _tqdm() -> Any:  # noqa: ANN401 - a class that depends on where this runs
    try:
        from tqdm.auto import tqdm  # noqa: PLC0415 - an extra, needed here only
    except ModuleNotFoundError as error:
        msg = 'progress=True needs tqdm: pip install "obspec-utils[progress]"'
        raise ModuleNotFoundError(msg, name="tqdm") from error
    return tqdm


class _Bar:
    """A progress bar, made for the first update.

    All bars share a lock, which the reading thread may wait for under h5py: collection is paused while one is held.
    """

    def __init__(self, name: str) -> None:
        self._name = redacted(name).rpartition("/")[2]
        self._begin = time()
        self._bar: Any = None

    def show(self, done: int, total: int | None) -> None:
        paused(self._show, done, total)

    def close(self) -> None:
        paused(self._close)

    def _show(self, done: int, total: int | None) -> None:
        if self._bar is None:
            # Without tqdm's thread, which takes the lock of all bars and may collect garbage of h5py meanwhile.
            kind = type("tqdm", (_tqdm(),), {"monitor_interval": 0})
            self._bar = kind(desc=self._name, total=total, unit="B", unit_scale=True, unit_divisor=1024)
            self._bar.start_t = self._bar.last_print_t = self._begin  # else the first bytes would take no time
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def _close(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()
