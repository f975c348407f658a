"""Errors that obspec_utils adds to those of the stores it reads from."""

from __future__ import annotations

from obspec.exceptions import PreconditionError

__all__ = ["IncompleteReadError", "ObjectChangedError"]


class ObjectChangedError(PreconditionError):
    """The object was replaced, shrank or grew between two requests of one read.

    A subclass of `obspec.exceptions.PreconditionError`, so code that handles a failed condition handles this too.
    """


class IncompleteReadError(OSError):
    """A store answered a request with fewer or more bytes than its own headers said."""
