"""The chunks of datasets: where they lie, in logical order, and which chunk has the byte at an offset."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import islice
from math import prod
from operator import add, lt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["ChunkOffsets", "ChunkTable"]

# A chunk takes about 50 bytes of memory.
_MAX_CHUNKS = 1 << 19

_OUTSIDE = -1

# What a table has as long as it has no chunks.
_EMPTY = array("Q"), array("Q"), array("Q")


class ChunkTable:
    """The chunks of one dataset that are known so far, in row-major order.

    `grid` has the number of chunks along each dimension, or is None as long as no dataspace message was seen.
    `consecutive` has the offset and the stored size of the first chunk where no index is needed.

    Parameters
    ----------
    address
        Offset in the file of the dataset's object header.
    dimensions
        The dimensions in the data layout message: those of a chunk, in elements, then the size of an element.
    """

    __slots__ = (
        "_columns",
        "_index_order",
        "_is_ordered",
        "_strides",
        "address",
        "chunk_shape",
        "chunk_size",
        "consecutive",
        "grid",
        "max_grid",
    )

    def __init__(self, address: int, dimensions: Sequence[int]) -> None:
        self.address = address
        self.chunk_shape = tuple(dimensions[:-1])
        self.chunk_size = prod(dimensions)
        self.grid: tuple[int, ...] | None = None
        self.max_grid: tuple[int, ...] = ()
        self.consecutive: tuple[int, int] | None = None
        self._strides: Sequence[int] = ()
        self._index_order: list[tuple[int, int]] | None = None
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

    def set_shape(self, shape: Sequence[int], max_shape: Sequence[int], unlimited: int | None) -> None:
        """Take over the dataspace message: the current and the maximum dimensions, and which one is unlimited."""
        if 0 in self.chunk_shape or len(shape) != len(self.chunk_shape):
            return
        self.grid = grid = _counts(shape, self.chunk_shape)
        self.max_grid = max_grid = grid if max_shape == shape else _counts(max_shape, self.chunk_shape)
        self._strides = _strides(grid)
        if unlimited or max_grid[1:] != grid[1:]:
            # Extensible arrays number the chunks with the unlimited dimension as the slowest.
            order = list(range(len(grid)))
            if unlimited is not None:
                order.insert(0, order.pop(unlimited))
            self._index_order = list(zip(order, _strides([max_grid[dimension] for dimension in order]), strict=True))

    def numbers_at(self, columns: Iterable[Sequence[int]], units: Iterable[int]) -> list[int]:
        """Return the numbers of the chunks at coordinates, given a column for each dimension, in `units`."""
        numbers: list[int] = []
        outside: set[int] = set()
        for column, unit, count, stride in zip(columns, units, self.grid or (), self._strides, strict=True):
            steps = [coordinate // unit * stride for coordinate in column]
            numbers = [a + b for a, b in zip(numbers, steps, strict=True)] if numbers else steps
            if max(column) // unit >= count:
                outside.update(row for row, coordinate in enumerate(column) if coordinate // unit >= count)
        return [_OUTSIDE if row in outside else number for row, number in enumerate(numbers)] if outside else numbers

    def numbers_from(self, first: int, count: int) -> Sequence[int]:
        """Return the numbers of `count` chunks that follow each other in an array, from index `first` on."""
        indices = range(first, first + count)
        if self._index_order is None:
            total = prod(self.grid or (0,))
            return indices if indices.stop <= total else [number if number < total else _OUTSIDE for number in indices]
        return [self._number_of_index(index) for index in indices]

    def _number_of_index(self, index: int) -> int:
        number = 0
        for dimension, index_stride in self._index_order or ():
            coordinate, index = divmod(index, index_stride) if index_stride else (0, index)
            if self.grid is None or coordinate >= self.grid[dimension]:
                return _OUTSIDE
            number += coordinate * self._strides[dimension]
        return number

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


class ChunkOffsets:
    """The chunks of all datasets of a file, to be found by offset.

    Parameters
    ----------
    size
        Size of the file in bytes.
    """

    def __init__(self, size: int) -> None:
        self.tables: list[ChunkTable] = []
        self._size = size
        self._count = 0
        # Sorted runs of (offsets, indices of tables, numbers), each at most half as long as the one before it.
        self._runs: list[tuple[array[int], ...]] = []
        self._fresh: list[tuple[array[int], ...]] = []

    def has_room(self, count: int) -> bool:
        """Return whether so many more chunks may be kept in memory."""
        return self._count + count <= _MAX_CHUNKS

    def add(
        self, index: int, numbers: Sequence[int], offsets: Sequence[int], sizes: Sequence[int] | None = None
    ) -> None:
        """Add chunks of the table with an index, but for those that are not allocated or outside of the grid."""
        table = self.tables[index]
        if sizes is None:
            sizes = [table.chunk_size] * len(offsets)
        if offsets and (_OUTSIDE in numbers or max(map(add, offsets, sizes)) > self._size):
            numbers, offsets, sizes = self._allocated(numbers, offsets, sizes)
        if not offsets or not self.has_room(len(offsets)):
            return
        columns = array("Q", numbers), array("Q", offsets), array("Q", sizes)
        table.insert(*columns)
        self._count += len(offsets)
        self._fresh.append((columns[1], array("I", [index]) * len(offsets), columns[0]))

    def _allocated(self, *columns: Sequence[int]) -> Sequence[Sequence[int]]:
        """Return the columns of those chunks that are allocated and within the grid."""
        chunks = [
            (number, offset, size)
            for number, offset, size in zip(*columns, strict=True)
            if number != _OUTSIDE and offset + size <= self._size
        ]
        return list(zip(*chunks, strict=True)) or [()] * 3

    def add_consecutive(self, index: int) -> None:
        """Add the chunks of a table whose chunks follow each other: all of those that the file can have."""
        table = self.tables[index]
        if table.consecutive is None or table.grid is None:
            return
        offset, size = table.consecutive
        room = _MAX_CHUNKS - self._count
        count = min(prod(table.max_grid), (self._size - offset) // size if size else 0, room)
        if count > 0:
            offsets = range(offset, offset + count * size, size)
            self.add(index, table.numbers_from(0, count), offsets, [size] * count)
            # Those outside of the grid count, too: no bytes of the file bound how many are computed.
            self._count = _MAX_CHUNKS - room + count
        table.consecutive = None

    def find(self, offset: int) -> tuple[ChunkTable, int] | None:
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


def _strides(grid: Sequence[int]) -> list[int]:
    return [prod(grid[dimension + 1 :]) for dimension in range(len(grid))]


def _counts(shape: Sequence[int], chunk_shape: Sequence[int]) -> tuple[int, ...]:
    return tuple([-(-length // chunk) for length, chunk in zip(shape, chunk_shape, strict=True)])
