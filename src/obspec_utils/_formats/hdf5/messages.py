"""Messages of object headers that have addresses, or that say how to read others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obspec_utils._formats.hdf5.attribute import parse_attribute
from obspec_utils._formats.hdf5.btree2 import visit_btree2
from obspec_utils._formats.hdf5.fractal_heap import visit_fractal_heap
from obspec_utils._formats.hdf5.kinds import Kind
from obspec_utils._formats.hdf5.layout import parse_data_layout
from obspec_utils._formats.hdf5.shared_message import (
    add_committed_datatype,
    use_shared_message,
    visit_shared_message_table,
)
from obspec_utils._formats.hdf5.symbol_table import visit_local_heap, visit_symbol_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from struct import Struct

    from obspec_utils._formats.hdf5.pending import Node
    from obspec_utils._formats.hdf5.state import State

__all__ = ["HANDLERS", "Header", "handle_shared", "parse_link"]

_DATASPACE = 0x01
_LINK_INFO = 0x02
_DATATYPE = 0x03
_LINK = 0x06
_EXTERNAL_DATA_FILES = 0x07
_DATA_LAYOUT = 0x08
_ATTRIBUTE = 0x0C
_SHARED_MESSAGE_TABLE = 0x0F
_CONTINUATION = 0x10
_SYMBOL_TABLE = 0x11
_BTREE_K_VALUES = 0x13
_ATTRIBUTE_INFO = 0x15

_HARD_LINK = 0


class Header:
    """An object header while its messages are parsed.

    Parameters
    ----------
    node
        The structure that the header is.
    message
        How each of its messages begins.
    """

    __slots__ = ("datatype", "message", "node", "shape", "table")

    def __init__(self, node: Node, message: Struct) -> None:
        self.node = node
        self.message = message
        self.shape: tuple[tuple[int, ...], tuple[int, ...], int | None] | None = None
        self.datatype: bytes | None = None
        self.table: int | None = None

    def set_table_shape(self, state: State) -> None:
        """Tell the table of chunks the dataset's dimensions, once both are known."""
        if self.table is not None and self.shape is not None:
            table = state.chunks.tables[self.table]
            table.set_shape(*self.shape)
            if table.grid is not None:
                state.chunks.add_consecutive(self.table)
                state.resolved.publish(("grid", self.table), table.grid)

    def end_of_messages(self, state: State) -> None:
        """Keep the datatype of an object that is nothing else: a committed datatype."""
        if self.datatype is not None and self.shape is None:
            add_committed_datatype(state, self.node.address, self.datatype)


def _dataspace(state: State, header: Header, body: memoryview) -> None:
    version, rank, flags = body[0], body[1], body[2]
    start = 8 if version == 1 else 4
    fields = state.sizes.struct(f"{rank}L")
    shape = max_shape = fields.unpack_from(body, start)
    if flags & 1:
        max_shape = fields.unpack_from(body, start + fields.size)
    unlimited = (1 << 8 * state.sizes.length_size) - 1
    header.shape = (shape, max_shape, max_shape.index(unlimited) if unlimited in max_shape else None)
    header.set_table_shape(state)


def _datatype(_state: State, header: Header, body: memoryview) -> None:
    header.datatype = bytes(body)


def _link_info(state: State, header: Header, body: memoryview) -> None:
    start = 10 if body[1] & 1 else 2
    _dense_storage(state, header, body, start, Kind.LINK, ordered=bool(body[1] & 2))


def _attribute_info(state: State, header: Header, body: memoryview) -> None:
    start = 4 if body[1] & 1 else 2
    _dense_storage(state, header, body, start, Kind.ATTRIBUTE, ordered=bool(body[1] & 2))


def _dense_storage(state: State, header: Header, body: memoryview, start: int, kind: Kind, *, ordered: bool) -> None:
    """Add the fractal heap of links or attributes and the B-trees that index it by name and by creation order."""
    heap, names = state.sizes.struct("OO").unpack_from(body, start)
    if heap == state.sizes.undefined:
        return
    owner = visit_fractal_heap(state, heap, header.node, kind)
    visit_btree2(state, names, header.node, owner)
    if ordered:
        orders = state.sizes.offset(body, start + 2 * state.sizes.offset_size)
        visit_btree2(state, orders, header.node, owner)


def parse_link(state: State, node: Node, body: memoryview) -> None:
    """Parse a link message, which has the address of an object header where the link is a hard one."""
    flags = body[1]
    start = 2
    kind = _HARD_LINK
    if flags & 1 << 3:
        kind = body[start]
        start += 1
    if kind != _HARD_LINK:
        return
    start += (8 if flags & 1 << 2 else 0) + (1 if flags & 1 << 4 else 0)
    width = 1 << (flags & 3)
    name_length = int.from_bytes(body[start : start + width], "little")
    state.visit_object(state.sizes.offset(body, start + width + name_length), node)


def _continuation(state: State, header: Header, body: memoryview) -> None:
    address, length = state.sizes.struct("OL").unpack_from(body)
    state.visit(Kind.OBJECT_HEADER_CONTINUATION, address, length, header.node, header)


def _symbol_table(state: State, header: Header, body: memoryview) -> None:
    visit_symbol_table(state, header.node, *state.sizes.struct("OO").unpack_from(body))


def _external_data_files(state: State, header: Header, body: memoryview) -> None:
    visit_local_heap(state, header.node, state.sizes.offset(body, 8))


def _data_layout(state: State, header: Header, body: memoryview) -> None:
    if header.table is None:
        header.table = parse_data_layout(state, header.node, body)
    header.set_table_shape(state)


def _btree_k_values(state: State, _header: Header, body: memoryview) -> None:
    state.chunk_k, state.group_internal_k, state.group_leaf_k = state.sizes.struct("HHH").unpack_from(body, 1)


def handle_shared(state: State, header: Header, kind: int, body: memoryview) -> None:
    """Handle a message that is stored elsewhere and shared by several object headers."""
    handler = HANDLERS[kind]
    use_shared_message(state, header.node, kind, body, lambda message: handler(state, header, memoryview(message)))


HANDLERS: dict[int, Callable[[State, Header, memoryview], None]] = {
    _DATASPACE: _dataspace,
    _LINK_INFO: _link_info,
    _DATATYPE: _datatype,
    _LINK: lambda state, header, body: parse_link(state, header.node, body),
    _EXTERNAL_DATA_FILES: _external_data_files,
    _DATA_LAYOUT: _data_layout,
    _ATTRIBUTE: lambda state, header, body: parse_attribute(state, header.node, body),
    _SHARED_MESSAGE_TABLE: lambda state, header, body: visit_shared_message_table(state, header.node, body),
    _CONTINUATION: _continuation,
    _SYMBOL_TABLE: _symbol_table,
    _BTREE_K_VALUES: _btree_k_values,
    _ATTRIBUTE_INFO: _attribute_info,
}
