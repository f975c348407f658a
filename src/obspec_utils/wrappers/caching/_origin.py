"""The store below a cache: which version an object has, and blocks of that version."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Literal, TypeAlias

from obspec_utils._io.buffers import BufferList
from obspec_utils._io.get_result import STEP, Result
from obspec_utils._io.response import Response, response_of
from obspec_utils._ranges import ByteRange, coalesce_blocks, split
from obspec_utils._version import Version
from obspec_utils.exceptions import IncompleteReadError, ObjectChangedError
from obspec_utils.wrappers.caching._entry import Entry

if TYPE_CHECKING:
    from obspec import ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils._io.backends import Backend
    from obspec_utils._io.multipart import PartLimits

__all__ = ["AUTO_BLOCK_SIZE", "AUTO_WHOLE_SIZE", "BlockSize", "Origin"]

BlockSize: TypeAlias = int | Literal["auto"] | None

# At 30 ms and 50 MB/s a connection brings 1.5 MB in the time of one round trip; long reads merge their blocks anyway.
AUTO_BLOCK_SIZE = 1024 * 1024
# Up to here one connection brings all of it in 0.2 s, after which every read of the object is free.
AUTO_WHOLE_SIZE = 8 * 1024 * 1024

# A block takes about as long as to copy so many bytes.
_COST_OF_BLOCK = 16 * 1024

# Up to here a copy takes less than a hundredth of the time of any request.
_SMALL = 256 * 1024


class Origin:
    """The store below.

    Parameters
    ----------
    block_size
        How many bytes the blocks have; None if objects are fetched whole, by a plain get of the store.
    limits
        The size and the number of the requests that long runs of blocks are cut into.
    """

    def __init__(self, store: object, block_size: BlockSize, limits: PartLimits) -> None:
        self._store = store
        self._block_size = block_size
        self._limits = limits
        self.by_blocks = block_size is not None
        # The most that is asked for before an object's size is known, but for one block.
        self.first_size = limits.request_size

    def _unit(self, size: int) -> int:
        """Return how many bytes the blocks of an object of this size have."""
        if self._block_size is None or (self._block_size == "auto" and size <= AUTO_WHOLE_SIZE):
            return max(size, 1)
        return self._least_unit

    @property
    def _least_unit(self) -> int:
        """How many bytes are asked for at least while an object's size is not known."""
        return AUTO_BLOCK_SIZE if isinstance(self._block_size, str | None) else self._block_size

    def entry(self, meta: ObjectMeta, attributes: object, validated_at: float) -> Entry:
        """Take an object's version from its metadata."""
        version = Version.of(meta)
        # Blocks that can't be compared may be of two versions: what has none to compare is fetched in one go.
        block_size = self._unit(version.size) if version.comparable(version) else max(version.size, 1)
        return Entry(meta, attributes or {}, block_size, validated_at)  # type: ignore[arg-type]

    async def revalidate(self, backend: Backend, path: str, first: ByteRange, old: Entry | None) -> Entry:
        """Ask which version an object has; the body of the answer holds the `first` bytes wanted, if they are new.

        Returns `old` if that is still the version.
        """
        asked = time.time()
        try:
            answer = await self._begin(backend, path, first, {} if old is None else _unless(old))
        except Exception as error:
            if old is None or type(error).__name__ != "NotModifiedError":
                raise
            old.validated_at = asked
            return old
        meta: ObjectMeta = answer.meta  # type: ignore[assignment] # an answer to a get always tells it
        entry = self.entry(meta, answer.attributes, asked)
        if not answer.ranged and first.start < entry.size:  # a server that ignores ranges
            entry.block_size = max(entry.size, 1)
        if old is not None and _same(path, old.version, entry.version):
            old.validated_at = asked
            entry = old
        entry.offer_response(answer, backend.owner())
        return entry

    def _first(self, first: ByteRange) -> ByteRange:
        """Return what is asked for first: the blocks of the first bytes wanted, but no more than one request's."""
        block_size = self._least_unit
        if first.start < 0:  # the blocks of the last bytes: where they begin depends on the size
            return ByteRange(first.start - block_size + 1, 0)
        start = first.start - first.start % block_size
        most = max(block_size, self.first_size - self.first_size % block_size)
        return ByteRange(start, min(-(-first.stop // block_size) * block_size, start + most))

    async def _begin(self, backend: Backend, path: str, first: ByteRange, options: dict[str, object]) -> Response:
        if self._block_size is not None and first.start >= 0:
            return await backend.request_first(self._store, path, self._first(first), options)
        if self._block_size is not None:
            options["range"] = {"suffix": -self._first(first).start}
        result = await backend.revalidate(self._store, path, options)
        return response_of(self._store, path, ByteRange(*result.range), result, ranged="range" in options)

    async def fetch(
        self, backend: Backend, path: str, entry: Entry, numbers: list[int], *, contiguous: bool
    ) -> dict[int, BufferList]:
        """Fetch blocks of a version: neighbours together, long runs in parallel, what is under way already only once.

        Parameters
        ----------
        contiguous
            Whether an object that is one block is better in one buffer.

        Raises
        ------
        ObjectChangedError
            If the object has another version by now.
        """
        runs = list(coalesce_blocks(numbers, entry.block_size, entry.size))
        taken = (entry.take_response(run, backend.owner()) for run in runs)
        first = next((answer for answer in taken if answer is not None), None)
        if first is not None and isinstance(first.source, Result) and numbers == [0] and entry.block_size >= entry.size:
            parts = await backend.parts(first.source, whole=contiguous)
            _check(path, parts, entry)
            return {0: parts}
        spans = [part for run in runs for part in self._cut(run, first, entry.block_size)]
        limit = self._limits.max_concurrent
        buffers = await backend.fetch(self._store, path, spans, entry.version, limit, first=first)
        pieces = [*([] if first is None else [first.span]), *spans]
        arrived = sorted(zip(pieces, buffers, strict=True), key=lambda piece: piece[0])
        starts = [piece.start for piece, _ in arrived]
        blocks, done = {}, 0
        for span, number in ((entry.span(number), number) for number in numbers):
            first_piece = bisect_right(starts, span.start) - 1
            blocks[number] = _block(path, span, arrived[max(first_piece, 0) : bisect_left(starts, span.stop)])
            done += span.length + _COST_OF_BLOCK
            if done >= STEP:
                done = 0
                await backend.sleep(0)
        return blocks

    async def ranges(
        self, backend: Backend, path: str, entry: Entry, spans: list[ByteRange]
    ) -> dict[ByteRange, BufferList]:
        """Fetch any spans of a version.

        Raises
        ------
        ObjectChangedError
            If the object has another version by now.
        """
        wanted = sorted(set(spans))
        buffers = await backend.fetch(self._store, path, wanted, entry.version, self._limits.max_concurrent, first=None)
        return {span: BufferList([buffer], span.start) for span, buffer in zip(wanted, buffers, strict=True)}

    async def fetch_single(self, backend: Backend, path: str, span: ByteRange) -> tuple[Entry, BufferList]:
        """Fetch a span by one request, of whatever version there is."""
        asked = time.time()
        answer = await backend.request_first(self._store, path, span, {})
        entry = self.entry(answer.meta, answer.attributes, asked)  # type: ignore[arg-type] # a get always tells it
        (body,) = await backend.fetch(self._store, path, [], entry.version, 1, first=answer)
        return entry, BufferList([body], answer.span.start)

    def _cut(self, run: ByteRange, first: Response | None, block_size: int) -> list[ByteRange]:
        """Cut what is to be asked for of a run into requests, between blocks if they are smaller than those."""
        rest = [run]
        if first is not None:
            rest = [
                ByteRange(run.start, min(run.stop, first.span.start)),
                ByteRange(max(run.start, first.span.stop), run.stop),
            ]
        under_way = int(first is not None)
        request_size, limit = self._limits
        cut: list[ByteRange] = []
        for span in rest:
            if span.start % block_size or block_size > request_size:
                cut += split(span, request_size, limit, under_way=under_way)
                continue
            blocks = ByteRange(span.start // block_size, -(-span.stop // block_size))
            for start, stop in split(blocks, request_size // block_size, limit, under_way=under_way):
                cut.append(ByteRange(start * block_size, min(stop * block_size, span.stop)))
        return cut


def _unless(old: Entry) -> dict[str, object]:
    """Return the conditions of a request that is only answered by a version other than an old one."""
    if not old.version.comparable(old.version):
        return {}
    if old.version.e_tag is not None:
        return {"if_none_match": old.version.e_tag}
    return {"if_modified_since": old.version.last_modified}


def _same(path: str, old: Version, new: Version) -> bool:
    """Tell whether two versions are one for certain."""
    try:
        old.check(path, new)
    except ObjectChangedError:
        return False
    return old.comparable(new)


def _check(path: str, parts: BufferList, entry: Entry) -> None:
    if len(parts) != entry.size:
        msg = f"The store answered the request for {path!r} with {len(parts)} bytes instead of {entry.size}."
        raise IncompleteReadError(msg)


def _compact(buffer: Buffer) -> Buffer:
    """Return a small buffer without what a store has allocated around it, which is about 4 KiB."""
    return bytes(buffer) if memoryview(buffer).nbytes <= _SMALL else buffer


def _block(path: str, span: ByteRange, arrived: list[tuple[ByteRange, Buffer]]) -> BufferList:
    """Return one block out of what arrived, in a buffer of its own, so that nothing else stays in memory with it."""
    views = []
    for piece, buffer in arrived:
        if piece == span:
            return BufferList([_compact(buffer)], span.start)
        start, stop = max(piece.start, span.start), min(piece.stop, span.stop)
        if start < stop:
            views.append(memoryview(buffer).cast("B")[start - piece.start : stop - piece.start])
    block = b"".join(views)
    if len(block) != span.length:
        msg = f"Bytes {span.start} to {span.stop} of {path!r} were fetched as {len(block)} bytes. Read again."
        raise IncompleteReadError(msg)
    return BufferList([block], span.start)
