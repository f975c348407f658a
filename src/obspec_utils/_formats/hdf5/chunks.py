"""The chunks of datasets, which number them in a grid."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from obspec_utils._formats.chunks import MAX_CHUNKS, OUTSIDE, ChunkIndex, Chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["ChunkOffsets", "ChunkTable"]


class ChunkTable(Chunks):
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
        "_index_order",
        "_strides",
        "chunk_shape",
        "chunk_size",
        "consecutive",
        "grid",
        "max_grid",
    )

    def __init__(self, address: int, dimensions: Sequence[int]) -> None:
        super().__init__(address)
        self.chunk_shape = tuple(dimensions[:-1])
        self.chunk_size = prod(dimensions)
        self.grid: tuple[int, ...] | None = None
        self.max_grid: tuple[int, ...] = ()
        self.consecutive: tuple[int, int] | None = None
        self._strides: Sequence[int] = ()
        self._index_order: list[tuple[int, int]] | None = None

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
        return [OUTSIDE if row in outside else number for row, number in enumerate(numbers)] if outside else numbers

    def numbers_from(self, first: int, count: int) -> Sequence[int]:
        """Return the numbers of `count` chunks that follow each other in an array, from index `first` on."""
        indices = range(first, first + count)
        if self._index_order is None:
            total = prod(self.grid or (0,))
            return indices if indices.stop <= total else [number if number < total else OUTSIDE for number in indices]
        return [self._number_of_index(index) for index in indices]

    def _number_of_index(self, index: int) -> int:
        number = 0
        for dimension, index_stride in self._index_order or ():
            coordinate, index = divmod(index, index_stride) if index_stride else (0, index)
            if self.grid is None or coordinate >= self.grid[dimension]:
                return OUTSIDE
            number += coordinate * self._strides[dimension]
        return number


class ChunkOffsets(ChunkIndex[ChunkTable]):
    """The chunks of all datasets of a file."""

    def add(
        self, index: int, numbers: Sequence[int], offsets: Sequence[int], sizes: Sequence[int] | None = None
    ) -> None:
        """Add chunks of the table with an index; without `sizes`, they are stored as they are."""
        super().add(index, numbers, offsets, sizes or [self.tables[index].chunk_size] * len(offsets))

    def add_consecutive(self, index: int) -> None:
        """Add the chunks of a table whose chunks follow each other: all of those that the file can have."""
        table = self.tables[index]
        if table.consecutive is None or table.grid is None:
            return
        offset, size = table.consecutive
        room = MAX_CHUNKS - self._count
        count = min(prod(table.max_grid), (self._size - offset) // size if size else 0, room)
        if count > 0:
            offsets = range(offset, offset + count * size, size)
            self.add(index, table.numbers_from(0, count), offsets, [size] * count)
            # Those outside of the grid count, too: no bytes of the file bound how many are computed.
            self._count = MAX_CHUNKS - room + count
        table.consecutive = None


def _strides(grid: Sequence[int]) -> list[int]:
    return [prod(grid[dimension + 1 :]) for dimension in range(len(grid))]


def _counts(shape: Sequence[int], chunk_shape: Sequence[int]) -> tuple[int, ...]:
    return tuple([-(-length // chunk) for length, chunk in zip(shape, chunk_shape, strict=True)])
