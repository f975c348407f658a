"""The store below a cache: which version an object has, and blocks of that version."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Literal, TypeAlias

from obspec_utils._buffers import Parts
from obspec_utils._plan import Span, merge, split
from obspec_utils._response import Answer, answered
from obspec_utils._results import STEP, Result
from obspec_utils._version import Version
from obspec_utils.exceptions import IncompleteReadError, ObjectChangedError
from obspec_utils.wrappers._known import Known

if TYPE_CHECKING:
    from obspec import ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils._body import Limits
    from obspec_utils.wrappers._ways import Way

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

    def __init__(self, store: object, block_size: BlockSize, limits: Limits) -> None:
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

    def known(self, meta: ObjectMeta, attributes: object, checked: float) -> Known:
        """Take an object's version from its metadata."""
        version = Version.of(meta)
        # Blocks that can't be compared may be of two versions: what has none to compare is fetched in one go.
        unit = self._unit(version.size) if version.comparable(version) else max(version.size, 1)
        return Known(meta, attributes or {}, unit, checked)  # type: ignore[arg-type]

    async def ask(self, way: Way, path: str, first: Span, old: Known | None) -> Known:
        """Ask which version an object has; the body of the answer holds the `first` bytes wanted, if they are new.

        Returns `old` if that is still the version.
        """
        asked = time.time()
        try:
            answer = await self._begin(way, path, first, {} if old is None else _unless(old))
        except Exception as error:
            if old is None or type(error).__name__ != "NotModifiedError":
                raise
            old.checked = asked
            return old
        meta: ObjectMeta = answer.meta  # type: ignore[assignment] # an answer to a get always tells it
        known = self.known(meta, answer.attributes, asked)
        if not answer.ranged and first.start < known.size:  # a server that ignores ranges
            known.unit = max(known.size, 1)
        if old is not None and _same(path, old.version, known.version):
            old.checked = asked
            known = old
        known.offer(answer, way.owner())
        return known

    def _first(self, first: Span) -> Span:
        """Return what is asked for first: the blocks of the first bytes wanted, but no more than one request's."""
        unit = self._least_unit
        if first.start < 0:  # the blocks of the last bytes: where they begin depends on the size
            return Span(first.start - unit + 1, 0)
        start = first.start - first.start % unit
        most = max(unit, self.first_size - self.first_size % unit)
        return Span(start, min(-(-first.stop // unit) * unit, start + most))

    async def _begin(self, way: Way, path: str, first: Span, options: dict[str, object]) -> Answer:
        if self._block_size is not None and first.start >= 0:
            return await way.begin(self._store, path, self._first(first), options)
        if self._block_size is not None:
            options["range"] = {"suffix": -self._first(first).start}
        result = await way.ask(self._store, path, options)
        return answered(self._store, path, Span(*result.range), result, ranged="range" in options)

    async def fetch(
        self, way: Way, path: str, known: Known, numbers: list[int], *, contiguous: bool
    ) -> dict[int, Parts]:
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
        runs = list(merge(numbers, known.unit, known.size))
        taken = (known.take(run, way.owner()) for run in runs)
        first = next((answer for answer in taken if answer is not None), None)
        if first is not None and isinstance(first.source, Result) and numbers == [0] and known.unit >= known.size:
            parts = await way.parts(first.source, whole=contiguous)
            _check(path, parts, known)
            return {0: parts}
        spans = [part for run in runs for part in self._cut(run, first, known.unit)]
        limit = self._limits.max_concurrent
        buffers = await way.fetch(self._store, path, spans, known.version, limit, first=first)
        pieces = [*([] if first is None else [first.span]), *spans]
        arrived = sorted(zip(pieces, buffers, strict=True), key=lambda piece: piece[0])
        starts = [piece.start for piece, _ in arrived]
        blocks, done = {}, 0
        for span, number in ((known.span(number), number) for number in numbers):
            first_piece = bisect_right(starts, span.start) - 1
            blocks[number] = _block(path, span, arrived[max(first_piece, 0) : bisect_left(starts, span.stop)])
            done += span.length + _COST_OF_BLOCK
            if done >= STEP:
                done = 0
                await way.sleep(0)
        return blocks

    async def ranges(self, way: Way, path: str, known: Known, spans: list[Span]) -> dict[Span, Parts]:
        """Fetch any spans of a version.

        Raises
        ------
        ObjectChangedError
            If the object has another version by now.
        """
        wanted = sorted(set(spans))
        buffers = await way.fetch(self._store, path, wanted, known.version, self._limits.max_concurrent, first=None)
        return {span: Parts([buffer], span.start) for span, buffer in zip(wanted, buffers, strict=True)}

    async def at_once(self, way: Way, path: str, span: Span) -> tuple[Known, Parts]:
        """Fetch a span by one request, of whatever version there is."""
        asked = time.time()
        answer = await way.begin(self._store, path, span, {})
        known = self.known(answer.meta, answer.attributes, asked)  # type: ignore[arg-type] # a get always tells it
        (body,) = await way.fetch(self._store, path, [], known.version, 1, first=answer)
        return known, Parts([body], answer.span.start)

    def _cut(self, run: Span, first: Answer | None, unit: int) -> list[Span]:
        """Cut what is to be asked for of a run into requests, between blocks if they are smaller than those."""
        rest = [run]
        if first is not None:
            rest = [Span(run.start, min(run.stop, first.span.start)), Span(max(run.start, first.span.stop), run.stop)]
        under_way = int(first is not None)
        request_size, limit = self._limits
        cut: list[Span] = []
        for span in rest:
            if span.start % unit or unit > request_size:
                cut += split(span, request_size, limit, under_way=under_way)
                continue
            blocks = Span(span.start // unit, -(-span.stop // unit))
            for start, stop in split(blocks, request_size // unit, limit, under_way=under_way):
                cut.append(Span(start * unit, min(stop * unit, span.stop)))
        return cut


def _unless(old: Known) -> dict[str, object]:
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


def _check(path: str, parts: Parts, known: Known) -> None:
    if len(parts) != known.size:
        msg = f"The store answered the request for {path!r} with {len(parts)} bytes instead of {known.size}."
        raise IncompleteReadError(msg)


def _compact(buffer: Buffer) -> Buffer:
    """Return a small buffer without what a store has allocated around it, which is about 4 KiB."""
    return bytes(buffer) if memoryview(buffer).nbytes <= _SMALL else buffer


def _block(path: str, span: Span, arrived: list[tuple[Span, Buffer]]) -> Parts:
    """Return one block out of what arrived, in a buffer of its own, so that nothing else stays in memory with it."""
    views = []
    for piece, buffer in arrived:
        if piece == span:
            return Parts([_compact(buffer)], span.start)
        start, stop = max(piece.start, span.start), min(piece.stop, span.stop)
        if start < stop:
            views.append(memoryview(buffer).cast("B")[start - piece.start : stop - piece.start])
    block = b"".join(views)
    if len(block) != span.length:
        msg = f"Bytes {span.start} to {span.stop} of {path!r} were fetched as {len(block)} bytes. Read again."
        raise IncompleteReadError(msg)
    return Parts([block], span.start)
