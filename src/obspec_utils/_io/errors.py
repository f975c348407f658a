"""Classify errors of stores: range not supported, or transient (a retry may succeed)."""

from __future__ import annotations

import re

from obspec_utils.exceptions import IncompleteReadError

__all__ = ["is_condition_refused", "is_generic", "is_range_ignored", "is_range_unsupported", "is_transient"]

_RANGE_NOT_SATISFIABLE = 416

_BROKEN = (IncompleteReadError, ConnectionError, TimeoutError)

# object_store raises GenericError both for an outage and for a range that was not served; only the text differs. The
# texts are those of obstore 0.11 to 0.12, pinned by tests. They must be at the start: a response's body may follow.
_IGNORED = re.compile(
    r"Generic \w+ error: ("
    r"Received non-partial response when range requested"  # 200 in place of 206
    r"|Content-Range header not present"
    r"|Failed to parse value for CONTENT_RANGE"  # such as "bytes 0-9/*"
    r"|Requested \d+\.\.\d+, got \d+\.\.\d+"  # 206 for another range
    r")"
)
_UNSATISFIABLE = re.compile(
    r"Generic \w+ error: ("
    r"Invalid range: "  # MemoryStore
    r"|Requested range was invalid"  # LocalStore
    r"|Wanted range starting at "  # any store, of the Content-Range of a 206
    r"|Error performing GET \S+ in [^-]* - Server returned non-2xx status code: 416 "
    r")"
)

# Statuses by which services refuse conditional requests; 403 is a PermissionDeniedError.
_REFUSED = re.compile(
    r"Generic \w+ error: Error performing GET \S+ in [^-]* - Server returned non-2xx status code: (400|501) "
)


def is_generic(error: Exception) -> bool:
    """Return whether it is a GenericError of a store: a request without a usable response, after all its retries."""
    return any(base.__name__ == "GenericError" for base in type(error).__mro__)


def is_range_ignored(error: Exception) -> bool:
    """Return whether the server ignored Range or sent another range."""
    if type(error).__name__ == "NotSupportedError":
        return True
    return is_generic(error) and _IGNORED.match(str(error)) is not None


def is_range_unsupported(error: Exception) -> bool:
    """Return whether a store can't serve a range: of an empty object, past the end, or of any object."""
    if is_range_ignored(error) or getattr(error, "status", None) == _RANGE_NOT_SATISFIABLE:
        return True
    return is_generic(error) and _UNSATISFIABLE.match(str(error)) is not None


def is_condition_refused(error: Exception) -> bool:
    """Return whether a conditional request may have failed because of its condition: 400, 403 or 501."""
    if getattr(error, "status", None) in {400, 403, 501}:  # of a store written in Python, as in aiohttp's errors
        return True
    name = type(error).__name__
    return name == "PermissionDeniedError" or (name == "GenericError" and _REFUSED.match(str(error)) is not None)


def is_transient(error: Exception) -> bool:
    """Return whether a retry may succeed. False for final errors such as 404."""
    return isinstance(error, _BROKEN) or (is_generic(error) and not is_range_unsupported(error))
