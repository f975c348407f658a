"""Version 1 B-trees: of groups, and of chunks."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from obspec_utils._formats.hdf5.kinds import Kind

if TYPE_CHECKING:
    from obspec_utils._formats.hdf5.pending import Node
    from obspec_utils._formats.hdf5.state import State

__all__ = ["parse_chunk_btree", "parse_group_btree", "visit_chunk_btree"]

_SIGNATURE = b"TREE"
_HEADER = Struct("<4sBBH")

_OF_GROUP, _OF_CHUNKS = 0, 1


def _entries(state: State, node: Node, data: memoryview, kind: int, fields: str) -> tuple[int, list[tuple[int, ...]]]:
    """Return a node's level, and the columns of its entries, each of a key and a child; none if it is of no use."""
    signature, found_kind, level, count = _HEADER.unpack_from(data)
    if signature != _SIGNATURE or found_kind != kind:
        return 0, []
    start = _HEADER.size + 2 * state.sizes.offset_size
    entry = state.sizes.struct(fields)
    stop = start + count * entry.size
    if stop > len(data):
        state.extend(node, stop)
        return 0, []
    return level, list(zip(*entry.iter_unpack(data[start:stop]), strict=True))


def parse_group_btree(state: State, node: Node, data: memoryview) -> None:
    """Parse a node of a group's B-tree, whose leaves are symbol table nodes."""
    level, columns = _entries(state, node, data, _OF_GROUP, "LO")
    if level:
        kind, size = Kind.GROUP_BTREE, node.stop - node.start
    else:
        entry_size = 2 * state.sizes.offset_size + 24
        kind, size = Kind.SYMBOL_TABLE_NODE, _HEADER.size + 2 * state.group_leaf_k * entry_size
    for address in columns[1] if columns else ():
        state.visit(kind, address, size, node)


def visit_chunk_btree(state: State, parent: Node, address: int, table: int) -> None:
    """Add the B-tree that indexes the chunks of a table to the structures that are pending."""
    dimensions = len(state.chunks.tables[table].chunk_shape)
    entries = 2 * state.chunk_k
    key_size = 8 + 8 * (dimensions + 1)
    size = _HEADER.size + (2 + entries) * state.sizes.offset_size + (entries + 1) * key_size
    state.visit(Kind.CHUNK_BTREE, address, size, parent, table)


def parse_chunk_btree(state: State, node: Node, data: memoryview) -> None:
    """Parse a node of a B-tree of chunks, whose keys tell the stored sizes and the coordinates in elements."""
    index: int = node.detail
    table = state.chunks.tables[index]
    level, columns = _entries(state, node, data, _OF_CHUNKS, f"II{len(table.chunk_shape) + 1}QO")
    if not columns:
        return
    if level:
        for address in columns[-1]:
            state.visit(Kind.CHUNK_BTREE, address, node.stop - node.start, node, index)
    elif table.grid is None:
        state.parse_again_with_grid(node, index)
    else:
        numbers = table.numbers_at(columns[2:-2], table.chunk_shape)
        state.chunks.add(index, numbers, state.offsets(columns[-1]), columns[0])
