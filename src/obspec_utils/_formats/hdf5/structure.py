"""The structure of an HDF5 file: which byte ranges readers will need, and where the chunks of datasets lie."""

from __future__ import annotations

from collections import deque
from struct import error as StructError  # noqa: N812 # the name it has is that of no class
from typing import TYPE_CHECKING

from obspec_utils._formats.hdf5.attribute import parse_attribute, parse_global_heap
from obspec_utils._formats.hdf5.btree1 import parse_chunk_btree, parse_group_btree
from obspec_utils._formats.hdf5.btree2 import parse_btree2, parse_btree2_node
from obspec_utils._formats.hdf5.extensible_array import (
    parse_data_block,
    parse_data_block_page,
    parse_extensible_array,
    parse_index_block,
    parse_super_block,
)
from obspec_utils._formats.hdf5.fixed_array import parse_fixed_array, parse_fixed_array_block, parse_fixed_array_page
from obspec_utils._formats.hdf5.fractal_heap import parse_direct_block, parse_fractal_heap, parse_indirect_block
from obspec_utils._formats.hdf5.kinds import Kind
from obspec_utils._formats.hdf5.messages import parse_link
from obspec_utils._formats.hdf5.object_header import parse_continuation, parse_object_header
from obspec_utils._formats.hdf5.shared_message import parse_shared_message, parse_shared_message_table
from obspec_utils._formats.hdf5.state import State
from obspec_utils._formats.hdf5.superblock import SUPERBLOCK_GUESS, parse_superblock
from obspec_utils._formats.hdf5.symbol_table import parse_local_heap, parse_symbol_table_node

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Buffer

    from obspec_utils._formats.hdf5.chunks import ChunkTable
    from obspec_utils._formats.hdf5.pending import Node
    from obspec_utils._ranges import ByteRange

__all__ = ["Structure"]

# What is not in here is wanted, but not parsed.
PARSERS: dict[Kind, Callable[[State, Node, memoryview], None]] = {
    Kind.SUPERBLOCK: parse_superblock,
    Kind.OBJECT_HEADER: parse_object_header,
    Kind.OBJECT_HEADER_CONTINUATION: parse_continuation,
    Kind.GROUP_BTREE: parse_group_btree,
    Kind.SYMBOL_TABLE_NODE: parse_symbol_table_node,
    Kind.LOCAL_HEAP: parse_local_heap,
    Kind.GLOBAL_HEAP: parse_global_heap,
    Kind.FRACTAL_HEAP: parse_fractal_heap,
    Kind.DIRECT_BLOCK: parse_direct_block,
    Kind.INDIRECT_BLOCK: parse_indirect_block,
    # What a heap's object leads to is reached from the B-tree that has its heap ID: one node for many objects.
    Kind.LINK: lambda state, node, data: parse_link(state, node.detail, data),
    Kind.ATTRIBUTE: lambda state, node, data: parse_attribute(state, node.detail, data),
    Kind.SHARED_MESSAGE: parse_shared_message,
    Kind.SHARED_MESSAGE_TABLE: parse_shared_message_table,
    Kind.BTREE2: parse_btree2,
    Kind.BTREE2_NODE: parse_btree2_node,
    Kind.CHUNK_BTREE: parse_chunk_btree,
    Kind.FIXED_ARRAY: parse_fixed_array,
    Kind.FIXED_ARRAY_BLOCK: parse_fixed_array_block,
    Kind.FIXED_ARRAY_PAGE: parse_fixed_array_page,
    Kind.EXTENSIBLE_ARRAY: parse_extensible_array,
    Kind.EXTENSIBLE_ARRAY_INDEX_BLOCK: parse_index_block,
    Kind.EXTENSIBLE_ARRAY_SUPER_BLOCK: parse_super_block,
    Kind.EXTENSIBLE_ARRAY_DATA_BLOCK: parse_data_block,
    Kind.EXTENSIBLE_ARRAY_PAGE: parse_data_block_page,
}

# What parsing damaged bytes raises.
_DAMAGE = (StructError, IndexError, ValueError, OverflowError)


class Structure:
    """Parse an HDF5 file without reading it, see `FileStructure`.

    Parameters
    ----------
    size
        Size of the file in bytes.
    """

    def __init__(self, size: int) -> None:
        self._state = State(size)
        first = self._state.visit(Kind.SUPERBLOCK, 0, SUPERBLOCK_GUESS, None)
        if first is not None:
            self._state.pending.add(first)

    def parse(self, read: Callable[[int, int], Buffer | None]) -> None:
        """Parse the pending structures that are in memory, and those that they lead to."""
        state = self._state
        state.discovered = queue = deque(state.pending.candidates())
        while queue:  # which parsing makes longer
            node = queue.popleft()
            while (data := read(node.start, node.stop)) is not None:
                stop = node.stop
                self._parse(node, memoryview(data))
                if node.stop == stop:
                    state.finish(node)
                    break
            else:
                state.pending.add(node)

    def _parse(self, node: Node, data: memoryview) -> None:
        parser = PARSERS.get(node.kind)
        if parser is not None:
            try:
                parser(self._state, node, data)
            except _DAMAGE:
                return

    def wanted(self, limit: int, *, near: int | None = None, only: bool = False) -> list[ByteRange]:
        """Return byte ranges of pending structures, in the order of their discovery, which is breadth first.

        With `near`, those of the structure there and reached from it come first, then those reached from its parents,
        from their parents, and so on.
        """
        return self._state.pending.wanted(limit, near, only=only)

    @property
    def chunks(self) -> Sequence[ChunkTable]:
        """The tables of chunks of the chunked datasets found so far, in the order of their discovery."""
        return self._state.chunks.tables

    def find_chunk(self, offset: int) -> tuple[ChunkTable, int] | None:
        """Return the table of the chunk that has the byte at an offset, and the chunk's position in the table."""
        return self._state.chunks.find(offset)
