"""Raise a one-line FileNotFoundError for a missing object."""

from __future__ import annotations

import errno
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from obspec_utils._io.response import unwrap
from obspec_utils._redact import redacted, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["is_below_a_file", "is_list_not_found", "raise_not_found"]

# obstore has no error of its own for a missing bucket or container.
_NO_BUCKET = re.compile(
    r"Generic \w+ error: Error performing list request: Error performing GET \S+ in [^-]* - "
    r"Server returned non-2xx status code: 404 "
)


def is_below_a_file(error: Exception) -> bool:
    """Return whether a LocalStore error means ENOTDIR: a parent of the path is a file."""
    text = str(error)
    return (
        type(error).__name__ == "GenericError"
        and text.startswith("Generic LocalFileSystem error")
        and "(os error 20)" in text
    )


def is_list_not_found(error: Exception) -> bool:
    """Return whether nothing can be listed because there is no such bucket, or a parent of the path is a file."""
    return is_below_a_file(error) or (
        type(error).__name__ == "GenericError" and _NO_BUCKET.match(str(error)) is not None
    )


@contextmanager
def raise_not_found(store: object, path: str, version: object = None) -> Iterator[None]:
    """Raise FileNotFoundError with the path and the store, in one line, if the store reports a missing object.

    `version` is the id of the version that was requested, if one was.

    The store's own error, which with obstore is a kilobyte of text, is the cause. An error that already has an errno
    and a filename stays as it is.
    """
    try:
        yield
    except FileNotFoundError as error:
        if error.filename is not None:
            raise
        raise _not_found(store, path, version) from error
    except Exception as error:
        if not is_below_a_file(error):
            raise
        raise _not_found(store, path, version) from error


def _not_found(store: object, path: str, version: object) -> FileNotFoundError:
    store = unwrap(store)
    what = "object" if version is None else f"version {version!r}"
    text = shown(store)
    name = type(store).__name__ if text.startswith("<") else text  # a repr with only an address in memory
    return FileNotFoundError(errno.ENOENT, f"No such {what} in {name}", redacted(path))
