"""Decide whether, how often and after which delay a failed part is retried. No I/O.

obstore retries requests that fail before the headers, and resumes broken bodies if the object has an ETag. Retried
here: bodies it gave up on or can't verify, bodies that end early, and stores written in Python. See
docs/design/004-retries-and-one-buffer.md.
"""

from __future__ import annotations

import itertools
import random
import threading

from obspec_utils._io.errors import is_generic, is_transient

__all__ = ["Attempts", "Backoff", "RetryBudget"]

# Delays before the retries of a part, in seconds, so at most two retries. A broken connection is soon replaced; a
# server that restarts or sheds load gets half a second. After three failures within a second the caller gets the error.
_DELAYS = (0.1, 0.5)
# Maximum retries per fetch; more failures mean a bad network or an overloaded server.
_MAX_RETRIES = 4
# Large fetches may retry one part in eight.
_PARTS_PER_RETRY = 8


# Delays before the retries of a request by a store of this library, in seconds, each up to half as long by chance: many
# clients that a server refused at once must not return at once. About 10 s in all.
_REQUEST_DELAYS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
# A server may ask for a longer delay (Retry-After), up to this many seconds.
_MAX_RETRY_AFTER = 60.0


class Backoff:
    """Retry schedule of one request, for stores that send requests themselves.

    Attributes
    ----------
    retries
        The number of retries so far.
    """

    def __init__(self) -> None:
        self._pauses = iter(_REQUEST_DELAYS)
        self.retries = 0

    def delay(self, retry_after: float | None = None) -> float | None:
        """Return the delay before the next retry, in seconds; None if there is no retry.

        Parameters
        ----------
        retry_after
            The delay that the server asks for. If that is too long, there is no retry.
        """
        pause = next(self._pauses, None)
        if pause is None or (retry_after or 0) > _MAX_RETRY_AFTER:
            return None
        self.retries += 1
        return max(retry_after or 0, pause * random.uniform(0.5, 1))  # noqa: S311 - no secret


class RetryBudget:
    """The number of retries that the parts of one fetch share.

    Attributes
    ----------
    stop
        Set when a fetch of several parts has failed; None for a single part.
    """

    def __init__(self, parts: int) -> None:
        self._limit = max(_MAX_RETRIES, parts // _PARTS_PER_RETRY)
        self._taken = itertools.count()
        self.stop = threading.Event() if parts > 1 else None

    def take(self) -> bool:
        """Take one retry if any is left. This is one atomic operation, so threads need no lock."""
        return next(self._taken) < self._limit


class Attempts:
    """Retry schedule of one part.

    Parameters
    ----------
    budget
        The retries that all parts of the fetch share.
    safe
        Whether responses have an ETag or a date to compare. Without one, no retry: a replaced object would go
        unnoticed.
    """

    def __init__(self, budget: RetryBudget, *, safe: bool) -> None:
        self._budget = budget
        self._pauses = iter(_DELAYS if safe else ())

    def delay_after(self, error: Exception, *, reading: bool) -> float | None:
        """Return the delay before the retry of the part; None if there is no retry.

        A GenericError before the headers is final: the store has used up its retries.
        """
        if not is_transient(error) or (is_generic(error) and not reading):
            return None
        pause = next(self._pauses, None)
        return pause if pause is not None and self._budget.take() else None
