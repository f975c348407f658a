"""Caches that fail: they have nothing for a while, and say so once."""

from __future__ import annotations

import time
import warnings

from obspec_utils._io.gc_pause import call_after_pause
from obspec_utils._redact import redacted

__all__ = ["CircuitBreaker"]

# How long a cache that failed is left alone: what is waited for while a server is away is waited for once in that time.
_REST = 10.0


class CircuitBreaker:
    """What became of a cache's attempts.

    Parameters
    ----------
    name
        What cannot be used, for the warning.
    rest
        For how many seconds it is not tried again after an error.
    """

    def __init__(self, name: str, rest: float = _REST) -> None:
        self.name = name
        self._rest = rest
        self._until = 0.0
        self._told = False

    @property
    def is_open(self) -> bool:
        """Whether the last attempt failed so recently that another one is not worth it."""
        return time.monotonic() < self._until

    def record_failure(self, error: BaseException) -> None:
        """Take note of an error: the first one is warned of, once nothing is held or waited for any more."""
        self._until = time.monotonic() + self._rest
        if self._told:
            return
        self._told = True
        reason = f"{type(error).__name__}: {redacted(str(error))}".rstrip(".")
        message = (
            f"{self.name} can't be used, so nothing is kept there: {reason}. "
            f"It is tried again every {self._rest:g} s; there will be no further warning."
        )
        call_after_pause(lambda: warnings.warn(message, RuntimeWarning, stacklevel=2))
