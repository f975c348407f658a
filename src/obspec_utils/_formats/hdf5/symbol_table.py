"""Groups of the original kind: symbol table nodes and local heaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obspec_utils._formats.hdf5.kinds import Kind

if TYPE_CHECKING:
    from obspec_utils._formats.hdf5.pending import Node
    from obspec_utils._formats.hdf5.state import State

__all__ = ["parse_local_heap", "parse_symbol_table_node", "visit_local_heap", "visit_symbol_table"]
__all__ += ["visit_symbol_table_entry"]

_SIGNATURE = b"SNOD"
_HEAP_SIGNATURE = b"HEAP"
_HEADER_SIZE = 8

# As much as libhdf5 reads of a local heap at first.
_LOCAL_HEAP_GUESS = 512

_CACHED_SYMBOL_TABLE = 1


def visit_symbol_table(state: State, parent: Node, btree: int, heap: int) -> None:
    """Add the B-tree and the local heap of a group to the structures that are pending."""
    sizes = state.sizes
    entries = 2 * state.group_internal_k
    size = _HEADER_SIZE + (2 + entries) * sizes.offset_size + (entries + 1) * sizes.length_size
    state.visit(Kind.GROUP_BTREE, btree, size, parent)
    visit_local_heap(state, parent, heap)


def visit_local_heap(state: State, parent: Node, address: int) -> None:
    """Add a local heap to the structures that are pending."""
    state.visit(Kind.LOCAL_HEAP, address, _LOCAL_HEAP_GUESS, parent)


def visit_symbol_table_entry(state: State, parent: Node, entry: tuple[int, int, int, bytes]) -> None:
    """Add the object of a symbol table entry, if it is no soft link, and what its scratch-pad says about a group.

    That is reached from `parent`: were it reached from the group, which is not parsed yet, there could be cycles.
    """
    _name, header, cache_type, scratch_pad = entry
    if state.visit_object(header, parent) is not None and cache_type == _CACHED_SYMBOL_TABLE:
        visit_symbol_table(state, parent, *state.sizes.struct("OO").unpack_from(scratch_pad))


def parse_symbol_table_node(state: State, node: Node, data: memoryview) -> None:
    """Parse a leaf of a group's B-tree, which has the addresses of object headers."""
    if data[:4] != _SIGNATURE:
        return
    entry = state.sizes.struct("OOI4x16s")
    count = int.from_bytes(data[6:8], "little")
    stop = _HEADER_SIZE + count * entry.size
    if stop > len(data):
        state.extend(node, stop)
        return
    for fields in entry.iter_unpack(data[_HEADER_SIZE:stop]):
        visit_symbol_table_entry(state, node, fields)


def parse_local_heap(state: State, node: Node, data: memoryview) -> None:
    """Parse the header of a local heap, whose data segment has the names of links."""
    if data[:4] == _HEAP_SIGNATURE:
        size, _free, address = state.sizes.struct("LLO").unpack_from(data, _HEADER_SIZE)
        state.visit(Kind.DATA, address, size, node)
