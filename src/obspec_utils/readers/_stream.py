"""One response that is read as it arrives."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from obspec_utils._io.buffers import BufferList
from obspec_utils._io.request import request
from obspec_utils._version import Version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

    from obspec_utils._io.response import Response
    from obspec_utils._ranges import ByteRange

__all__ = ["STEP", "ResponseStream"]

# In blocks, how much to wait for at a time: little enough to go on soon, enough for the cost of a call not to count.
STEP = 4
# In blocks: of a response of no more than that all has most likely arrived by the time it is wanted. A longer read is
# faster in parallel.
_SHORT = 64
# In blocks: of a longer one, so much takes about as long to arrive as a round trip.
_LONGEST_SKIP = 16


class ResponseStream:
    """The bytes of a span, taken from the front in whole blocks. Nothing is asked for before the first is taken.

    No thread works for it: what arrives before it is asked for waits in the connection's buffers.

    Attributes
    ----------
    position
        Where the next block starts.
    stop
        Where the span ends.
    started
        Whether the store has begun to answer.
    """

    def __init__(
        self,
        store: object,
        path: str,
        version: Version,
        span: ByteRange,
        block_size: int,
        answer: Response | None = None,
    ) -> None:
        self._store = store
        self._path = path
        self._version = version
        self._span = span
        self._block_size = block_size
        self._process = os.getpid()
        self._chunks: Iterator[Buffer] | None = None if answer is None else answer.chunks(STEP * block_size)
        self._rest: list[memoryview] = []
        self.position, self.stop = span
        self.started = answer is not None

    @property
    def remaining(self) -> int:
        """How many bytes are still to be taken."""
        return self.stop - self.position

    def reaches_soon(self, span: ByteRange) -> bool:
        """Tell whether reading on gets to a span sooner than a request of its own."""
        short = self.stop - self._span.start <= _SHORT * self._block_size
        near = span.start - self.position <= _LONGEST_SKIP * self._block_size
        little = min(span.stop, self.stop) - self.position <= _SHORT * self._block_size
        ahead = self.position <= span.start < self.stop
        return ahead and (short or (near and little))

    def covers(self, span: ByteRange) -> bool:
        """Tell whether reading on gets to a span, however long that takes."""
        return self.position <= span.start and span.stop <= self.stop

    def read_to(self, stop: int, start: int | None = None) -> BufferList:
        """Return what there is from `position` on, at least up to `stop`; `position` moves on by whole blocks of that.

        Of a store that hands out more at a time, it moves on by a few blocks beyond `stop` all the same. What comes
        before `start`, if that is given, is dropped.

        Raises
        ------
        RuntimeError
            In a forked child, where a response of the parent never arrives.
        """
        if self._process != os.getpid():
            msg = f"the response for {self._path!r} belongs to the process that was forked: request it again"
            raise RuntimeError(msg)
        if self._chunks is None:
            self._chunks = self._request_first()
        if start is not None:
            self._skip_to(start)
        received = self.position + sum(piece.nbytes for piece in self._rest)
        while received < stop:
            chunk = memoryview(next(self._chunks)).cast("B")
            self._rest.append(chunk)
            received += chunk.nbytes
        parts = BufferList(self._rest, self.position)
        reached = min(received, max(stop, self.position + STEP * self._block_size))
        self.position = reached if reached == self.stop else reached - reached % self._block_size
        self._rest = list(parts.pieces(self.position, received))
        return parts

    def _skip_to(self, start: int) -> None:
        """Drop what comes before the block of a position, as it arrives."""
        start -= start % self._block_size
        while self.position < start:
            if not self._rest:
                self._rest.append(memoryview(next(self._chunks)).cast("B"))  # type: ignore[arg-type] # begun by `take`
            step = min(self._rest[0].nbytes, start - self.position)
            self.position += step
            self._rest[0] = self._rest[0][step:]
            if not self._rest[0]:
                del self._rest[0]

    def _request_first(self) -> Iterator[Buffer]:
        answer = request(self._store, self._path, self._span)
        self._version.check(self._path, Version.of(answer.meta) if answer.meta else Version(self._version.size))
        if answer.span != self._span or not answer.streams:
            msg = f"{type(self._store).__name__} does not stream {self._span} of {self._path!r}"
            raise NotImplementedError(msg)
        self.started = True
        return answer.chunks(STEP * self._block_size)
