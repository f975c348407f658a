"""Fixed arrays: the index of chunks of datasets whose maximum dimensions are all fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from obspec_utils._formats.hdf5.array_elements import Elements, initialized_pages
from obspec_utils._formats.hdf5.kinds import Kind

if TYPE_CHECKING:
    from obspec_utils._formats.hdf5.pending import Node
    from obspec_utils._formats.hdf5.state import State

__all__ = ["parse_fixed_array", "parse_fixed_array_block", "parse_fixed_array_page", "visit_fixed_array"]

_SIGNATURE = b"FAHD"
_BLOCK_SIGNATURE = b"FADB"
_CHECKSUM_SIZE = 4
_MAX_PAGE_BITS = 63


class _Block(NamedTuple):
    """The data block: what its elements are, how many there are, and how many a page has."""

    elements: Elements
    entries: int
    page_entries: int


def visit_fixed_array(state: State, parent: Node, address: int, table: int) -> None:
    """Add the header of a fixed array to the structures that are pending."""
    size = 12 + state.sizes.length_size + state.sizes.offset_size
    state.visit(Kind.FIXED_ARRAY, address, size, parent, table)


def _prefix_size(state: State) -> int:
    return 6 + state.sizes.offset_size


def parse_fixed_array(state: State, node: Node, data: memoryview) -> None:
    """Parse the header, which leads to the data block."""
    client, entry_size, page_bits, count, address = state.sizes.struct("BBBLO").unpack_from(data, 5)
    if data[:4] != _SIGNATURE or not entry_size or page_bits > _MAX_PAGE_BITS:
        return
    block = _Block(Elements(node.detail, entry_size, filtered=bool(client)), count, 1 << page_bits)
    if count > block.page_entries:
        pages = -(-count // block.page_entries)
        size = (pages + 7) // 8
    else:
        size = count * entry_size
    state.visit(Kind.FIXED_ARRAY_BLOCK, address, _prefix_size(state) + size + _CHECKSUM_SIZE, node, block)


def parse_fixed_array_block(state: State, node: Node, data: memoryview) -> None:
    """Parse the data block: its elements, or the bitmap of its initialized pages."""
    block: _Block = node.detail
    start = _prefix_size(state)
    if data[:4] != _BLOCK_SIGNATURE:
        return
    if block.entries <= block.page_entries:
        block.elements.add(state, node, 0, data[start : start + block.entries * block.elements.size])
        return
    page_size = block.page_entries * block.elements.size + _CHECKSUM_SIZE
    first_page = node.address + node.stop - node.start
    for page in initialized_pages(data[start:-_CHECKSUM_SIZE], 0, -(-block.entries // block.page_entries)):
        first = page * block.page_entries
        size = min(block.page_entries, block.entries - first) * block.elements.size + _CHECKSUM_SIZE
        state.visit(Kind.FIXED_ARRAY_PAGE, first_page + page * page_size, size, node, (block.elements, first))


def parse_fixed_array_page(state: State, node: Node, data: memoryview) -> None:
    """Parse the elements of a page."""
    elements, first = node.detail
    elements.add(state, node, first, data[:-_CHECKSUM_SIZE])
