"""Read the body of a response as it arrives; if the connection breaks, request the rest. Runs on one event loop."""

from __future__ import annotations

import asyncio
from io import BytesIO
from logging import INFO
from typing import TYPE_CHECKING

import aiohttp

from obspec_utils._io.gc_pause import raise_if_interrupted
from obspec_utils._io.logs import log
from obspec_utils._io.retry import Attempts, RetryBudget
from obspec_utils.exceptions import IncompleteReadError
from obspec_utils.stores._aiohttp_errors import RequestTimeoutError
from obspec_utils.stores._aiohttp_sender import abort, close

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from obspec_utils._ranges import ByteRange
    from obspec_utils.stores._aiohttp_reply import Reply
    from obspec_utils.stores._aiohttp_server import Server

__all__ = ["Reopen", "Stream"]

_BROKEN = (aiohttp.ClientError, IncompleteReadError, OSError)


# A rest of more bytes is written into one buffer, which grows as they arrive: joining pieces takes twice the memory.
_LARGE = 256 * 1024


class _Pieces:
    """Bytes in pieces."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def value(self) -> bytes:
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)


class _Whole:
    """Bytes in one buffer. `BytesIO.getvalue` returns that without a copy."""

    def __init__(self) -> None:
        buffer = BytesIO()
        self.add = buffer.write
        self.value = buffer.getvalue


class Stream:
    """The bytes `wanted` of a body of known length, in order.

    Parameters
    ----------
    path
        The path of the object.
    reply
        What the headers of the response tell.
    response
        The response, whose body has not been read.
    timeout
        Seconds to wait for each chunk; None for no limit.
    server
        What tells versions apart.
    reopen
        Requests the rest of the range after an error.

    Attributes
    ----------
    span
        The byte range of the object that is left to read.
    """

    def __init__(
        self,
        path: str,
        reply: Reply,
        response: aiohttp.ClientResponse,
        timeout: float | None,
        server: Server,
        reopen: Reopen,
    ) -> None:
        self._path = path
        self._timeout = timeout
        self._reopen = reopen
        self._check = server.check_version_of
        self._version = server.version_of(reply.meta)
        self._attempts = self._new_attempts()
        self._use(reply, response)

    def _use(self, reply: Reply, response: aiohttp.ClientResponse) -> None:
        assert reply.body is not None  # noqa: S101 - for type checkers: bodies of unknown length are read whole
        assert reply.wanted is not None  # noqa: S101
        self.response = response
        self._body = reply.body
        self.span = reply.wanted
        self._skip = reply.wanted.start - reply.body.start

    def _new_attempts(self) -> Attempts:
        return Attempts(RetryBudget(1), safe=self._version.has_validator)

    def widen(self) -> ByteRange:
        """Read the whole body, not only the wanted bytes; to be called before the first read. Return its range."""
        self.span, self._skip = self._body, 0
        return self._body

    async def read(self, size: int) -> bytes:
        """Return the next bytes, at least `size` unless the range ends; b"" at its end.

        Raises
        ------
        IncompleteReadError, RequestTimeoutError
            If the connection breaks, or stalls, and the rest can't be had.
        ObjectChangedError
            If the connection breaks, and the object has changed since.
        """
        missing = min(size, self.span.length)
        collected = _Whole() if _LARGE < missing == self.span.length else _Pieces()
        while missing > 0:
            try:
                piece = await self._pull()
            except _BROKEN as error:
                await self._resume(error)
                continue
            if piece := self._cut(piece):
                collected.add(piece)
                missing -= len(piece)
        if not self.span.length:
            await self._finish()
        return collected.value()

    async def _pull(self) -> bytes:
        raise_if_interrupted()
        more = True
        while more:  # the end of an HTTP chunk may come alone
            async with asyncio.timeout(self._timeout):
                try:
                    piece, more = await self.response.content.readchunk()  # unlike readany, without a copy
                except RuntimeError:  # the connection was closed with its session
                    break
            if piece:
                return piece
        msg = f"The body of {self._path!r} ended {self.span.length} bytes early. Retry the read."
        raise IncompleteReadError(msg)

    def _cut(self, piece: bytes) -> bytes:
        """Return the wanted bytes of the next piece of the body, and count them."""
        if self._skip:
            skipped = min(self._skip, len(piece))
            self._skip -= skipped
            piece = piece[skipped:]
        if len(piece) > self.span.length:
            if self.span.stop >= self._body.stop:
                raise self._too_long()
            piece = piece[: self.span.length]
        if piece:
            self.span = self.span._replace(start=self.span.start + len(piece))
            self._attempts = self._new_attempts()  # only for attempts that get nothing
        return piece

    def _too_long(self) -> IncompleteReadError:
        return IncompleteReadError(f"The body of {self._path!r} is longer than its headers tell. Retry the read.")

    async def _finish(self) -> None:
        """Release the connection, to be used again if the body has ended."""
        content = self.response.content
        if self.span.stop < self._body.stop:
            await close(self.response)
        elif not content.at_eof():  # in chunks: the end has not arrived
            try:
                async with asyncio.timeout(self._timeout):
                    rest = await content.readany()
            except _BROKEN:
                rest = b""
            await close(self.response)
            if rest:
                raise self._too_long()

    async def _resume(self, error: Exception) -> None:
        """Request what is left of the range, if it can be checked that it is of the same version."""
        await close(self.response)
        failure = self._failure(error)
        delay = self._attempts.delay_after(failure, reading=True)
        if delay is None:
            raise failure from error
        log(INFO, "Request the rest of %r in %s s: %s", self._path, delay, failure)
        await asyncio.sleep(delay)
        reply, response = await self._reopen(self.span)
        try:
            self._check(self._path, reply.meta, self._version)
        except BaseException:
            await close(response)
            raise
        if reply.wanted != self.span:
            await close(response)
            raise failure
        self._use(reply, response)

    def _failure(self, error: Exception) -> Exception:
        if isinstance(error, IncompleteReadError):
            return error
        if isinstance(error, TimeoutError):
            return RequestTimeoutError(f"The body of {self._path!r} stalled for {self._timeout} s. Retry the read.")
        told = " ".join(str(error).split()) or type(error).__name__
        return IncompleteReadError(f"The body of {self._path!r} broke off: {told}. Retry the read.")

    def close(self) -> None:
        """Close the connection, unless the body has been read, as soon as the event loop runs."""
        abort(self.response)


if TYPE_CHECKING:
    import typing

    Reopen: typing.TypeAlias = Callable[[ByteRange], Awaitable[tuple[Reply, aiohttp.ClientResponse]]]
