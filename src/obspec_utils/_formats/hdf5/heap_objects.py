"""Objects of fractal heaps, by their heap IDs."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from obspec_utils._formats.hdf5.kinds import Kind
    from obspec_utils._formats.hdf5.pending import Node

__all__ = ["BlockAt", "FractalHeap"]

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


class BlockAt(NamedTuple):
    """A direct block that has been parsed: the heap offsets it has, and how far they are from addresses in the file."""

    start: int
    stop: int
    shift: int


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
        self._waiting: list[_Request] = []
        self._starts: list[int] = []
        self._blocks: list[BlockAt] = []

    def find(self, heap_id: int, parent: Node, detail: object) -> None:
        """Visit the managed object with a heap ID, now or once its direct block has been parsed."""
        if not self.width:
            if len(self._before_header) < _MAX_WAITING:
                self._before_header.append((heap_id, parent, detail))
        elif heap_id >> 4 & 3 == _MANAGED:
            offset = (heap_id >> 8) % (1 << 8 * self.offset_width)
            length = (heap_id >> 8 * (1 + self.offset_width)) % (1 << 8 * self.length_width)
            number = bisect_right(self._starts, offset) - 1
            if number >= 0 and offset < self._blocks[number].stop:
                self._visit(self.kind, self._blocks[number].shift + offset, length, parent, detail)
            elif len(self._waiting) < _MAX_WAITING:
                self._waiting.append(_Request(offset, length, parent, detail))

    def visit_huge(self, parent: Node, address: int, length: int) -> None:
        """Visit an object that is stored outside of the heap's blocks."""
        self._visit(self.kind, address, length, parent, parent)

    def header_parsed(self) -> None:
        """Look for the objects that were wanted before the heap's header was parsed."""
        earlier, self._before_header = self._before_header, []
        for heap_id, parent, detail in earlier:
            self.find(heap_id, parent, detail)

    def add_block(self, block: BlockAt) -> None:
        """Visit the objects in a direct block that are waited for."""
        number = bisect_right(self._starts, block.start)
        self._starts.insert(number, block.start)
        self._blocks.insert(number, block)
        self._waiting.sort(key=lambda request: request.offset)
        first, last = (
            bisect_left(self._waiting, offset, key=lambda request: request.offset)
            for offset in (block.start, block.stop)
        )
        found = self._waiting[first:last]
        del self._waiting[first:last]
        for offset, length, parent, detail in found:
            self._visit(self.kind, block.shift + offset, length, parent, detail)
