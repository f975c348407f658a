"""A filesystem that refuses to write."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, NoReturn

from obspec_utils._redact import redacted

if TYPE_CHECKING:
    AsyncFileSystem = Any  # fsspec has no type hints, and what type checkers guess is too narrow
else:
    from fsspec.asyn import AsyncFileSystem

__all__ = ["ReadOnlyFileSystem", "read_only"]


def read_only(path: object = None) -> OSError:
    """Return the error of all methods that write."""
    msg = "Read-only: an ObspecFileSystem does not write. Write with the store's own methods"
    return OSError(errno.EROFS, msg, *([redacted(path)] if isinstance(path, str) else []))


async def _refuse(self: object, path: object = None, *args: object, **options: object) -> NoReturn:  # noqa: ARG001
    raise read_only(path)


def _refuse_sync(self: object, path: object = None, *args: object, **options: object) -> NoReturn:  # noqa: ARG001
    raise read_only(path)


class ReadOnlyFileSystem(AsyncFileSystem):  # type: ignore[misc] # of Any
    """Refuse everything that writes: these methods, those that call them, and their sync variants."""

    _copy = _cp_file = _mv_file = _refuse
    _makedirs = _mkdir = _refuse
    _pipe = _pipe_file = _put = _put_file = _refuse
    _rm = _rm_file = _refuse
    mv = rmdir = touch = _refuse_sync
