"""Errors that obspec_utils adds to those of the stores it reads from."""

from __future__ import annotations

from obspec.exceptions import PreconditionError

from obspec_utils._redact import redacted

__all__ = ["IncompleteReadError", "ObjectChangedError"]


class ObjectChangedError(PreconditionError):
    """The object was replaced, shrank or grew between two requests of one read.

    Raised if the sizes differ, or else the ETags, or else, where there is no ETag, the Last-Modified dates. From a
    store that sends neither, or that has no `get`, a replacement of the same size is not noticed.

    A subclass of `obspec.exceptions.PreconditionError`, so code that handles a failed condition handles this too.
    """

    def __init__(self, message: str) -> None:
        super().__init__(redacted(message))


class IncompleteReadError(OSError):
    """A store answered a request with fewer or more bytes than its own headers said."""

    def __init__(self, message: str) -> None:
        super().__init__(redacted(message))
