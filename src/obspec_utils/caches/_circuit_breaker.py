"""A circuit breaker for caches: bypass a failing cache for 10 s and warn once."""

from __future__ import annotations

import time
import warnings
from logging import WARNING

from obspec_utils._io.gc_pause import call_after_pause
from obspec_utils._io.logs import log
from obspec_utils._redact import redacted

__all__ = ["CircuitBreaker"]

# A failed cache is retried once in this time (s).
_OPEN_FOR = 10.0


class CircuitBreaker:
    """Suppress the errors of a cache and open the circuit for 10 s; a context manager.

    Parameters
    ----------
    name
        The cache, for the warning.
    errors
        The errors to suppress and count.
    """

    def __init__(self, name: str, errors: type[Exception] = Exception) -> None:
        self.name = name
        self._errors = errors
        self._open_until = 0.0
        self._has_warned = False

    @property
    def is_open(self) -> bool:
        """Whether the cache failed within the last 10 s and should not be used now."""
        return time.monotonic() < self._open_until

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if error is None or not (isinstance(error, self._errors) or _is_panic(error)):
            return False
        self.record_failure(error)
        return True

    def record_failure(self, error: BaseException) -> None:
        """Open the circuit, and log that. Warn of the first error once this thread holds no lock."""
        if not self.is_open:
            log(WARNING, "%s is not used for %g s: %s", self.name, _OPEN_FOR, error, about="caches")
        self._open_until = time.monotonic() + _OPEN_FOR
        if self._has_warned:
            return
        self._has_warned = True
        reason = f"{type(error).__name__}: {redacted(str(error))}".rstrip(".")
        message = (
            f"{self.name} can't be used, so nothing is kept there: {reason}. "
            f"It is retried every {_OPEN_FOR:g} s; there will be no further warning."
        )
        call_after_pause(lambda: warnings.warn(message, RuntimeWarning, stacklevel=2))


def _is_panic(error: BaseException) -> bool:
    """Return whether a cache written in Rust panicked, which is not an Exception.

    Each extension module has its own class of this name, which can't be imported.
    """
    return type(error).__name__ == "PanicException" and type(error).__module__ == "pyo3_runtime"
