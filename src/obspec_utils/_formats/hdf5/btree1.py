"""Version 1 B-trees: of groups, and of chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obspec_utils._formats.hdf5.kinds import Kind

if TYPE_CHECKING:
    from obspec_utils._formats.hdf5.pending import Node
    from obspec_utils._formats.hdf5.state import State

__all__ = ["parse_chunk_btree", "parse_group_btree", "visit_chunk_btree"]

_SIGNATURE = b"TREE"
_HEADER_SIZE = 8


def _entries(state: State, node: Node, data: memoryview, fields: str) -> list[tuple[int, ...]]:
    """Return the columns of a node's entries, each of a key and a child, or none where there are none to read."""
    start = _HEADER_SIZE + 2 * state.sizes.offset_size
    entry = state.sizes.struct(fields)
    count = int.from_bytes(data[6:8], "little")
    stop = start + count * entry.size
    if data[:4] != _SIGNATURE:
        return []
    if stop > len(data):
        state.extend(node, stop)
        return []
    return list(zip(*entry.iter_unpack(data[start:stop]), strict=True))


def parse_group_btree(state: State, node: Node, data: memoryview) -> None:
    """Parse a node of a group's B-tree, whose leaves are symbol table nodes."""
    columns = _entries(state, node, data, "LO")
    if not columns or data[4] != 0:
        return
    if data[5]:
        kind, size = Kind.GROUP_BTREE, node.stop - node.start
    else:
        entry_size = 2 * state.sizes.offset_size + 24
        kind, size = Kind.SYMBOL_TABLE_NODE, _HEADER_SIZE + 2 * state.group_leaf_k * entry_size
    for address in columns[1]:
        state.visit(kind, address, size, node)


def visit_chunk_btree(state: State, parent: Node, address: int, table: int) -> None:
    """Add the B-tree that indexes the chunks of a table to the structures that are pending."""
    dimensions = len(state.chunks.tables[table].chunk_shape)
    entries = 2 * state.chunk_k
    key_size = 8 + 8 * (dimensions + 1)
    size = _HEADER_SIZE + (2 + entries) * state.sizes.offset_size + (entries + 1) * key_size
    state.visit(Kind.CHUNK_BTREE, address, size, parent, table)


def parse_chunk_btree(state: State, node: Node, data: memoryview) -> None:
    """Parse a node of a B-tree of chunks, whose keys tell the stored sizes and the coordinates in elements."""
    index: int = node.detail
    table = state.chunks.tables[index]
    columns = _entries(state, node, data, f"II{len(table.chunk_shape) + 1}QO")
    if not columns or data[4] != 1:
        return
    if data[5]:
        for address in columns[-1]:
            state.visit(Kind.CHUNK_BTREE, address, node.stop - node.start, node, index)
    elif table.grid is not None:
        numbers = table.numbers_at(columns[2:-2], table.chunk_shape)
        state.chunks.add(index, numbers, state.offsets(columns[-1]), columns[0])
