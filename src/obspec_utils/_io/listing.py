"""The lists of a store: their errors without credentials, and only with paths that the store reads."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from obspec_utils._io.fork import check_fork_of_wrapped
from obspec_utils._io.response import unwrap
from obspec_utils._redact import redact_error, redacted, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["checked_listing", "errors_redacted"]


@contextmanager
def errors_redacted() -> Iterator[None]:
    """Redact the errors that a store raises inside."""
    try:
        yield
    except Exception as error:
        redact_error(error)
        raise


@contextmanager
def checked_listing(store: object) -> Iterator[Any]:
    """Provide a store to list; redact its errors, and refuse a forked process, or an HTTPStore whose URL has a path.

    That lists paths from the root of the host, so nothing would seem to be below a prefix.

    Raises
    ------
    NotImplementedError
        Says which store to list instead.
    """
    check_fork_of_wrapped(store)
    inner = cast("Any", unwrap(store))
    if type(inner).__name__ == "HTTPStore":
        url = urlsplit(str(inner.url))
        folder = url.path.strip("/")
        if folder:
            root = redacted(f"{url.scheme}://{url.netloc}")
            msg = f"{shown(inner)} can't list: use HTTPStore({root!r}), with {folder + '/'!r} before each path"
            raise NotImplementedError(msg)
    with errors_redacted():
        yield store
