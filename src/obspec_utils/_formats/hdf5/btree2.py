"""Version 2 B-trees: of links and attributes in fractal heaps, of huge objects, and of chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from obspec_utils._formats.hdf5.fields import min_bytes
from obspec_utils._formats.hdf5.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from obspec_utils._formats.hdf5.heap_objects import FractalHeap
    from obspec_utils._formats.hdf5.pending import Node
    from obspec_utils._formats.hdf5.state import State

__all__ = ["parse_btree2", "parse_btree2_node", "visit_btree2"]

_SIGNATURE = b"BTHD"
_INTERNAL_SIGNATURE = b"BTIN"
_LEAF_SIGNATURE = b"BTLF"

# Signature, version and type; with the checksum of internal nodes and leaves.
_NODE_PREFIX_SIZE = 6
_NODE_OVERHEAD = 10

_MAX_DEPTH = 64

_HUGE_OBJECTS = range(1, 5)
_LINK_NAMES = 5
_ATTRIBUTE_NAMES = 8
_CHUNKS = 10
_FILTERED_CHUNKS = 11


class _Tree(NamedTuple):
    """What the header says about nodes, and what the tree indexes: a heap's objects, or a table's chunks."""

    type: int
    node_size: int
    record_size: int
    child_widths: tuple[tuple[int, int], ...]
    owner: FractalHeap | int


class _Place(NamedTuple):
    """A node's tree, its level above the leaves and its number of records."""

    tree: _Tree
    depth: int
    records: int


def visit_btree2(state: State, address: int, parent: Node, owner: FractalHeap | int) -> None:
    """Add a version 2 B-tree to the structures that are pending."""
    state.visit(Kind.BTREE2, address, 22 + state.sizes.offset_size + state.sizes.length_size, parent, owner)


def parse_btree2(state: State, node: Node, data: memoryview) -> None:
    """Parse the header of a B-tree, which tells the size and the number of records of its root."""
    if data[:4] != _SIGNATURE:
        return
    fields = state.sizes.struct("BIHHBBOHL").unpack_from(data, 5)
    kind, node_size, record_size, depth, _split, _merge, root, records, _total = fields
    if record_size == 0 or depth > _MAX_DEPTH:
        return
    widths = _child_widths(node_size, record_size, depth, state.sizes.offset_size)
    tree = _Tree(kind, node_size, record_size, widths, node.detail)
    state.visit(Kind.BTREE2_NODE, root, node_size, node, _Place(tree, depth, records))


def _child_widths(node_size: int, record_size: int, depth: int, offset_size: int) -> tuple[tuple[int, int], ...]:
    """Return, for each depth from 1 on, the widths of a child's number of records and total number of records."""
    leaf_records = max(0, node_size - _NODE_OVERHEAD) // record_size
    count_width = min_bytes(leaf_records)
    total, total_width = leaf_records, 0
    widths = []
    for _ in range(depth):
        widths.append((count_width, total_width))
        pointer_size = offset_size + count_width + total_width
        records = max(0, node_size - _NODE_OVERHEAD - pointer_size) // (record_size + pointer_size)
        total = (records + 1) * total + records
        total_width = min_bytes(total)
    return tuple(widths)


def parse_btree2_node(state: State, node: Node, data: memoryview) -> None:
    """Parse the records of a node and, above the leaves, the child node pointers."""
    tree, depth, records = node.detail
    stop = _NODE_PREFIX_SIZE + records * tree.record_size
    if data[:4] != (_INTERNAL_SIGNATURE if depth else _LEAF_SIGNATURE) or stop > len(data):
        return
    if depth:
        _visit_children(state, node, data[stop:])
    use = _RECORDS.get(tree.type)
    if use is not None and records:
        use(state, node, tree, data[_NODE_PREFIX_SIZE:stop])


def _visit_children(state: State, node: Node, pointers: memoryview) -> None:
    tree, depth, records = node.detail
    count_width, total_width = tree.child_widths[depth - 1]
    width = state.sizes.offset_size + count_width + total_width
    for start in range(0, (records + 1) * width, width):
        address = state.sizes.offset(pointers, start)
        count_start = start + state.sizes.offset_size
        count = int.from_bytes(pointers[count_start : count_start + count_width], "little")
        state.visit(Kind.BTREE2_NODE, address, tree.node_size, node, _Place(tree, depth - 1, count))


def _huge_objects(state: State, node: Node, tree: _Tree, data: memoryview) -> None:
    """Visit objects that a heap keeps outside of its blocks."""
    address_and_length = state.sizes.struct("OL")
    if isinstance(tree.owner, int):
        return
    for start in range(0, len(data), tree.record_size):
        tree.owner.visit_huge(node, *address_and_length.unpack_from(data, start))


def _heap_ids(id_start: int) -> Callable[[State, Node, _Tree, memoryview], None]:
    def use(_state: State, node: Node, tree: _Tree, data: memoryview) -> None:
        if isinstance(tree.owner, int):
            return
        for start in range(id_start, len(data), tree.record_size):
            tree.owner.find(int.from_bytes(data[start : start + 8], "little"), node, node)

    return use


def _chunks(state: State, node: Node, tree: _Tree, data: memoryview) -> None:
    """Add chunks, whose records have an address and scaled coordinates, and a stored size and mask if filtered."""
    if not isinstance(tree.owner, int):
        return
    table = state.chunks.tables[tree.owner]
    rank = len(table.chunk_shape)
    if table.grid is None:
        state.parse_again_with_grid(node, tree.owner)
        return
    size_width = tree.record_size - 8 * rank - state.sizes.offset_size - 4 if tree.type == _FILTERED_CHUNKS else 0
    fields = f"O{size_width}sI{rank}Q" if size_width else f"O{rank}Q"
    columns = list(zip(*state.sizes.struct(fields).iter_unpack(data), strict=True))
    numbers = table.numbers_at(columns[-rank:], [1] * rank)
    sizes = [int.from_bytes(size, "little") for size in columns[1]] if size_width else None
    state.chunks.add(tree.owner, numbers, state.offsets(columns[0]), sizes)


_RECORDS: dict[int, Callable[[State, Node, _Tree, memoryview], None]] = {
    **dict.fromkeys(_HUGE_OBJECTS, _huge_objects),
    _LINK_NAMES: _heap_ids(4),
    _ATTRIBUTE_NAMES: _heap_ids(0),
    _CHUNKS: _chunks,
    _FILTERED_CHUNKS: _chunks,
}
