"""Attribute messages, whose values may refer to global heap collections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obspec_utils._formats.hdf5.datatype import heap_references, may_have_heap_references
from obspec_utils._formats.hdf5.fields import padded
from obspec_utils._formats.hdf5.shared_message import use_shared_message

if TYPE_CHECKING:
    from obspec_utils._formats.hdf5.pending import Node
    from obspec_utils._formats.hdf5.state import State

__all__ = ["parse_attribute", "parse_global_heap"]

_COLLECTION_SIGNATURE = b"GCOL"

_DATATYPE = 0x03
_DATATYPE_SHARED = 1

# Each value of variable length is stored as its length, the address of a collection and the index in there.
_LENGTH_SIZE = 4


def parse_attribute(state: State, node: Node, body: memoryview) -> None:
    """Parse an attribute message: visit its committed datatype, and the global heap collections of its value."""
    version, flags, name_size, type_size, space_size = state.sizes.struct("BBHHH").unpack_from(body)
    start = 9 if version == 3 else 8
    if version == 1:
        name_size, type_size, space_size = padded(name_size), padded(type_size), padded(space_size)
        flags = 0
    start += name_size
    datatype = body[start : start + type_size]
    value = body[start + type_size + space_size :]
    if flags & _DATATYPE_SHARED:
        _parse_with_shared_datatype(state, node, datatype, bytes(value))
    elif may_have_heap_references(datatype):
        _visit_collections(state, node, bytes(datatype), value)


def _parse_with_shared_datatype(state: State, node: Node, shared: memoryview, value: bytes) -> None:
    def use(datatype: bytes) -> None:
        if may_have_heap_references(datatype):
            _visit_collections(state, node, datatype, memoryview(value))

    use_shared_message(state, node, _DATATYPE, shared, use)


def _visit_collections(state: State, node: Node, datatype: bytes, value: memoryview) -> None:
    references = heap_references(datatype)
    if not references.positions or references.size <= 0:
        return
    reference = state.sizes.struct("IO")
    last = min(len(value), len(value) // references.size * references.size) - reference.size
    addresses = {
        address
        for first in range(0, last + 1, references.size)
        for position in references.positions
        if first + position <= last
        for length, address in (reference.unpack_from(value, first + position),)
        if length
    }
    for address in sorted(addresses):
        state.visit_global_heap(address, node)


def parse_global_heap(state: State, node: Node, data: memoryview) -> None:
    """Parse the header of a global heap collection, which tells its size."""
    if data[:4] == _COLLECTION_SIGNATURE:
        state.extend(node, state.sizes.struct("L").unpack_from(data, 8)[0])
