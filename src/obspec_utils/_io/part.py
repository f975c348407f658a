"""Fetch one part of an object: request it, compare its version, read it; retry where that fails."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from obspec_utils._io.errors import is_transient
from obspec_utils._io.request import send_range_or_whole
from obspec_utils._io.retry import Attempts, RetryBudget
from obspec_utils._version import Version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from typing_extensions import Buffer

    from obspec_utils._io.allocation import WriteTarget
    from obspec_utils._io.response import Response
    from obspec_utils._io.transport import Transport
    from obspec_utils._ranges import ByteRange

__all__ = ["FetchContext", "PartFetch"]

# How much of a body is read at a time into memory that is allocated already. 18 parts of 256 MiB then take 1.11 times
# that in memory (1.15 with 256 KiB, 1.25 with 1 MiB), at no loss of time. Handing a chunk to an event loop costs more,
# so there they are larger: 1.28 times the memory, and 1.23 times the time of threads that keep parts.
_CHUNK_SIZE = 64 * 1024
_CHUNK_SIZE_ASYNC = 512 * 1024


@dataclass(frozen=True, slots=True)
class FetchContext:
    """What the parts of one fetch have in common."""

    transport: Transport
    store: object
    path: str
    version: Version
    options: Mapping[str, object] | None
    budget: RetryBudget

    def attempts(self) -> Attempts:
        """Return the retries of one part: none where its version can't be compared by more than the size."""
        comparable = self.version.comparable(self.version) and self.transport.has(self.store, "get")
        return Attempts(self.budget, safe=comparable)


@dataclass(frozen=True, slots=True)
class PartFetch:
    """One range of a fetch.

    Parameters
    ----------
    context
        The fetch.
    span
        The range.
    first
        A response whose headers have arrived already. If reading its body fails, the range is requested again.
    target
        Where to write the bytes, once more with each retry; None returns a buffer.
    """

    context: FetchContext
    span: ByteRange
    first: Response | None = field(default=None, repr=False)
    target: WriteTarget | None = field(default=None, repr=False)

    async def run(self) -> Buffer:
        """Fetch the part; return an empty buffer if it is written to a target.

        The error raised is that of the first attempt, unless a later one is definite.
        """
        response, first, delay = self.first, cast("Exception | None", None), cast("float | None", None)
        context, attempts = self.context, self.context.attempts()
        try:
            while True:
                try:
                    response = await self._request() if response is None else response
                    if first is None or self._comparable(response):
                        return await self._read(response)
                    delay = None
                except Exception as error:
                    if first is not None and not is_transient(error):
                        raise
                    first = first or error
                    delay = attempts.delay_after(error, reading=response is not None)
                if delay is None or await context.transport.sleep(delay, context.budget.stop):
                    raise first
                response = None
        finally:
            del first  # its traceback leads to this frame

    async def _request(self) -> Response:
        """Request the part; refuse a response of another version before its body is read."""
        context, span = self.context, self.span
        response = await send_range_or_whole(context.transport, context.store, context.path, span, context.options)
        if response.meta is not None:
            context.version.check(context.path, Version.of(response.meta))
        elif response.span.stop < span.stop:
            context.version.check(context.path, Version(response.span.stop))
        return response

    def _comparable(self, response: Response) -> bool:
        return response.meta is not None and self.context.version.comparable(Version.of(response.meta))

    async def _read(self, response: Response) -> Buffer:
        if self.target is None and response.span == self.span:
            return await self.context.transport.body(response)
        if self.target is None:
            return b"".join([piece async for piece in self._pieces(response)])
        position = 0
        async for piece in self._pieces(response):
            position = self.target.write(position, piece)
        return b""

    async def _pieces(self, response: Response) -> AsyncIterator[Buffer]:
        """Read the part's bytes as they arrive; drop the others of a response to a range that was ignored."""
        transport, wanted = self.context.transport, self.span
        if response.span != wanted and not response.streams:
            yield response.slice(await transport.body(response), wanted)
            return
        position = response.span.start
        size = _CHUNK_SIZE if transport.owner() is None else _CHUNK_SIZE_ASYNC
        async with aclosing(transport.chunks(response, size)) as chunks:
            async for chunk in chunks:
                view = memoryview(chunk).cast("B")
                start = min(max(wanted.start - position, 0), view.nbytes)
                piece = view[start : max(start, wanted.stop - position)]
                if piece.nbytes:  # an empty view would keep its chunk in memory
                    yield piece
                position += view.nbytes
                if wanted.stop <= position < response.span.stop:
                    return
