"""Decode the fields of HDF5 structures."""

from __future__ import annotations

from struct import Struct
from typing import Final

__all__ = ["Sizes", "min_bytes", "padded"]


class Sizes:
    """Encodings that follow from the sizes of offsets and lengths in the superblock.

    Parameters
    ----------
    offset_size
        Size of Offsets in bytes, 4 or 8.
    length_size
        Size of Lengths in bytes, 4 or 8.
    """

    __slots__ = ("_offset", "_structs", "length_size", "offset_size", "undefined")

    def __init__(self, offset_size: int, length_size: int) -> None:
        self.offset_size: Final = offset_size
        self.length_size: Final = length_size
        self.undefined: Final = (1 << 8 * offset_size) - 1
        self._structs: dict[str, Struct] = {}
        self._offset = self.struct("O")

    def struct(self, fields: str) -> Struct:
        """Return a little-endian `Struct` in whose fields `O` stands for an offset and `L` for a length."""
        try:
            return self._structs[fields]
        except KeyError:
            codes = {4: "I", 8: "Q"}
            layout = fields.replace("L", codes[self.length_size]).replace("O", codes[self.offset_size])
            made = self._structs[fields] = Struct("<" + layout)
            return made

    def offset(self, data: bytes | memoryview, position: int) -> int:
        """Return the offset that is stored at a position."""
        offset: int = self._offset.unpack_from(data, position)[0]
        return offset


def min_bytes(limit: int) -> int:
    """Return how many bytes the integers up to `limit` take."""
    return max(1, (limit.bit_length() + 7) // 8)


def padded(length: int) -> int:
    """Return a length rounded up to a multiple of eight."""
    return (length + 7) & ~7
