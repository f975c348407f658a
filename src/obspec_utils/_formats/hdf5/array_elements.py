"""Elements of fixed and extensible arrays: each has the address of a chunk, and its stored size if filtered."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obspec_utils._formats.hdf5.pending import Node
    from obspec_utils._formats.hdf5.state import State

__all__ = ["Elements", "initialized_pages"]

_MASK_SIZE = 4


class Elements:
    """How the elements of an array are encoded.

    Parameters
    ----------
    table
        Index of the table of chunks that the array indexes.
    size
        Size of an element in bytes.
    filtered
        Whether elements have the stored size of the chunk and its filter mask after the address.
    """

    __slots__ = ("filtered", "size", "table")

    def __init__(self, table: int, size: int, *, filtered: bool) -> None:
        self.table = table
        self.size = size
        self.filtered = filtered

    def add(self, state: State, node: Node, first: int, data: memoryview) -> None:
        """Add the chunks of consecutive elements, `first` being the index of the first of them in the array."""
        table = state.chunks.tables[self.table]
        count = len(data) // self.size
        if table.grid is None:
            state.parse_again_with_grid(node, self.table)
            return
        if not count or not state.chunks.has_room(count):
            return
        width = self.size - state.sizes.offset_size - _MASK_SIZE if self.filtered else 0
        element = state.sizes.struct(f"O{width}sI" if self.filtered else "O")
        columns = list(zip(*element.iter_unpack(data[: count * self.size]), strict=True))
        sizes = [int.from_bytes(size, "little") for size in columns[1]] if self.filtered else None
        state.chunks.add(self.table, table.numbers_from(first, count), state.offsets(columns[0]), sizes)


def initialized_pages(bitmap: memoryview, first: int, stop: int) -> Iterator[int]:
    """Yield the numbers, counted from `first`, of the bits that are set before `stop`; a byte's highest comes first."""
    for number in range(first, min(8 * len(bitmap), stop)):
        if bitmap[number >> 3] << (number & 7) & 0x80:
            yield number - first
