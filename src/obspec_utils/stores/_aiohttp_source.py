"""The bytes of a result: of a response that is being received, requested again if need be, or in memory."""

from __future__ import annotations

import asyncio
import atexit
from typing import TYPE_CHECKING, Protocol, TypeVar

from obspec_utils._io.fork import this_process
from obspec_utils._io.interruptible import in_own_thread, interruptible
from obspec_utils._ranges import ByteRange

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from obspec_utils.stores._aiohttp_pairs import Lease
    from obspec_utils.stores._aiohttp_stream import Stream

__all__ = ["MIN_CHUNK_SIZE", "AsyncBody", "Opener", "Source", "SyncBody", "run_blocking"]

T = TypeVar("T")

# Bytes to read at a time, at least: starting an event loop costs as much as receiving 32 KiB.
_MIN_READ = 256 * 1024
# Bytes in a chunk of an iteration, at least, but for the last.
MIN_CHUNK_SIZE = 1024 * 1024


def run_blocking(function: Callable[..., T], *args: object) -> T:
    """Call a function that runs an event loop, in a thread of its own where a loop runs or Ctrl-C may hit."""
    run = interruptible if asyncio._get_running_loop() is None else in_own_thread  # noqa: SLF001 - documented
    return run(function, *args)


# Streams that are being read, and the processes that opened them. So a stream is never garbage, whose response the
# collector could finalize, with a warning, before it finalizes the body.
_open: dict[Stream, object] = {}


class SyncBody:
    """A body that arrives on a leased event loop, which only runs during reads."""

    def __init__(self, lease: Lease, stream: Stream) -> None:
        self._lease = lease
        self.stream = stream
        _open[stream] = this_process()

    @property
    def is_usable(self) -> bool:
        """Whether it can be read by this process."""
        return self._lease.is_usable

    def read(self, size: int) -> bytes:
        """Return the next bytes, at least `size` unless the range ends; b"" at its end."""
        return run_blocking(self._read, size) if self.stream.span.length else b""

    def _read(self, size: int) -> bytes:
        data = self._lease.run(self.stream.read(max(size, _MIN_READ)))
        if not self.stream.span.length:
            _open.pop(self.stream, None)
            self._lease.release()
        return data

    def close(self) -> None:
        """Close the connection if the body has not been read to its end. Finalizers call it, too.

        After Ctrl-C the thread of a read may still use it; it is closed when it is finalized.
        """
        if self._lease.is_usable and not self._lease.is_running:
            self.stream.close()
            _open.pop(self.stream, None)
            if asyncio._get_running_loop() is None:  # noqa: SLF001 - documented. Else the next lease closes it.
                self._lease.run(asyncio.sleep(0))
            self._lease.release(close_surplus=False)

    __del__ = close


class AsyncBody:
    """A body that arrives on an event loop of the caller's."""

    def __init__(self, stream: Stream) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = this_process()
        self.stream = stream
        _open[stream] = this_process()

    @property
    def is_usable(self) -> bool:
        """Whether it can be read on the running loop: it has been received, or its connection is open."""
        connection = self.stream.response.connection
        return self._loop is asyncio.get_running_loop() and (connection is None or not connection.closed)

    def close(self) -> None:
        """Close the connection if the body has not been read to its end. Finalizers call it, too."""
        if self._process is this_process():
            _open.pop(self.stream, None)
            if self.stream.span.length:
                try:
                    self._loop.call_soon_threadsafe(self.stream.close)
                except RuntimeError:  # the loop is closed
                    self.stream.close()

    __del__ = close


class Opener(Protocol):
    """Requests a byte range of the object again, and checks that it is of the same version."""

    def open(self, span: ByteRange, /) -> SyncBody | bytes:
        """Request it for reads in a thread; bytes if the whole response had to be read."""
        ...

    async def open_async(self, span: ByteRange, /) -> AsyncBody | bytes:
        """Request it for reads on the running event loop."""
        ...


class Source:
    """The bytes of a result.

    Parameters
    ----------
    span
        The byte range of the object.
    body
        The body, or its bytes.
    opener
        Requests the bytes again if the body can't be read: it has been read in chunks, or it arrives elsewhere.
    whole
        The bytes of the whole response, if they are in memory and may be more.

    Attributes
    ----------
    data
        The bytes, if they are in memory.
    """

    def __init__(self, span: ByteRange, body: SyncBody | AsyncBody | bytes, opener: Opener, whole: bytes = b"") -> None:
        self.span = span
        self.data = body if isinstance(body, bytes) else None
        # One or none. `pop` is atomic: a body is read by one caller, others request the bytes again.
        self._bodies = [] if isinstance(body, bytes) else [body]
        self._opener = opener
        self._whole = whole

    def widened(self) -> Source | None:
        """Return the source of all bytes of the response, instead of this one; None if it has been read."""
        if self._whole:
            return Source(ByteRange(0, len(self._whole)), self._whole, self._opener)
        try:
            body = self._bodies.pop()
        except IndexError:
            return None
        return Source(body.stream.widen(), body, self._opener)

    def read(self) -> bytes:
        """Return all bytes, and keep them."""
        if self.data is None:
            body = self.take()
            self.data = body if isinstance(body, bytes) else body.read(self.span.length)
        return self.data

    async def read_async(self) -> bytes:
        """Return all bytes, and keep them."""
        if self.data is None:
            body = await self.take_async()
            self.data = body if isinstance(body, bytes) else await body.stream.read(self.span.length)
        return self.data

    def chunks(self, min_size: int) -> Generator[bytes]:
        """Yield chunks of at least `min_size` bytes but for the last."""
        body = self.data if self.data is not None else self.take()
        if isinstance(body, bytes):
            if body:
                yield body
            return
        try:
            while chunk := body.read(min_size):
                yield chunk
        finally:
            body.close()

    async def chunks_async(self, min_size: int) -> AsyncGenerator[bytes]:
        """Yield chunks of at least `min_size` bytes but for the last."""
        body = self.data if self.data is not None else await self.take_async()
        if isinstance(body, bytes):
            if body:
                yield body
            return
        try:
            while chunk := await body.stream.read(min_size):
                yield chunk
        finally:
            body.close()

    def take(self) -> SyncBody | bytes:
        """Return the body, to be read by this caller, or request it again."""
        body = self._bodies.pop() if self._bodies else None
        if isinstance(body, SyncBody) and body.is_usable:
            return body
        if body is not None:
            body.close()
        return self._opener.open(self.span)

    async def take_async(self) -> AsyncBody | bytes:
        """Return the body, to be read by this caller, or request it again."""
        body = self._bodies.pop() if self._bodies else None
        if isinstance(body, AsyncBody) and body.is_usable:
            return body
        if body is not None:
            body.close()
        return await self._opener.open_async(self.span)


@atexit.register
def _close_all() -> None:
    """Close the bodies that were not read, before `_aiohttp_pairs.py` closes the loops of sync calls."""
    for stream, process in list(_open.items()):
        if process is this_process():
            stream.close()
