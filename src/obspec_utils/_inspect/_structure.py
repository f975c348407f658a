"""Where the metadata of a file lies, and in how many steps it is found."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from obspec_utils._inspect._cost import Batch
from obspec_utils._ranges import ByteRange, merge_near
from obspec_utils.readers._structure_ahead import GAP_PART, MAX_BREADTH, MAX_GAP, whole_pages

if TYPE_CHECKING:
    from obspec_utils._formats.interface import FileStructure
    from obspec_utils.readers import ParallelStoreReader

__all__ = ["Extent", "extent_of", "find_metadata"]


class Extent(NamedTuple):
    """The byte ranges of some structures: how many, their size, the first and last offset, and separate pieces."""

    structures: int
    bytes: int
    start: int
    stop: int
    pieces: int


def extent_of(ranges: list[ByteRange], size: int) -> Extent:
    """Return how scattered byte ranges of a file of `size` bytes are."""
    ranges = sorted(ranges)
    if not ranges:
        return Extent(0, 0, 0, 0, 0)
    apart = merge_near(ranges, 0, 0)
    return Extent(len(ranges), _length(apart), apart[0].start, apart[-1].stop, len(_pages(apart, size)))


def find_metadata(
    structure: FileStructure, reader: ParallelStoreReader, first_size: int
) -> tuple[list[ByteRange], list[Batch]]:
    """Parse the structure of a file; return the byte ranges of its metadata, and the batches that would fetch it.

    The first request would be for `first_size` bytes; a structure that is only known from another one is of a later
    batch. The reader has fetched it all, so this sends no requests.
    """
    parsed: dict[int, int] = {}
    known = [ByteRange(0, min(first_size, reader.size))]
    batches = [Batch(1, known[0].length)]

    def read(start: int, stop: int) -> bytes | None:
        stop = min(stop, reader.size)
        if not _covers(known, start, stop):
            return None
        parsed[start] = max(stop, parsed.get(start, 0))
        reader.seek(start)
        return reader.read(stop - start)

    structure.parse(read)
    while wanted := structure.wanted(MAX_BREADTH):
        pages = _pages(wanted, reader.size)
        before, known = known, merge_near(sorted([*known, *pages]), 0, 0)
        if known == before:
            break
        batches.append(Batch(len(pages), _length(known) - _length(before)))
        structure.parse(read)
    return [ByteRange(*span) for span in parsed.items()], batches


def _pages(ranges: list[ByteRange], size: int) -> list[ByteRange]:
    """Return the pages that have byte ranges; those that lie close together as one."""
    spans = sorted(whole_pages(span, size) for span in ranges)
    return merge_near(spans, MAX_GAP, _length(merge_near(spans, 0, 0)) // GAP_PART)


def _length(ranges: list[ByteRange]) -> int:
    return sum(span.length for span in ranges)


def _covers(known: list[ByteRange], start: int, stop: int) -> bool:
    """Return whether one of some sorted and separate byte ranges has all bytes from `start` to `stop`."""
    at = bisect_right(known, start, key=lambda span: span.start) - 1
    return at >= 0 and stop <= known[at].stop
