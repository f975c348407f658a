"""Split, join and resolve byte ranges. No I/O and no store, so every rule can be tested by itself."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import index
from typing import TYPE_CHECKING, NamedTuple, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = [
    "MAX_CONCURRENT_REQUESTS",
    "NO_OFFSET",
    "REQUEST_SIZE",
    "ByteRange",
    "ByteRanges",
    "block_indices",
    "chain",
    "coalesce",
    "coalesce_blocks",
    "covered_size",
    "merge_near",
    "resolve_length",
    "resolve_range",
    "split",
    "touching",
]

# The default size of the parts of whole objects and long reads: a cloud store sends 12 MiB in a few round trips' time.
REQUEST_SIZE = 12 * 1024 * 1024
MAX_CONCURRENT_REQUESTS = 18
# Its body takes 5 ms at 50 MB/s, much less than a round trip: two requests of half the length are hardly faster.
_LONG_REQUEST = 256 * 1024

# Stores count bytes in 64 bits; larger offsets are left to the store, which raises an error.
NO_OFFSET = 1 << 64


class ByteRange(NamedTuple):
    """The bytes from `start` up to, not including, `stop`."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """The number of bytes."""
        return self.stop - self.start


class ByteRanges(Sequence[ByteRange]):
    """A sequence of byte ranges. Created lazily: a bogus object size may imply billions of parts.

    Parameters
    ----------
    count
        Number of ranges.
    at
        Function that returns the range with a number, from 0 on.
    """

    __slots__ = ("_at", "_count")

    def __init__(self, count: int, at: Callable[[int], ByteRange]) -> None:
        self._count = count
        self._at = at

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, number: int) -> ByteRange: ...

    @overload
    def __getitem__(self, number: slice) -> ByteRanges: ...

    def __getitem__(self, number: int | slice) -> ByteRange | ByteRanges:
        numbers = range(self._count)[number]
        if isinstance(numbers, int):
            return self._at(numbers)
        return ByteRanges(len(numbers), lambda number: self._at(numbers[number]))


def chain(sequences: Iterable[Sequence[ByteRange]]) -> ByteRanges:
    """Concatenate several sequences of byte ranges."""
    some = [spans for spans in sequences if len(spans)]
    stops = list(accumulate(map(len, some), initial=0))

    def at(number: int) -> ByteRange:
        place = bisect_right(stops, number) - 1
        return some[place][number - stops[place]]

    return ByteRanges(stops[-1], at)


def split(span: ByteRange, request_size: int, max_concurrent: int, *, under_way: int = 0) -> ByteRanges:
    """Split a byte range into parts near `request_size`, in full batches of `max_concurrent` parts.

    Up to one batch, no part is longer than `request_size`. Beyond, the number of parts is rounded to full batches, so
    that the last batch is as full as the first; parts are then between 2/3 and 3/2 of `request_size`. `under_way`
    parts of about `request_size`, which are being fetched already, count into the first batch.
    """
    if span.length <= 0:
        return ByteRanges(0, lambda _: span)
    count = -(-span.length // request_size)
    if count + under_way > max_concurrent:
        batches = max(1, (2 * (count + under_way) + max_concurrent) // (2 * max_concurrent))
        count = max(1, batches * max_concurrent - under_way)
    count = min(count, span.length)
    return ByteRanges(
        count, lambda part: ByteRange(*(span.start + span.length * cut // count for cut in (part, part + 1)))
    )


def block_indices(span: ByteRange, size: int, block_size: int) -> range:
    """Return the indices of the blocks of `block_size` bytes that a range of an object of `size` bytes touches."""
    stop = min(span.stop, size)
    if span.start >= stop:
        return range(0)
    return range(span.start // block_size, -(-stop // block_size))


def covered_size(spans: Iterable[ByteRange], size: int, block_size: int) -> int:
    """Return the total size of the blocks that ranges of an object of `size` bytes touch; count each block once."""
    total = reached = 0
    for blocks in sorted((block_indices(span, size, block_size) for span in spans), key=lambda blocks: blocks.start):
        first = max(blocks.start, reached)
        if blocks.stop > first:
            total += min(blocks.stop * block_size, size) - first * block_size
            reached = blocks.stop
    return total


def coalesce_blocks(blocks: Iterable[int], block_size: int, size: int, *, max_gap: int = 0) -> Iterator[ByteRange]:
    """Join neighbouring blocks, given in ascending order, into as few byte ranges as possible.

    Blocks with at most `max_gap` others between them count as neighbours; the range includes those others, too.
    """
    runs: list[list[int]] = []
    for block in blocks:
        if runs and block - runs[-1][1] <= max_gap:
            runs[-1][1] = block + 1
        else:
            runs.append([block, block + 1])
    return (ByteRange(first * block_size, min(last * block_size, size)) for first, last in runs)


def merge_near(ranges: Iterable[ByteRange], max_gap: int, most: int) -> list[ByteRange]:
    """Join byte ranges, sorted by their starts, that overlap or have at most `max_gap` bytes between them.

    If these gaps have more than `most` bytes in all, only gaps up to the length for which they have not.
    """
    apart = _join(ranges, 0)
    gaps = sorted(gap for one, two in pairwise(apart) if (gap := two.start - one.stop) <= max_gap)
    count = bisect_right(list(accumulate(gaps)), most)
    return _join(apart, gaps[count] - 1 if count < len(gaps) else max_gap)


def _join(ranges: Iterable[ByteRange], max_gap: int) -> list[ByteRange]:
    joined: list[ByteRange] = []
    for start, stop in ranges:
        last = joined[-1] if joined else None
        if last and start - last.stop <= max_gap:
            joined[-1] = ByteRange(last.start, max(last.stop, stop))
        else:
            joined.append(ByteRange(start, stop))
    return joined


def coalesce(ranges: Iterable[ByteRange], max_gap: int, max_size: int) -> list[ByteRange]:
    """Return the byte ranges to request for `ranges`: sorted, no byte twice, none longer than `max_size`.

    Ranges that overlap or have at most `max_gap` bytes between them are joined, but not so much that fewer than
    `MAX_CONCURRENT_REQUESTS` long requests remain: one connection takes longer than several. A range is cut only if it
    is longer than `max_size`, or overlaps another and both together are.
    """
    ordered = sorted(ranges)
    total = sum(span.length for span in ordered)
    enough = min(max_size, max(_LONG_REQUEST, total // MAX_CONCURRENT_REQUESTS))
    runs: list[list[int]] = []
    for start, stop in ordered:
        last = runs[-1] if runs else [-1, -1]
        reached = max(stop, last[1])
        limit = max_size if start < last[1] else enough
        if runs and start - last[1] <= max_gap and reached - last[0] <= limit:
            last[1] = reached
        elif start >= last[1]:
            runs.append([start, stop])
        elif stop > last[1]:
            runs.append([last[1], stop])
    return [part for run in runs for part in split(ByteRange(*run), max_size, NO_OFFSET)]


def touching(requests: Sequence[ByteRange], span: ByteRange) -> range:
    """Return the indices of the byte ranges, sorted and disjoint, that have bytes of `span`, which they cover."""
    first = bisect_right(requests, span.start, key=lambda request: request.start) - 1
    return range(first, bisect_left(requests, span.stop, key=lambda request: request.start))


def resolve_range(wanted: object, size: int) -> ByteRange | None:
    """Turn the `range` option of a get into a byte range of an object of `size` bytes.

    Return None if only the store can serve it: malformed and negative ranges, empty ones, a suffix that is not
    positive, and ranges that start past the end.
    """
    try:
        start, stop = _bounds(wanted, size)
    except (TypeError, ValueError, LookupError):
        return None
    return _within(start, stop, size)


def _within(start: int, stop: int, size: int) -> ByteRange | None:
    last = min(stop, size)
    return ByteRange(start, last) if 0 <= start < last and stop < NO_OFFSET else None


def _bounds(wanted: object, size: int) -> tuple[int, int]:
    if isinstance(wanted, dict):
        return _mapping_bounds(wanted, size)
    if isinstance(wanted, tuple | list):
        start, stop = wanted
        return index(start), index(stop)
    raise TypeError


def _mapping_bounds(wanted: Mapping[str, int], size: int) -> tuple[int, int]:
    ((kind, value),) = wanted.items()
    if kind == "offset":
        return index(value), size
    if kind == "suffix" and index(value) > 0:
        return max(0, size - index(value)), size
    raise LookupError(kind)


def resolve_length(start: object, end: object, length: object, size: int) -> ByteRange | None:
    """Turn the arguments of a get_range into a byte range; None if only the store can serve it, see `resolve_range`."""
    if (end is None) == (length is None):
        return None
    stop = end if length is None else length
    if type(start) is int and type(stop) is int:  # fast path, for nearly all calls
        return _within(start, stop if length is None else start + stop, size)
    try:
        first = index(start)  # type: ignore[arg-type]
        return resolve_range((first, index(end) if length is None else first + index(length)), size)  # type: ignore[arg-type]
    except TypeError:
        return None
