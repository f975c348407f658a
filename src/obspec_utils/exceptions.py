"""Errors that obspec_utils adds to those of the stores it reads from."""

from __future__ import annotations

from obspec.exceptions import PreconditionError

from obspec_utils._redact import redacted

__all__ = ["IncompleteReadError", "ObjectChangedError"]


class ObjectChangedError(PreconditionError):
    """Raised if an object was replaced, or its size changed, between two requests of one read.

    The sizes are compared, then the ETags or, without ETags, the Last-Modified dates; or only those that
    `check_version` names. If a store sends neither, or has no `get`, a replacement of the same size is not noticed.

    A subclass of `obspec.exceptions.PreconditionError`, so code that handles a failed condition handles this too.
    """

    def __init__(self, message: str) -> None:
        super().__init__(redacted(message))


class IncompleteReadError(OSError):
    """Raised if a response has fewer or more bytes than its headers declare."""

    def __init__(self, message: str) -> None:
        super().__init__(redacted(message))
