"""Protocols of the stores that can be read from, and of the file objects that readers are."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from obspec import Get, GetAsync, GetRange, GetRangeAsync, GetRanges, GetRangesAsync, Head, HeadAsync

__all__ = ["ReadableFile", "ReadableStore"]


@runtime_checkable
class ReadableStore(Get, GetAsync, GetRange, GetRangeAsync, GetRanges, GetRangesAsync, Head, HeadAsync, Protocol):
    """A store with all methods of obspec that read objects, sync and async.

    All stores of obstore and all wrappers of this library are such stores. Functions and classes that need fewer
    methods declare a smaller protocol. `isinstance` checks the names of the methods only.
    """


@runtime_checkable
class ReadableFile(Protocol):
    """A file object with `read`, `seek` and `tell`: `io.BytesIO`, an open binary file, any reader of this library."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes from the current position, or all remaining bytes if `size` is negative."""
        ...

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to `offset` bytes from the start (0), the current position (1) or the end (2); return the position."""
        ...

    def tell(self) -> int:
        """Return the current position, in bytes from the start."""
        ...
