"""Attribute messages, whose values may refer to global heap collections."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from obspec_utils._formats.hdf5.datatype import value_references
from obspec_utils._formats.hdf5.fields import padded
from obspec_utils._formats.hdf5.shared_message import use_shared_message

if TYPE_CHECKING:
    from obspec_utils._formats.hdf5.pending import Node
    from obspec_utils._formats.hdf5.state import State

__all__ = ["parse_attribute", "parse_global_heap"]

_COLLECTION_SIGNATURE = b"GCOL"

_PREFIX = Struct("<BBHHH")

# Bounds for damaged files; of a larger attribute, the references up to here are seen: in each value, and in all.
_MAX_REFERENCES_OF_VALUE = 4096
_MAX_REFERENCES = 1 << 16

_DATATYPE = 0x03
_DATATYPE_SHARED = 1


def parse_attribute(state: State, node: Node, body: memoryview) -> None:
    """Parse an attribute message: visit its shared datatype, and the global heap collections of its value."""
    version, flags, name_size, type_size, space_size = _PREFIX.unpack_from(body)
    if version == 1:
        type_start = 8 + padded(name_size)
        value_start = type_start + padded(type_size) + padded(space_size)
    else:
        type_start = (9 if version == 3 else 8) + name_size
        value_start = type_start + type_size + space_size
    datatype = bytes(body[type_start : type_start + type_size])
    if version > 1 and flags & _DATATYPE_SHARED:
        value = bytes(body[value_start:])
        use_shared_message(
            state, node, _DATATYPE, datatype, lambda message: _visit_collections(state, node, message, value, 0)
        )
    else:
        _visit_collections(state, node, datatype, body, value_start)


def _visit_collections(state: State, node: Node, datatype: bytes, data: bytes | memoryview, start: int) -> None:
    """Visit the collections that the value at a position refers to, by a length, an address and the index in there."""
    reference = state.sizes.struct("4xO")
    # References do not overlap, so that there are no more.
    limit = min((len(data) - start) // reference.size, _MAX_REFERENCES)
    size, positions = value_references(datatype, min(limit, _MAX_REFERENCES_OF_VALUE))
    if not positions or size <= 0:
        return
    most = start + limit // len(positions) * size
    stop = min(len(data) - reference.size + 1, most)
    last = 0  # An empty text has an address, too; nothing at all has none.
    for position in positions:
        for place in range(start + position, stop, size):
            (address,) = reference.unpack_from(data, place)
            if address and address != last:
                state.visit_global_heap(address, node)
                last = address


def parse_global_heap(state: State, node: Node, data: memoryview) -> None:
    """Parse the header of a global heap collection, which tells its size."""
    if data[:4] == _COLLECTION_SIGNATURE:
        state.extend(node, state.sizes.struct("L").unpack_from(data, 8)[0])
