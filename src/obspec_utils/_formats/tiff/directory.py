"""Image file directories (IFDs): the fields of an image, and where its tiles or strips lie."""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from obspec_utils._formats.tiff.header import Layout

__all__ = ["DIRECTORIES", "Field", "Grid", "directory_size", "grid_of", "parse_directory", "parse_values"]

IMAGE_WIDTH, IMAGE_LENGTH, ROWS_PER_STRIP, TILE_WIDTH, TILE_LENGTH = 256, 257, 278, 322, 323
STRIP_OFFSETS, STRIP_BYTE_COUNTS, TILE_OFFSETS, TILE_BYTE_COUNTS = 273, 279, 324, 325
# Fields with offsets of further directories: SubIFDs, Exif, GPS, interoperability.
DIRECTORIES = frozenset({330, 34665, 34853, 40965})

# Bytes of a value of each type, from BYTE (1) to IFD8 (18).
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
# Types of unsigned integers, by their type codes in arrays.
_UNSIGNED = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}


@dataclass(frozen=True, slots=True)
class Field:
    """An entry of a directory.

    Attributes
    ----------
    size
        Bytes of all values.
    inline
        The values, or the offset where they are.
    offset
        Where the values are; None if the entry has them.
    """

    tag: int
    type: int
    count: int
    size: int
    inline: bytes
    offset: int | None


def directory_size(layout: Layout, data: memoryview) -> int:
    """Return the size in bytes of a directory that begins with `data`, with the offset of the next one at its end."""
    (count,) = layout.count.unpack_from(data)
    return layout.count.size + int(count) * layout.entry.size + layout.offset.size


def parse_directory(layout: Layout, data: memoryview) -> tuple[Iterator[Field], int]:
    """Return the fields of a directory, and the offset of the next directory, 0 if there is none."""
    entries = data[layout.count.size : directory_size(layout, data) - layout.offset.size]
    (following,) = layout.offset.unpack_from(data, layout.count.size + len(entries))
    return _fields(layout, entries), following


def _fields(layout: Layout, entries: memoryview) -> Iterator[Field]:
    for tag, kind, count, inline in layout.entry.iter_unpack(entries):
        size = _TYPE_SIZES.get(kind, 0) * count
        is_inline = size <= len(inline)
        yield Field(tag, kind, count, size, inline, None if is_inline else layout.offset.unpack(inline)[0])


def parse_values(layout: Layout, field: Field, data: memoryview | bytes) -> array[int]:
    """Return the values of a field of unsigned integers.

    Raises
    ------
    ValueError
        If it has other values, or `data` has fewer.
    """
    code = _UNSIGNED.get(field.type)
    if code is None or len(data) < field.size:
        error = "not a field of unsigned integers"
        raise ValueError(error)
    values = array(code)
    values.frombytes(data[: field.size])
    if layout.byte_order != sys.byteorder:
        values.byteswap()
    return values


@dataclass(frozen=True, slots=True)
class Grid:
    """The tiles or strips of an image.

    Attributes
    ----------
    row_length
        Number of tiles in a row; 1 for strips.
    key
        What pages of one series have in common: the size of the image and of its tiles or strips.
    """

    row_length: int
    key: tuple[int, ...]


def grid_of(numbers: Mapping[int, int]) -> Grid:
    """Return the grid of an image, given those of its fields that have one number."""
    tags = (IMAGE_WIDTH, IMAGE_LENGTH, TILE_WIDTH, TILE_LENGTH, ROWS_PER_STRIP)
    width, _, tile_width, _, _ = key = tuple(numbers.get(tag, 0) for tag in tags)
    return Grid(max(1, -(-width // tile_width)) if tile_width else 1, key)
