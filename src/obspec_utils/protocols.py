"""What a store must offer to be read from, and what a reader offers to code that expects a file."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from obspec import Get, GetAsync, GetRange, GetRangeAsync, GetRanges, GetRangesAsync, Head, HeadAsync

__all__ = ["ReadableFile", "ReadableStore"]


@runtime_checkable
class ReadableStore(Get, GetAsync, GetRange, GetRangeAsync, GetRanges, GetRangesAsync, Head, HeadAsync, Protocol):
    """A store that objects can be read from in every way obspec knows, sync and async.

    Every obstore store is one, and so is every wrapper and store of this library. Functions and classes of this
    library that need less say so with a smaller protocol. `isinstance` looks for the methods by name only.
    """


@runtime_checkable
class ReadableFile(Protocol):
    """A file object that can be read and moved in: `io.BytesIO`, an open binary file, any reader of this library."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes from the current position on, or all that is left if `size` is negative."""
        ...

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to `offset` bytes from the start (0), the current position (1) or the end (2); return the position."""
        ...

    def tell(self) -> int:
        """Return the current position, in bytes from the start."""
        ...
