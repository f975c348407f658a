"""Extensible arrays: the index of chunks of datasets with one unlimited dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from obspec_utils._formats.hdf5.array_elements import Elements, initialized_pages
from obspec_utils._formats.hdf5.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from obspec_utils._formats.hdf5.pending import Node
    from obspec_utils._formats.hdf5.state import State

__all__ = [
    "parse_data_block",
    "parse_data_block_page",
    "parse_extensible_array",
    "parse_index_block",
    "parse_super_block",
    "visit_extensible_array",
]

_SIGNATURE = b"EAHD"
_INDEX_BLOCK_SIGNATURE = b"EAIB"
_SUPER_BLOCK_SIGNATURE = b"EASB"
_DATA_BLOCK_SIGNATURE = b"EADB"
_CHECKSUM_SIZE = 4

_MAX_BITS = 64


class _Array(NamedTuple):
    """What the header says about the blocks of an array."""

    elements: Elements
    bits: int
    index_block_elements: int
    min_elements: int
    min_pointers: int
    page_elements: int

    @property
    def offset_width(self) -> int:
        """The width in bytes of a block's offset in the array."""
        return (self.bits + 7) // 8

    @property
    def super_blocks(self) -> int:
        """How many super blocks the array can have, counted with those whose data blocks are in the index block."""
        return 1 + self.bits - (self.min_elements.bit_length() - 1)

    @property
    def direct_super_blocks(self) -> int:
        """How many super blocks have their data blocks in the index block."""
        return 2 * (self.min_pointers.bit_length() - 1)

    def data_blocks(self, number: int) -> int:
        """Return the number of data blocks of a super block."""
        return 1 << number // 2

    def block_elements(self, number: int) -> int:
        """Return the number of elements in each data block of a super block."""
        return self.min_elements << (number + 1) // 2

    def first_element(self, number: int) -> int:
        """Return the index of the first element of a super block."""
        earlier = sum(self.data_blocks(block) * self.block_elements(block) for block in range(number))
        return self.index_block_elements + earlier


class _SuperBlock(NamedTuple):
    array: _Array
    number: int


class _DataBlock(NamedTuple):
    """A data block: the index of its first element, and the number of elements."""

    array: _Array
    first: int
    entries: int


def visit_extensible_array(state: State, parent: Node, address: int, table: int) -> None:
    """Add the header of an extensible array to the structures that are pending."""
    size = 16 + 6 * state.sizes.length_size + state.sizes.offset_size
    state.visit(Kind.EXTENSIBLE_ARRAY, address, size, parent, table)


def _prefix_size(state: State) -> int:
    return 6 + state.sizes.offset_size


def parse_extensible_array(state: State, node: Node, data: memoryview) -> None:
    """Parse the header, which leads to the index block."""
    fields = state.sizes.struct("7B6LO").unpack_from(data, 5)
    client, size, bits, in_index_block, min_elements, min_pointers, page_bits, *_statistics, address = fields
    if data[:4] != _SIGNATURE or not (size and min_elements and min_pointers) or max(bits, page_bits) > _MAX_BITS:
        return
    elements = Elements(node.detail, size, filtered=bool(client))
    array = _Array(elements, bits, in_index_block, min_elements, min_pointers, 1 << page_bits)
    pointers = 2 * (min_pointers - 1) + max(0, array.super_blocks - array.direct_super_blocks)
    size = _prefix_size(state) + in_index_block * size + pointers * state.sizes.offset_size + _CHECKSUM_SIZE
    state.visit(Kind.EXTENSIBLE_ARRAY_INDEX_BLOCK, address, size, node, array)


def parse_index_block(state: State, node: Node, data: memoryview) -> None:
    """Parse the index block: the first elements, the addresses of data blocks, then those of super blocks."""
    array: _Array = node.detail
    if data[:4] != _INDEX_BLOCK_SIGNATURE:
        return
    start = _prefix_size(state)
    stop = start + array.index_block_elements * array.elements.size
    array.elements.add(state, node, 0, data[start:stop])
    for number in range(array.direct_super_blocks):
        stop = _visit_data_blocks(state, node, _SuperBlock(array, number), data, stop)
    for number in range(array.direct_super_blocks, array.super_blocks):
        address = state.sizes.offset(data, stop)
        if address != state.sizes.undefined:
            _visit_super_block(state, node, address, _SuperBlock(array, number))
        stop += state.sizes.offset_size


def _bitmap_size(array: _Array, number: int) -> int:
    """Return the size of the bitmaps of initialized pages in a super block."""
    pages = array.block_elements(number) // array.page_elements
    return array.data_blocks(number) * ((pages + 7) // 8) if pages > 1 else 0


def _visit_super_block(state: State, parent: Node, address: int, block: _SuperBlock) -> None:
    array, number = block
    pointers = array.data_blocks(number) * state.sizes.offset_size
    size = _prefix_size(state) + array.offset_width + _bitmap_size(array, number) + pointers + _CHECKSUM_SIZE
    state.visit(Kind.EXTENSIBLE_ARRAY_SUPER_BLOCK, address, size, parent, block)


def parse_super_block(state: State, node: Node, data: memoryview) -> None:
    """Parse a super block: the bitmaps of initialized pages, and the addresses of data blocks."""
    block: _SuperBlock = node.detail
    if data[:4] == _SUPER_BLOCK_SIGNATURE:
        start = _prefix_size(state) + block.array.offset_width + _bitmap_size(*block)
        _visit_data_blocks(state, node, block, data, start)


def _visit_data_blocks(state: State, node: Node, block: _SuperBlock, data: memoryview, position: int) -> int:
    """Visit the data blocks whose addresses are at a position, and return the position after them."""
    array, number = block
    bitmap_size = _bitmap_size(array, number)
    bitmap = data[position - bitmap_size : position]
    first, count = array.first_element(number), array.block_elements(number)
    pages = count // array.page_elements
    for index in range(array.data_blocks(number)):
        address = state.sizes.offset(data, position)
        position += state.sizes.offset_size
        if address != state.sizes.undefined:
            block_pages = initialized_pages(bitmap, index * pages, (index + 1) * pages) if bitmap_size else ()
            _visit_data_block(state, node, address, _DataBlock(array, first + index * count, count), block_pages)
    return position


def _visit_data_block(state: State, parent: Node, address: int, block: _DataBlock, initialized: Iterable[int]) -> None:
    """Visit a data block and its pages that are initialized."""
    array = block.array
    size = _prefix_size(state) + array.offset_width + _CHECKSUM_SIZE
    if block.entries <= array.page_elements:
        size += block.entries * array.elements.size
    node = state.visit(Kind.EXTENSIBLE_ARRAY_DATA_BLOCK, address, size, parent, block)
    page_size = array.page_elements * array.elements.size + _CHECKSUM_SIZE
    for page in initialized if node is not None else ():
        detail = (array.elements, block.first + page * array.page_elements)
        state.visit(Kind.EXTENSIBLE_ARRAY_PAGE, address + size + page * page_size, page_size, node, detail)


def parse_data_block(state: State, node: Node, data: memoryview) -> None:
    """Parse the elements of a data block that is not divided into pages."""
    block: _DataBlock = node.detail
    if data[:4] == _DATA_BLOCK_SIGNATURE and block.entries <= block.array.page_elements:
        start = _prefix_size(state) + block.array.offset_width
        block.array.elements.add(state, node, block.first, data[start:-_CHECKSUM_SIZE])


def parse_data_block_page(state: State, node: Node, data: memoryview) -> None:
    """Parse the elements of a page."""
    elements, first = node.detail
    elements.add(state, node, first, data[:-_CHECKSUM_SIZE])
