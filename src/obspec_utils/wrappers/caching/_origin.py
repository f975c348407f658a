"""Requests to the wrapped store: the version of an object, and blocks of that version."""

from __future__ import annotations

import time
from logging import WARNING
from typing import TYPE_CHECKING, Literal, TypeAlias

from obspec_utils._io.buffers import BufferList
from obspec_utils._io.errors import is_condition_refused
from obspec_utils._io.fetch import fetch_parts
from obspec_utils._io.get_result import Result
from obspec_utils._io.logs import log
from obspec_utils._io.request import send_first, send_get
from obspec_utils._io.response import Response, response_of
from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS, REQUEST_SIZE, ByteRange, coalesce_blocks, split
from obspec_utils.exceptions import IncompleteReadError
from obspec_utils.wrappers.caching._assembly import assemble, compact
from obspec_utils.wrappers.caching._entries import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obspec import ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils._io.multipart import PartLimits
    from obspec_utils._version import CheckVersion
    from obspec_utils.wrappers.caching._context import RequestContext
    from obspec_utils.wrappers.caching._stats import Counters

__all__ = ["AUTO_BLOCK_SIZE", "AUTO_WHOLE_SIZE", "BlockSize", "Origin"]

BlockSize: TypeAlias = int | Literal["auto"] | None

# At 30 ms and 50 MB/s, a connection transfers 1.5 MB in one round trip. Long reads coalesce their blocks.
AUTO_BLOCK_SIZE = 1024 * 1024
# One connection transfers this much in 0.2 s; every later read of the object is a hit.
AUTO_WHOLE_SIZE = 8 * 1024 * 1024

# A full batch of requests.
_WINDOW = REQUEST_SIZE * MAX_CONCURRENT_REQUESTS


class Origin:
    """The wrapped store.

    Parameters
    ----------
    store
        The wrapped store.
    block_size
        Bytes in a block; None to fetch objects whole, by a plain get.
    limits
        Size and number of the requests that a long run of blocks is split into.
    max_read
        The maximum number of bytes of one read that a cache can keep; None without limit.
    check_version
        What of an object's metadata tells its versions apart.
    counters
        Where requests are counted.

    Attributes
    ----------
    window
        Bytes of a large object to fetch at a time.
    """

    def __init__(
        self,
        store: object,
        block_size: BlockSize,
        limits: PartLimits,
        max_read: int | None,
        check_version: CheckVersion,
        counters: Counters,
    ) -> None:
        self._store = store
        self._counters = counters
        self._block_size = block_size
        self._limits = limits
        self._check_version = check_version
        self._refuses_conditions = False  # once noticed: a conditional request failed, the same without did not
        self.by_blocks = block_size is not None
        self.max_read = max_read
        self.window = _WINDOW if max_read is None else min(_WINDOW, max(max_read // 2, 1))
        # The maximum to request before the size of an object is known, if it is more than one block.
        self._first_size = min(limits.request_size, self.window)

    @property
    def _min_block_size(self) -> int:
        """Bytes in a block of a large object."""
        return AUTO_BLOCK_SIZE if isinstance(self._block_size, str | None) else self._block_size

    def entry(self, meta: ObjectMeta, attributes: object, validated_at: float) -> Entry:
        """Return an entry for an object's metadata."""
        entry = Entry(meta, attributes or {}, max(meta["size"], 1), validated_at, self._check_version)  # type: ignore[arg-type]
        is_whole = self._block_size is None or (self._block_size == "auto" and entry.size <= AUTO_WHOLE_SIZE)
        # Without a validator, two blocks could be of two versions: fetch the object in one request.
        if not is_whole and entry.version.has_validator:
            entry.block_size = self._min_block_size
        return entry

    async def request_version(
        self, call: RequestContext, first: ByteRange, old: Entry | None, *, conditional: bool
    ) -> tuple[Entry, Response | None]:
        """Request the version of an object, together with its `first` byte range.

        With `conditional`, send a conditional request; a 304 has no body. If the store refuses it, send it without the
        condition, now and from then on.

        Parameters
        ----------
        old
            The version known before.
        conditional
            Whether the bytes are not needed if `old` is still the version.

        Returns
        -------
        tuple
            The entry, which is `old` if that is still the version; and the response, whose body is not read yet.
        """
        validated_at = time.time()
        conditions = _if_changed(old) if old is not None and conditional and not self._refuses_conditions else {}
        try:
            response = await self._request(call, first, conditions)
        except Exception as error:
            if old is not None and type(error).__name__ == "NotModifiedError":
                old.validated_at = validated_at
                return old, None
            if not (conditions and is_condition_refused(error)):
                raise
            response = await self._request(call, first, {})  # fails as well if a permission is missing
            self._refuses_conditions = True
            log(WARNING, "Revalidate without conditions, which %s refuses: %s", self._store, error)
        entry = self.entry(response.meta, response.attributes, validated_at)  # type: ignore[arg-type] # set by a get
        if not response.ranged and first.start < entry.size:  # the server ignores ranges
            entry.block_size = max(entry.size, 1)
        if old is not None and old.version.is_same(entry.version):
            old.validated_at = validated_at
            entry = old
        return entry, response

    def _first_range(self, first: ByteRange) -> ByteRange:
        """Return the range of the first request: the blocks of `first`, up to the size of a request."""
        block_size = self._min_block_size
        if first.start < 0:  # a suffix, whose first block depends on the object's size
            return ByteRange(first.start - block_size + 1, 0)
        start = first.start - first.start % block_size
        most = max(block_size, self._first_size - self._first_size % block_size)
        return ByteRange(start, min(-(-first.stop // block_size) * block_size, start + most))

    async def _request(self, call: RequestContext, first: ByteRange, conditions: dict[str, object]) -> Response:
        options = dict(conditions)
        self._counters.add(requests=1)
        if self.by_blocks and first.start >= 0:
            return await send_first(call.backend, self._store, call.path, self._first_range(first), options)
        if self.by_blocks:
            options["range"] = {"suffix": -self._first_range(first).start}
        result = await send_get(call.backend, self._store, call.path, options)
        return response_of(self._store, call.path, ByteRange(*result.range), result, ranged=self.by_blocks)

    async def fetch(
        self,
        call: RequestContext,
        entry: Entry,
        numbers: list[int],
        *,
        first: Response | None,
        contiguous: bool,
        min_part: int | None = None,
    ) -> dict[int, BufferList]:
        """Fetch blocks of a version: adjacent blocks together, long runs in parallel requests.

        Parameters
        ----------
        first
            A response whose body may hold some of the bytes, which are not requested again.
        contiguous
            Whether to prefer one buffer for an object that is one block.
        min_part
            If blocks are read ahead, the minimum number of blocks in a request: more requests are sent in parallel, so
            that all blocks arrive when the first do.

        Raises
        ------
        ObjectChangedError
            If the object has another version by now.
        """
        is_whole = numbers == [0] and entry.block_size >= entry.size
        if call.counter is not None:
            call.counter.size = entry.size
        if first is not None and is_whole and isinstance(first.source, Result):
            result, is_sync = first.source, call.backend.owner() is None
            if call.counter is not None:
                result.count(call.counter)
            parts = result.parts(whole=contiguous) if is_sync else await result.parts_async(whole=contiguous)
            _check_length(call.path, parts, entry)
            return {0: parts}
        runs = list(coalesce_blocks(numbers, entry.block_size, entry.size))
        if not any(_overlaps(first, run) for run in runs):
            first = None
        spans = (
            []
            if first is not None and [first.span] == runs
            else self._split(runs, first, entry, self._request_size(entry, len(numbers), min_part))
        )
        buffers = await self._fetch(call, spans, entry, first)
        pieces = spans if first is None else [first.span, *spans]
        if len(pieces) == len(numbers) == 1 and pieces == runs:
            return {numbers[0]: BufferList([compact(buffers[0])], runs[0].start)}
        return await assemble(call, entry, numbers, list(zip(pieces, buffers, strict=True)))

    async def _fetch(
        self, call: RequestContext, spans: Sequence[ByteRange], entry: Entry, first: Response | None = None
    ) -> list[Buffer]:
        limit = min(self._limits.max_concurrent, call.max_requests or self._limits.max_concurrent)
        self._counters.add(requests=len(spans))
        counters = () if call.counter is None else (call.counter,)
        return await fetch_parts(
            call.backend, self._store, call.path, spans, entry.version, limit, first=first, counters=counters
        )

    async def fetch_ranges(
        self, call: RequestContext, entry: Entry, ranges: list[ByteRange]
    ) -> dict[ByteRange, BufferList]:
        """Fetch any byte ranges of a version.

        Raises
        ------
        ObjectChangedError
            If the object has another version by now.
        """
        wanted = sorted(set(ranges))
        buffers = await self._fetch(call, wanted, entry)
        return {span: BufferList([buffer], span.start) for span, buffer in zip(wanted, buffers, strict=True)}

    async def fetch_single(self, call: RequestContext, span: ByteRange) -> tuple[Entry, BufferList]:
        """Fetch a byte range by one request, of any version."""
        validated_at = time.time()
        self._counters.add(requests=1)
        response = await send_first(call.backend, self._store, call.path, span)
        entry = self.entry(response.meta, response.attributes, validated_at)  # type: ignore[arg-type] # set by a get
        (body,) = await self._fetch(call, [], entry, response)
        return entry, BufferList([body], response.span.start)

    def _request_size(self, entry: Entry, count: int, min_part: int | None) -> int:
        """Return the size of the requests for some blocks."""
        request_size, limit = self._limits
        if min_part is None:
            return request_size
        return min(request_size, max(max(min_part, -(-count // limit)) * entry.block_size, AUTO_BLOCK_SIZE))

    def _split(self, runs: list[ByteRange], first: Response | None, entry: Entry, request_size: int) -> list[ByteRange]:
        """Split runs of blocks, except the bytes of `first`, into requests; between blocks if these are smaller."""
        requests: list[ByteRange] = []
        limit = self._limits.max_concurrent
        for span in _without(runs, first):
            if span.start % entry.block_size or entry.block_size > request_size:
                requests += split(span, request_size, limit, under_way=int(first is not None))
                continue
            block_size = entry.block_size
            blocks = ByteRange(span.start // block_size, -(-span.stop // block_size))
            for start, stop in split(blocks, request_size // block_size, limit, under_way=int(first is not None)):
                requests.append(ByteRange(start * block_size, min(stop * block_size, span.stop)))
        return requests


def _overlaps(response: Response | None, span: ByteRange) -> bool:
    """Return whether the body of a response holds some bytes of a range."""
    return response is not None and response.span.start < span.stop and span.start < response.span.stop


def _without(runs: list[ByteRange], response: Response | None) -> list[ByteRange]:
    """Return the byte ranges without the bytes of a response; some may be empty."""
    if response is None:
        return runs
    held = response.span
    return [
        part
        for run in runs
        for part in (ByteRange(run.start, min(run.stop, held.start)), ByteRange(max(run.start, held.stop), run.stop))
    ]


def _if_changed(old: Entry) -> dict[str, object]:
    """Return the options of a conditional get (304 if unchanged)."""
    if not old.version.has_validator:
        return {}
    if old.version.e_tag is not None:
        return {"if_none_match": old.version.e_tag}
    return {"if_modified_since": old.version.last_modified}


def _check_length(path: str, parts: BufferList, entry: Entry) -> None:
    if len(parts) != entry.size:
        msg = f"Expected {entry.size} bytes of {path!r}, got {len(parts)}. Retry the read."
        raise IncompleteReadError(msg)
