"""One part of a fetch: asked for, compared with the version, read; and where it breaks, asked for again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from obspec_utils._io.errors import is_transient
from obspec_utils._io.request import has_method, request_or_whole, request_or_whole_async
from obspec_utils._io.retry import Attempts, RetryBudget
from obspec_utils._version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from obspec_utils._io.allocation import WriteTarget
    from obspec_utils._io.response import Response
    from obspec_utils._ranges import ByteRange

__all__ = ["FetchContext", "PartFetch"]

# How much of a body is taken at a time where it goes to a place that is there already. 18 parts of 256 MiB take 1.11
# times that in memory (1.15 with 256 KiB, 1.25 with 1 MiB), at no loss of time. To hand a chunk to an event loop costs
# more, so there they are larger: 1.28 times the memory, and 1.23 times the time of threads that keep parts.
_CHUNK_SIZE = 64 * 1024
_CHUNK_SIZE_ASYNC = 512 * 1024


@dataclass(frozen=True, slots=True)
class FetchContext:
    """What the parts of one fetch have in common."""

    store: object
    path: str
    version: Version
    options: Mapping[str, object] | None
    budget: RetryBudget

    def tries(self, get: str) -> Attempts:
        """Return the further tries of one part; `get` is the store's method that tells a version."""
        return Attempts(self.budget, safe=self.version.comparable(self.version) and has_method(self.store, get))


@dataclass(frozen=True, slots=True)
class PartFetch:
    """One span of a fetch.

    Parameters
    ----------
    source
        Where it comes from.
    span
        Which bytes it is.
    first
        An answer whose headers are there already. What breaks while its body is read is asked for anew.
    into
        Where the bytes are to go, and are written anew by each try; None for a buffer of their own.
    """

    source: FetchContext
    span: ByteRange
    first: Response | None = field(default=None, repr=False)
    into: WriteTarget | None = field(default=None, repr=False)

    def run(self) -> Buffer:
        """Fetch it; return nothing of it where it goes to a place.

        The error raised is the first one, unless a later one tells for certain what is wrong.
        """
        answer, first, pause = self.first, cast("Exception | None", None), cast("float | None", None)
        tries = self.source.tries("get")
        try:
            while True:
                try:
                    answer = self._ask() if answer is None else answer
                    if first is None or self._comparable(answer):
                        return self._read(answer)
                    pause = None
                except Exception as error:
                    if first is not None and not is_transient(error):
                        raise
                    first = first or error
                    pause = tries.delay_after(error, reading=answer is not None)
                if pause is None or self.source.budget.stop.wait(pause):
                    raise first
                answer = None
        finally:
            del first  # its traceback leads to this frame

    async def run_async(self) -> Buffer:
        """Fetch it as `run` does, on the running event loop."""
        answer, first, pause = self.first, cast("Exception | None", None), cast("float | None", None)
        tries = self.source.tries("get_async")
        try:
            while True:
                try:
                    answer = await self._ask_async() if answer is None else answer
                    if first is None or self._comparable(answer):
                        return await self._read_async(answer)
                    pause = None
                except Exception as error:
                    if first is not None and not is_transient(error):
                        raise
                    first = first or error
                    pause = tries.delay_after(error, reading=answer is not None)
                if pause is None:
                    raise first
                await asyncio.sleep(pause)
                answer = None
        finally:
            del first  # its traceback leads to this frame

    def _ask(self) -> Response:
        store, path, options = self.source.store, self.source.path, self.source.options
        return self._checked(request_or_whole(store, path, self.span, options))

    async def _ask_async(self) -> Response:
        store, path, options = self.source.store, self.source.path, self.source.options
        return self._checked(await request_or_whole_async(store, path, self.span, options))

    def _checked(self, answer: Response) -> Response:
        """Refuse an answer of another version, before its body is read."""
        if answer.meta is not None:
            self.source.version.check(answer.path, Version.of(answer.meta))
        elif answer.span.stop < self.span.stop:
            self.source.version.check(answer.path, Version(answer.span.stop))
        return answer

    def _comparable(self, answer: Response) -> bool:
        return answer.meta is not None and self.source.version.comparable(Version.of(answer.meta))

    def _read(self, answer: Response) -> Buffer:
        if self.into is None and answer.span == self.span:
            return answer.body()
        # A store that ignored the range sends more: what is read of that is never in memory at once.
        pieces = answer.chunks(_CHUNK_SIZE) if answer.span == self.span else answer.cut(self.span)
        if self.into is None:
            return b"".join(pieces)
        position = 0
        for piece in pieces:
            position = self.into.write(position, piece)
        return b""

    async def _read_async(self, answer: Response) -> Buffer:
        if self.into is None and answer.span == self.span:
            return await answer.body_async()
        pieces = answer.chunks_async(_CHUNK_SIZE_ASYNC) if answer.span == self.span else answer.cut_async(self.span)
        if self.into is None:
            return b"".join([piece async for piece in pieces])
        position = 0
        async for piece in pieces:
            position = self.into.write(position, piece)
        return b""
