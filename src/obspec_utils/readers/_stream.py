"""One response that is read as it arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obspec_utils._io.buffers import BufferList
from obspec_utils._io.fork import this_process
from obspec_utils._io.request import request
from obspec_utils._version import Version

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from obspec_utils._io.response import Response
    from obspec_utils._ranges import ByteRange

__all__ = ["STREAM_STEP", "ResponseStream", "open_stream"]

# In blocks: the bytes to wait for at a time. Few enough to return soon, enough to make the cost of a call negligible.
STREAM_STEP = 4
# In blocks: a response of this length has most likely arrived by the time it is read. A longer read is faster in
# parallel.
_SHORT = 64
# In blocks: the longest skip in a longer response; it takes about as long to arrive as a round trip.
_MAX_SKIP = 16


class ResponseStream:
    """The body of a response, read from the front in whole blocks.

    No thread reads ahead: bytes that arrive before they are read stay in the connection's buffers.

    Attributes
    ----------
    position
        Offset of the next block.
    stop
        End of the response.
    """

    def __init__(self, response: Response, block_size: int) -> None:
        self._path = response.path
        self._block_size = block_size
        self._process = this_process()
        self._chunks = response.chunks(STREAM_STEP * block_size)
        self._rest: list[memoryview] = []  # received, not yet read
        self._is_short = response.span.length <= _SHORT * block_size
        self.position, self.stop = response.span

    @property
    def remaining(self) -> int:
        """The number of bytes not yet read."""
        return self.stop - self.position

    def reaches_soon(self, span: ByteRange) -> bool:
        """Return whether reading on reaches a range sooner than a separate request."""
        near = span.start - self.position <= _MAX_SKIP * self._block_size
        little = min(span.stop, self.stop) - self.position <= _SHORT * self._block_size
        ahead = self.position <= span.start < self.stop
        return ahead and (self._is_short or (near and little))

    def covers(self, span: ByteRange) -> bool:
        """Return whether the whole range is in the unread rest."""
        return self.position <= span.start and span.stop <= self.stop

    def read_to(self, stop: int, start: int | None = None) -> BufferList:
        """Return the bytes from `position` at least up to `stop`, and move `position` by whole blocks.

        If the store returns longer chunks, `position` moves a few blocks beyond `stop`. Bytes before `start` are
        dropped.

        Raises
        ------
        RuntimeError
            In a forked child, where a response of the parent never arrives.
        """
        if self._process is not this_process():
            msg = f"the response for {self._path!r} belongs to the process that was forked: request it again"
            raise RuntimeError(msg)
        if start is not None:
            self._skip_to(start)
        received = self.position + sum(piece.nbytes for piece in self._rest)
        while received < stop:
            received += self._receive()
        parts = BufferList(self._rest, self.position)
        reached = min(received, max(stop, self.position + STREAM_STEP * self._block_size))
        self.position = reached if reached == self.stop else reached - reached % self._block_size
        self._rest = list(parts.pieces(self.position, received))
        return parts

    def _receive(self) -> int:
        chunk: Buffer = next(self._chunks)
        self._rest.append(memoryview(chunk).cast("B"))
        return self._rest[-1].nbytes

    def _skip_to(self, start: int) -> None:
        """Drop the bytes before the block of a position, as they arrive."""
        start -= start % self._block_size
        while self.position < start:
            if not self._rest:
                self._receive()
            step = min(self._rest[0].nbytes, start - self.position)
            self.position += step
            self._rest[0] = self._rest[0][step:]
            if not self._rest[0]:
                del self._rest[0]


def open_stream(store: object, path: str, span: ByteRange, version: Version, block_size: int) -> ResponseStream | None:
    """Request a range to read it as it arrives; return None if that fails, so that the caller fetches it."""
    try:
        response = request(store, path, span, version.options)
        if response.meta is not None:
            version.check(path, Version.of(response.meta))
    except Exception:  # noqa: BLE001 - the caller's fetch retries or raises the same error
        return None
    # A store may ignore the range, or return bodies only as a whole.
    return ResponseStream(response, block_size) if response.span == span and response.streams else None
