"""The superblock: where it is, the sizes it declares, and the root group it leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obspec_utils._formats.hdf5.fields import Sizes
from obspec_utils._formats.hdf5.kinds import Kind
from obspec_utils._formats.hdf5.symbol_table import visit_symbol_table_entry

if TYPE_CHECKING:
    from obspec_utils._formats.hdf5.pending import Node
    from obspec_utils._formats.hdf5.state import State

__all__ = ["SUPERBLOCK_GUESS", "is_hdf5", "parse_superblock"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"

# Superblocks take up to 100 bytes. A user block moves the superblock to 512, 1024, 2048 and so on.
_SUPERBLOCK_SIZE = 100
_FIRST_OFFSETS = (0, 512, 1024, 2048)
SUPERBLOCK_GUESS = _FIRST_OFFSETS[-1] + _SUPERBLOCK_SIZE


def is_hdf5(first_bytes: bytes | bytearray | memoryview) -> bool:
    """Return whether a file begins with an HDF5 superblock, or has one after a user block within `first_bytes`."""
    offset = 0
    while offset + len(_SIGNATURE) <= len(first_bytes):
        if first_bytes[offset : offset + len(_SIGNATURE)] == _SIGNATURE:
            return True
        offset = max(512, 2 * offset)
    return False


def parse_superblock(state: State, node: Node, data: memoryview) -> None:
    """Look for the signature and parse the superblock, or go on to the next place where one may be."""
    for offset in (0,) if node.start else _FIRST_OFFSETS:
        if data[offset : offset + 8] == _SIGNATURE:
            # Addresses count from the superblock, whatever base address it states: libhdf5 does the same, so that
            # a user block can be put before a file or taken away.
            state.base_address = node.start + offset
            _parse(state, node, data[offset:])
            return
    state.visit(Kind.SUPERBLOCK, 2 * node.start or 2 * _FIRST_OFFSETS[-1], _SUPERBLOCK_SIZE, None)


def _parse(state: State, node: Node, data: memoryview) -> None:
    version = data[8]
    offset_size, length_size = (data[13], data[14]) if version < 2 else (data[9], data[10])
    if version > 3 or not {offset_size, length_size} <= {4, 8}:
        return
    state.sizes = Sizes(offset_size, length_size)
    if version < 2:
        _parse_version_0(state, node, data)
    else:
        _base, extension, _end, root = state.sizes.struct("4O").unpack_from(data, 12)
        state.visit_object(extension, node)
        state.visit_object(root, node)


def _parse_version_0(state: State, node: Node, data: memoryview) -> None:
    """Parse version 0, or version 1, which has one field more."""
    start = 24
    sizes = state.sizes
    state.group_leaf_k, state.group_internal_k = sizes.struct("HH").unpack_from(data, 16)
    if data[8] == 1:
        state.chunk_k = sizes.struct("H").unpack_from(data, start)[0]
        start += 4
    driver_information = sizes.offset(data, start + 3 * sizes.offset_size)
    if driver_information != sizes.undefined:
        return  # The addresses of a file of several parts are not offsets in this one.
    entry = sizes.struct("OOI4x16s").unpack_from(data, start + 4 * sizes.offset_size)
    visit_symbol_table_entry(state, node, entry)
