"""Fractal heaps: where the objects of dense links, dense attributes and shared messages lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from obspec_utils._formats.hdf5.btree2 import visit_btree2
from obspec_utils._formats.hdf5.fields import min_bytes
from obspec_utils._formats.hdf5.heap_objects import FractalHeap
from obspec_utils._formats.hdf5.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obspec_utils._formats.hdf5.pending import Node
    from obspec_utils._formats.hdf5.state import State

__all__ = ["parse_direct_block", "parse_fractal_heap", "parse_indirect_block", "visit_fractal_heap"]

_SIGNATURE = b"FRHP"
_DIRECT_SIGNATURE = b"FHDB"
_INDIRECT_SIGNATURE = b"FHIB"

# A bound for damaged files: the rows of a doubling table.
_MAX_ROWS = 256

# Signature, version, the address of the heap's header and the block's offset; the two are added where sizes are known.
_BLOCK_PREFIX_SIZE = 5
_CHECKSUM_SIZE = 4


class _Block(NamedTuple):
    """A block: its heap, where it begins in the heap's address space, and the number of its rows if indirect."""

    heap: FractalHeap
    offset: int
    rows: int = 0


def visit_fractal_heap(state: State, address: int, parent: Node, kind: Kind) -> FractalHeap:
    """Add the header of a heap to the structures that are pending, and return the heap."""
    heap = FractalHeap(kind, state.visit)
    state.visit(Kind.FRACTAL_HEAP, address, _header_size(state), parent, heap)
    return heap


def parse_fractal_heap(state: State, node: Node, data: memoryview) -> None:
    """Parse the header of a heap, which leads to its root block and to the B-tree of its huge objects."""
    if data[:4] != _SIGNATURE:
        return
    heap: FractalHeap = node.detail
    sizes = state.sizes
    filter_size = sizes.struct("H").unpack_from(data, 7)[0]
    size = _header_size(state) + (sizes.length_size + 4 + filter_size if filter_size else 0)
    if size > len(data):
        state.extend(node, size)
        return
    max_managed_size, _next_id, huge_objects = sizes.struct("ILO").unpack_from(data, 10)
    heap.is_filtered = filter_size > 0
    # Read by libhdf5 to tell how much storage a group or the attributes of an object take.
    space_manager = sizes.offset(data, 14 + 2 * sizes.length_size + sizes.offset_size)
    state.visit(Kind.DATA, space_manager, 18 + 7 * sizes.length_size + sizes.offset_size, node)
    visit_btree2(state, huge_objects, node, heap)
    _parse_doubling_table(state, node, data[14 + 10 * sizes.length_size + 2 * sizes.offset_size :], max_managed_size)


def _header_size(state: State) -> int:
    return 26 + 12 * state.sizes.length_size + 3 * state.sizes.offset_size


def _parse_doubling_table(state: State, node: Node, data: memoryview, max_managed_size: int) -> None:
    """Parse how the heap's address space is divided into blocks, and visit the root block."""
    heap: FractalHeap = node.detail
    table = state.sizes.struct("HLLHHOH")
    width, starting_size, max_direct_size, max_heap_bits, _starting_rows, root, rows = table.unpack_from(data)
    if not starting_size or rows > _MAX_ROWS:
        return
    heap.width, heap.starting_size, heap.max_direct_size = width, starting_size, max_direct_size
    heap.offset_width = (max_heap_bits + 7) // 8
    heap.length_width = min((max_direct_size.bit_length() + 6) // 8, min_bytes(max_managed_size))
    heap.header_parsed()
    if rows:
        _visit_indirect(state, node, root, _Block(heap, 0, rows))
    else:
        size = state.sizes.struct("L").unpack_from(data, table.size)[0] if heap.is_filtered else starting_size
        state.visit(Kind.DIRECT_BLOCK, root, size, node, _Block(heap, 0))


def _direct_rows(heap: FractalHeap) -> int:
    return heap.max_direct_size.bit_length() - heap.starting_size.bit_length() + 2


def _visit_indirect(state: State, parent: Node, address: int, block: _Block) -> None:
    heap = block.heap
    sizes = state.sizes
    direct_rows = max(0, min(block.rows, _direct_rows(heap)))
    entry_size = sizes.offset_size + (sizes.length_size + 4 if heap.is_filtered else 0)
    entries = heap.width * (direct_rows * entry_size + (block.rows - direct_rows) * sizes.offset_size)
    size = _BLOCK_PREFIX_SIZE + sizes.offset_size + heap.offset_width + entries + _CHECKSUM_SIZE
    state.visit(Kind.INDIRECT_BLOCK, address, size, parent, block)


def _child_blocks(block: _Block) -> Iterator[tuple[int, int]]:
    """Yield the heap offset and the size of each block in the rows of an indirect block."""
    heap, offset, rows = block
    for row in range(rows):
        size = heap.starting_size << max(0, row - 1)
        for _ in range(heap.width):
            yield offset, size
            offset += size


def parse_indirect_block(state: State, node: Node, data: memoryview) -> None:
    """Parse an indirect block: the addresses of direct blocks, then those of indirect blocks."""
    if data[:4] != _INDIRECT_SIGNATURE:
        return
    block: _Block = node.detail
    heap = block.heap
    sizes = state.sizes
    filtered_entry = sizes.struct("OLI")
    position = _BLOCK_PREFIX_SIZE + sizes.offset_size + heap.offset_width
    for offset, size in _child_blocks(block):
        address = sizes.offset(data, position)
        if size > heap.max_direct_size:
            position += sizes.offset_size
            rows = size.bit_length() - (heap.starting_size * heap.width).bit_length() + 1
            if address != sizes.undefined and rows <= _MAX_ROWS:
                _visit_indirect(state, node, address, _Block(heap, offset, rows))
        elif heap.is_filtered:
            _address, stored_size, _mask = filtered_entry.unpack_from(data, position)
            position += filtered_entry.size
            state.visit(Kind.DIRECT_BLOCK, address, stored_size, node, _Block(heap, offset))
        else:
            position += sizes.offset_size
            state.visit(Kind.DIRECT_BLOCK, address, size, node, _Block(heap, offset))


def parse_direct_block(_state: State, node: Node, data: memoryview) -> None:
    """Let the objects in a direct block be visited, unless filters hide them."""
    block: _Block = node.detail
    if data[:4] == _DIRECT_SIGNATURE and not block.heap.is_filtered:
        block.heap.add_block(block.offset, node.address)
