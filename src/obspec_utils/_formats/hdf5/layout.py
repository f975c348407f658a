"""Data layout messages: they lead to the index of a dataset's chunks, or to the mappings of a virtual dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obspec_utils._formats.hdf5.btree1 import visit_chunk_btree
from obspec_utils._formats.hdf5.btree2 import visit_btree2
from obspec_utils._formats.hdf5.chunks import ChunkTable
from obspec_utils._formats.hdf5.extensible_array import visit_extensible_array
from obspec_utils._formats.hdf5.fixed_array import visit_fixed_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obspec_utils._formats.hdf5.pending import Node
    from obspec_utils._formats.hdf5.state import State

__all__ = ["parse_data_layout"]

_CHUNKED = 2
_VIRTUAL = 3

_SINGLE_CHUNK, _IMPLICIT, _FIXED_ARRAY, _EXTENSIBLE_ARRAY, _BTREE2 = 1, 2, 3, 4, 5

_SINGLE_CHUNK_FILTERED = 1 << 1

# Bounds for damaged files: the dimensions of a dataset and the size of an element, and the tables of a file.
_MAX_DIMENSIONS = 33
_MAX_TABLES = 1 << 16


def parse_data_layout(state: State, node: Node, body: memoryview) -> int | None:
    """Visit what a dataset's layout refers to, and return the index of its table of chunks, if it is chunked."""
    version = body[0]
    if version < 3:
        if body[2] == _CHUNKED:
            address = state.sizes.offset(body, 8)
            dimensions = state.sizes.struct(f"{body[1]}I").unpack_from(body, 8 + state.sizes.offset_size)
            return _chunk_btree(state, node, address, dimensions)
    elif body[1] == _CHUNKED and version == 3:
        address = state.sizes.offset(body, 3)
        dimensions = state.sizes.struct(f"{body[2]}I").unpack_from(body, 3 + state.sizes.offset_size)
        return _chunk_btree(state, node, address, dimensions)
    elif body[1] == _CHUNKED:
        return _chunk_index(state, node, body)
    elif body[1] == _VIRTUAL:
        state.visit_global_heap(state.sizes.offset(body, 2), node)
    return None


def _new_table(state: State, node: Node, dimensions: Sequence[int]) -> int:
    if not 1 < len(dimensions) <= _MAX_DIMENSIONS:
        error = f"chunks have 1 to 32 dimensions, got {len(dimensions) - 1}"
        raise ValueError(error)
    if len(state.chunks.tables) >= _MAX_TABLES:
        error = f"file has more than {_MAX_TABLES} datasets with chunks"
        raise ValueError(error)
    state.chunks.tables.append(ChunkTable(node.start, dimensions))
    return len(state.chunks.tables) - 1


def _chunk_btree(state: State, node: Node, address: int, dimensions: Sequence[int]) -> int:
    table = _new_table(state, node, dimensions)
    visit_chunk_btree(state, node, address, table)
    return table


def _consecutive(state: State, table: int, address: int, size: int) -> None:
    if address != state.sizes.undefined:
        state.chunks.tables[table].consecutive = (state.base_address + address, size)


def _chunk_index(state: State, node: Node, body: memoryview) -> int:
    """Parse the properties of a chunked layout from version 4 on."""
    flags, rank, width = body[2], body[3], body[4]
    start = 5 + rank * width
    fields = (body[position : position + width] for position in range(5, start, width))
    table = _new_table(state, node, [int.from_bytes(field, "little") for field in fields])
    kind, start = body[start], start + 1
    if kind == _SINGLE_CHUNK:
        size = state.chunks.tables[table].chunk_size
        if flags & _SINGLE_CHUNK_FILTERED:
            size, _mask = state.sizes.struct("LI").unpack_from(body, start)
            start += state.sizes.length_size + 4
        _consecutive(state, table, state.sizes.offset(body, start), size)
    elif kind == _IMPLICIT:
        _consecutive(state, table, state.sizes.offset(body, start), state.chunks.tables[table].chunk_size)
    elif kind == _FIXED_ARRAY:
        visit_fixed_array(state, node, state.sizes.offset(body, start + 1), table)
    elif kind == _EXTENSIBLE_ARRAY:
        visit_extensible_array(state, node, state.sizes.offset(body, start + 5), table)
    elif kind == _BTREE2:
        visit_btree2(state, state.sizes.offset(body, start + 6), node, table)
    return table
