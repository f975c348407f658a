"""Objects of fractal heaps, by their heap IDs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from obspec_utils._formats.hdf5.kinds import Kind
    from obspec_utils._formats.hdf5.pending import Node

__all__ = ["FractalHeap"]

# The type of object in the first byte of a heap ID. Huge objects are found by their B-tree, and tiny ones, which are
# in the ID itself, have no addresses.
_MANAGED = 0

# A bound for damaged files: the objects that wait for their blocks.
_MAX_WAITING = 1 << 17


class _Request(NamedTuple):
    """An object that is wanted, by its offset in the heap's address space."""

    offset: int
    length: int
    parent: Node
    detail: object


class FractalHeap:
    """A heap, whose objects are visited once the direct blocks that have them are in memory.

    Parameters
    ----------
    kind
        How its objects are parsed.
    visit
        Add a structure to those that are pending.
    """

    def __init__(self, kind: Kind, visit: Callable[[Kind, int, int, Node, object], object]) -> None:
        self.kind = kind
        self._visit = visit
        self.width = 0
        self.starting_size = 0
        self.max_direct_size = 0
        self.offset_width = 0
        self.length_width = 0
        self.is_filtered = False
        self._before_header: list[tuple[int, Node, object]] = []
        # By the heap offset of the direct block that has them.
        self._waiting: dict[int, list[_Request]] = {}
        self._waiting_count = 0
        # How far the heap offsets of a direct block that has been parsed are from addresses in the file.
        self._shifts: dict[int, int] = {}

    def find(self, heap_id: int, parent: Node, detail: object) -> None:
        """Visit the managed object with a heap ID, now or once its direct block has been parsed."""
        if not self.width:
            if len(self._before_header) < _MAX_WAITING:
                self._before_header.append((heap_id, parent, detail))
        elif heap_id >> 4 & 3 == _MANAGED:
            offset = (heap_id >> 8) % (1 << 8 * self.offset_width)
            length = (heap_id >> 8 * (1 + self.offset_width)) % (1 << 8 * self.length_width)
            block = self._block_of(offset)
            shift = self._shifts.get(block)
            if shift is not None:
                self._visit(self.kind, shift + offset, length, parent, detail)
            elif self._waiting_count < _MAX_WAITING:
                self._waiting_count += 1
                self._waiting.setdefault(block, []).append(_Request(offset, length, parent, detail))

    def _block_of(self, offset: int) -> int:
        """Return the heap offset of the direct block that has a heap offset.

        The blocks of the first two rows have the starting size, those of each further row twice the size of the row
        before. A block that is too large for a direct one is an indirect one, divided in the same way.
        """
        start = 0
        while True:
            row = ((offset - start) // (self.width * self.starting_size)).bit_length()
            size = self.starting_size << max(0, row - 1)
            start += (offset - start) // size * size
            if not row or size <= self.max_direct_size:
                return start

    def visit_huge(self, parent: Node, address: int, length: int) -> None:
        """Visit an object that is stored outside of the heap's blocks."""
        self._visit(self.kind, address, length, parent, parent)

    def header_parsed(self) -> None:
        """Look for the objects that were wanted before the heap's header was parsed."""
        earlier, self._before_header = self._before_header, []
        for heap_id, parent, detail in earlier:
            self.find(heap_id, parent, detail)

    def add_block(self, start: int, address: int) -> None:
        """Visit the objects that wait for the direct block at a heap offset, whose address in the file is known now."""
        shift = self._shifts[start] = address - start
        found = self._waiting.pop(start, [])
        self._waiting_count -= len(found)
        for offset, length, parent, detail in found:
            self._visit(self.kind, shift + offset, length, parent, detail)
