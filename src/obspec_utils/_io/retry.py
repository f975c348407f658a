"""Retry rules of a part that failed: whether it is requested again, how often, and after which delay. No I/O.

A store made by obstore tries again by itself when a request fails before its headers are there, and goes on with a body
that broke as long as it knows the object's ETag. What is left for us are bodies it gave up on or cannot check, bodies
that end early without an error, and stores written in Python. docs/design/004-retries-and-one-buffer.md tells more.
"""

from __future__ import annotations

import itertools
import threading

from obspec_utils._io.errors import is_transient

__all__ = ["Attempts", "RetryBudget"]

# Delays before the retries of a part, in seconds; so there are two at most. A broken connection is replaced at once, a
# server that restarts or sheds load gets a moment. After three failures within a second the caller gets the error.
_DELAYS = (0.1, 0.5)
# The most retries of one fetch. Single connections break by themselves; where more
# than these do, something is wrong with the network or the server, and more requests would make it worse.
_MAX_RETRIES = 4
# A fetch of thousands of parts takes minutes, and may meet more: one in so many is allowed for, where that is more.
_PARTS_PER_RETRY = 8


class RetryBudget:
    """The retries that the parts of one fetch have left.

    Attributes
    ----------
    stop
        Set when the fetch of several parts has failed.
    """

    def __init__(self, parts: int) -> None:
        self._most = max(_MAX_RETRIES, parts // _PARTS_PER_RETRY)
        self._taken = itertools.count()
        self.stop = threading.Event() if parts > 1 else None

    def take(self) -> bool:
        """Take one retry, if there is one left. One operation, so that threads need no lock."""
        return next(self._taken) < self._most


class Attempts:
    """The further tries of one part.

    Parameters
    ----------
    budget
        What all parts of the fetch share.
    safe
        Whether an answer to a further try can be compared with the version by more than its size. If not, there is no
        further try: bytes of another version would go unnoticed.
    """

    def __init__(self, budget: RetryBudget, *, safe: bool) -> None:
        self._budget = budget
        self._pauses = iter(_DELAYS if safe else ())

    def delay_after(self, error: Exception, *, reading: bool) -> float | None:
        """Return the delay before the retry of the part; None if there is no retry.

        A GenericError is passing only where the body was being read. One that came in place of headers has been met
        with all the tries that the store was made with.
        """
        if not is_transient(error) or (type(error).__name__ == "GenericError" and not reading):
            return None
        pause = next(self._pauses, None)
        return pause if pause is not None and self._budget.take() else None
