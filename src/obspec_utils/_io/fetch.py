"""Fetch byte ranges of one version of an object: one request each, a limited number concurrently, with retries."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from logging import INFO
from typing import TYPE_CHECKING, cast

from obspec_utils._io.allocation import WriteTarget, allocate
from obspec_utils._io.backends import SYNC, run
from obspec_utils._io.errors import is_transient
from obspec_utils._io.gc_pause import raise_if_interrupted
from obspec_utils._io.logs import log
from obspec_utils._io.request import send_range_or_whole
from obspec_utils._io.retry import Attempts, RetryBudget
from obspec_utils._version import Version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from typing_extensions import Buffer

    from obspec_utils._io.backends import Backend
    from obspec_utils._io.progress import Counter
    from obspec_utils._io.response import Response
    from obspec_utils._ranges import ByteRange

__all__ = ["fetch", "fetch_parts", "read_first"]

# Bytes of a body to read at a time into a preallocated buffer. 256 MiB in 18 parts then take 1.11 times their size in
# memory (1.15 with 256 KiB, 1.25 with 1 MiB), in the same time. Passing a chunk to an event loop takes longer, so
# chunks are larger there: 1.28 times the memory, and 1.23 times the time of threads that keep parts.
_CHUNK_SIZE = 64 * 1024
_CHUNK_SIZE_ASYNC = 512 * 1024


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of one fetch. Created lazily: a bogus object size may imply billions of parts."""

    backend: Backend
    store: object
    path: str
    spans: Sequence[ByteRange]
    version: Version
    first: Response | None
    targets: Sequence[WriteTarget] | None
    budget: RetryBudget
    counters: Sequence[Counter]

    async def fetch(self, number: int) -> Buffer:
        """Fetch a part by number: that of the first response if there is one, then those of the spans."""
        target = None if self.targets is None else self.targets[number]
        if self.first is None:
            return await self._fetch_part(self.spans[number], None, target)
        if number == 0:
            return await self._fetch_part(self.first.span, self.first, target)
        return await self._fetch_part(self.spans[number - 1], None, target)

    async def _fetch_part(self, span: ByteRange, response: Response | None, target: WriteTarget | None) -> Buffer:
        """Fetch a part; if reading its body fails, request it again. Return an empty buffer if there is a target.

        The error of the first attempt is raised, unless a later one is final.
        """
        first_error, delay = cast("Exception | None", None), cast("float | None", None)
        # No retries if only the size of the version can be compared.
        comparable = self.version.has_validator and self.backend.has(self.store, "get")
        attempts = Attempts(self.budget, safe=comparable)
        try:
            while True:
                try:
                    response = await self._request(span) if response is None else response
                    if first_error is None or self._comparable(response):
                        return await self._read(response, span, target)
                    delay = None
                except Exception as error:
                    if first_error is not None and not is_transient(error):
                        raise
                    first_error = first_error or error
                    delay = attempts.delay_after(error, reading=response is not None)
                if delay is not None:
                    log(
                        INFO,
                        "Retry bytes %s to %s of %r in %s s: %s",
                        span.start,
                        span.stop,
                        self.path,
                        delay,
                        first_error,
                    )
                if delay is None or await self.backend.sleep(delay, self.budget.stop):
                    raise first_error
                response = None
        finally:
            del first_error  # break the cycle error -> traceback -> frame

    async def _request(self, span: ByteRange) -> Response:
        """Request a part; reject a response of another version before its body is read."""
        response = await send_range_or_whole(self.backend, self.store, self.path, span, self.version.options)
        if response.meta is not None:
            self.version.check(self.path, Version.of(response.meta))
        elif response.span.stop < span.stop:
            self.version.check(self.path, Version(response.span.stop))
        return response

    def _comparable(self, response: Response) -> bool:
        return response.meta is not None and self.version.comparable(Version.of(response.meta))

    async def _read(self, response: Response, span: ByteRange, target: WriteTarget | None) -> Buffer:
        if target is None and self.counters and response.streams:  # as it arrives, to count the bytes
            memory = allocate(span.length)
            await self._write(response, span, WriteTarget(memory, 0))
            return memory.view
        if target is None:
            whole = response.span == span
            body = await self.backend.body(response) if whole else await self._join(response, span)
            self._count(span.length)
            return body
        await self._write(response, span, target)
        return b""

    async def _join(self, response: Response, span: ByteRange) -> bytes:
        return b"".join([piece async for piece in self._pieces(response, span)])

    async def _write(self, response: Response, span: ByteRange, target: WriteTarget) -> None:
        position = 0
        try:
            async for piece in self._pieces(response, span):
                position = target.write(position, piece)
                if self.counters:
                    self._count(memoryview(piece).nbytes)
                    raise_if_interrupted()
        except BaseException:
            self._count(-position)  # they are requested again, or the whole object is
            raise

    def _count(self, length: int) -> None:
        for counter in self.counters:
            counter.add(length)

    async def _pieces(self, response: Response, span: ByteRange) -> AsyncIterator[Buffer]:
        """Read a part's bytes as they arrive; if the server ignored the range, skip the other bytes."""
        backend = self.backend
        if response.span != span and not response.streams:
            yield response.slice(await backend.body(response), span)
            return
        position = response.span.start
        size = _CHUNK_SIZE if backend.owner() is None else _CHUNK_SIZE_ASYNC
        async with aclosing(backend.chunks(response, size)) as chunks:
            async for chunk in chunks:
                view = memoryview(chunk).cast("B")
                start = min(max(span.start - position, 0), view.nbytes)
                piece = view[start : max(start, span.stop - position)]
                if piece.nbytes:  # an empty view would keep its chunk in memory
                    yield piece
                position += view.nbytes
                if span.stop <= position < response.span.stop:
                    return


async def fetch_parts(
    backend: Backend,
    store: object,
    path: str,
    spans: Sequence[ByteRange],
    version: Version,
    limit: int,
    *,
    first: Response | None = None,
    targets: Sequence[WriteTarget] | None = None,
    counters: Sequence[Counter] = (),
) -> list[Buffer]:
    """Fetch byte ranges of one version of an object, one request each; only a part that fails is retried.

    Parameters
    ----------
    spans
        The byte ranges, within the object.
    version
        The version that every response must have.
    limit
        The maximum number of requests in flight.
    first
        A response whose headers have arrived. Its body is read concurrently with the spans, and is first in the result.
    targets
        Where to write the bytes of each part (`first`, then the spans); the returned buffers are empty then. After an
        error their content is undefined.
    counters
        Where to count the bytes as they arrive. Bytes that are requested again are subtracted first.

    Raises
    ------
    ObjectChangedError
        If a response is of another version.
    """
    count = len(spans) + (first is not None)
    parts = _Parts(backend, store, path, spans, version, first, targets, RetryBudget(count), counters)
    if count == 1:
        return [await parts.fetch(0)]
    return await backend.gather(parts.fetch, count, limit, parts.budget.stop)


def fetch(
    store: object,
    path: str,
    spans: Sequence[ByteRange],
    version: Version,
    limit: int,
    *,
    first: Response | None = None,
) -> list[Buffer]:
    """Fetch as `fetch_parts` does, in the calling thread and helper threads."""
    return run(fetch_parts(SYNC, store, path, spans, version, limit, first=first))


def read_first(store: object, first: Response, version: Version) -> Buffer:
    """Read the body of an object's first response; if it breaks, request its range again, of the same version."""
    (body,) = fetch(store, first.path, [], version, 1, first=first)
    return body
