"""A file that coroutines read from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from obspec_utils._io.cache_threads import Threads
from obspec_utils._io.concurrency import MAX_HELPERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self


__all__ = ["AsyncFile", "call_in_thread"]

T = TypeVar("T")


_threads = Threads(MAX_HELPERS)


async def call_in_thread(function: Callable[..., T], *args: object) -> T:
    """Call a blocking function without blocking the event loop."""
    return await _threads.call(function, *args)


class AsyncFile:
    """A reader whose `read` and `close` are coroutines, as those of fsspec's AbstractAsyncStreamedFile are.

    The reader itself blocks, so it is called in a thread.
    """

    def __init__(self, reader: Any, filesystem: object, path: str) -> None:  # noqa: ANN401
        self._reader = reader
        self.fs = filesystem
        self.path = path
        self.mode = "rb"

    async def read(self, length: int | None = -1) -> bytes:
        """Return up to `length` bytes from the current position, or all remaining bytes if it is negative."""
        data: bytes = await call_in_thread(self._reader.read, length)
        return data

    async def close(self) -> None:
        """Free the reader's memory."""
        self._reader.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        await self.close()

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to an offset from the start (0), the current position (1) or the end (2); return the position."""
        position: int = self._reader.seek(offset, whence)
        return position

    def tell(self) -> int:
        """Return the current position."""
        position: int = self._reader.tell()
        return position

    @property
    def loc(self) -> int:
        """The current position."""
        return self.tell()

    @property
    def size(self) -> int | None:
        """The size of the object."""
        size: int | None = self._reader.size
        return size

    @property
    def closed(self) -> bool:
        """Whether the file was closed."""
        return bool(self._reader.closed)
