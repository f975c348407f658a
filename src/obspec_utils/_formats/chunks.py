"""Chunks of arrays and tiles of images: where they lie, in logical order, and which one has the byte at an offset."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import islice
from operator import add, lt
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_CHUNKS", "OUTSIDE", "ChunkIndex", "Chunks"]

# The number of a chunk that is outside of its array.
OUTSIDE = -1
# A chunk takes about 50 bytes of memory.
MAX_CHUNKS = 1 << 19

# What a table has as long as it has no chunks.
_EMPTY = array("Q"), array("Q"), array("Q")


class Chunks:
    """The chunks of one array that are known so far, in row-major order.

    Parameters
    ----------
    address
        Offset in the file of the header of the array, which no other array has.
    row_length
        Number of chunks in a row of the grid, if windows of the grid are read; 1 if chunks are read one after the
        other.
    """

    __slots__ = ("_columns", "_is_ordered", "address", "row_length")

    def __init__(self, address: int, row_length: int = 1) -> None:
        self.address = address
        self.row_length = row_length
        self._columns: tuple[array[int], ...] = _EMPTY
        self._is_ordered = True

    def __len__(self) -> int:
        return len(self._columns[0])

    @property
    def numbers(self) -> array[int]:
        """The position of each chunk in the grid, in row-major order, counted from zero."""
        return self._ordered()[0]

    @property
    def offsets(self) -> array[int]:
        """The offset of each chunk in the file."""
        return self._ordered()[1]

    @property
    def sizes(self) -> array[int]:
        """The stored size of each chunk in bytes."""
        return self._ordered()[2]

    def _ordered(self) -> tuple[array[int], ...]:
        if not self._is_ordered:
            self._columns = _sorted(self._columns)
            self._is_ordered = True
        return self._columns

    def insert(self, numbers: array[int], offsets: array[int], sizes: array[int]) -> None:
        """Add chunks, which mostly come in blocks that fit between those known before."""
        if self._columns is _EMPTY:
            self._columns = array("Q"), array("Q"), array("Q")
        known = self._columns[0]
        if self._is_ordered and all(map(lt, numbers, islice(numbers, 1, None))):
            position = bisect_left(known, numbers[0])
            if position == len(known) or numbers[-1] < known[position]:
                for column, added in zip(self._columns, (numbers, offsets, sizes), strict=True):
                    column[position:position] = added
                return
        for column, added in zip(self._columns, (numbers, offsets, sizes), strict=True):
            column.extend(added)
        self._is_ordered = False


T = TypeVar("T", bound=Chunks)


class ChunkIndex(Generic[T]):
    """The chunks of all arrays of a file, to be found by offset.

    Parameters
    ----------
    size
        Size of the file in bytes.
    """

    def __init__(self, size: int) -> None:
        self.tables: list[T] = []
        self._size = size
        self._count = 0
        # Sorted runs of (offsets, indices of tables, numbers), each at most half as long as the one before it.
        self._runs: list[tuple[array[int], ...]] = []
        self._fresh: list[tuple[array[int], ...]] = []

    def has_room(self, count: int) -> bool:
        """Return whether so many more chunks may be kept in memory."""
        return self._count + count <= MAX_CHUNKS

    def add(self, index: int, numbers: Sequence[int], offsets: Sequence[int], sizes: Sequence[int]) -> None:
        """Add chunks of the table with an index, but for those that are not allocated or outside of the grid."""
        if offsets and (OUTSIDE in numbers or max(map(add, offsets, sizes)) > self._size):
            numbers, offsets, sizes = self._allocated(numbers, offsets, sizes)
        if not offsets or not self.has_room(len(offsets)):
            return
        columns = array("Q", numbers), array("Q", offsets), array("Q", sizes)
        self.tables[index].insert(*columns)
        self._count += len(offsets)
        self._fresh.append((columns[1], array("I", [index]) * len(offsets), columns[0]))

    def _allocated(self, *columns: Sequence[int]) -> Sequence[Sequence[int]]:
        """Return the columns of those chunks that are allocated and within the grid."""
        chunks = [
            (number, offset, size)
            for number, offset, size in zip(*columns, strict=True)
            if number != OUTSIDE and offset + size <= self._size
        ]
        return list(zip(*chunks, strict=True)) or [()] * 3

    def find(self, offset: int) -> tuple[T, int] | None:
        """Return the table that has the chunk with the byte at an offset, and the chunk's position in it."""
        self._sort_fresh()
        for offsets, tables, numbers in self._runs:
            at = bisect_right(offsets, offset) - 1
            if at < 0:
                continue
            table = self.tables[tables[at]]
            position = bisect_left(table.numbers, numbers[at])
            if offset < offsets[at] + table.sizes[position]:
                return table, position
        return None

    def _sort_fresh(self) -> None:
        if not self._fresh:
            return
        self._runs.append(_sorted(_joined(self._fresh)))
        self._fresh = []
        while len(self._runs) > 1 and 2 * len(self._runs[-1][0]) > len(self._runs[-2][0]):
            last = self._runs.pop()
            self._runs[-1] = _sorted(_joined([self._runs[-1], last]))


def _joined(runs: Sequence[tuple[array[int], ...]]) -> tuple[array[int], ...]:
    """Return columns one after the other."""
    joined = array("Q"), array("I"), array("Q")
    for run in runs:
        for column, added in zip(joined, run, strict=True):
            column.extend(added)
    return joined


def _sorted(columns: tuple[array[int], ...]) -> tuple[array[int], ...]:
    """Return columns in the order of the first."""
    order = sorted(range(len(columns[0])), key=columns[0].__getitem__)
    return tuple(array(column.typecode, map(column.__getitem__, order)) for column in columns)
