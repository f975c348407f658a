"""The image file header: byte order, the size of offsets, and where the first directory is."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["HEADER_SIZE", "Layout", "is_tiff", "parse_header"]

# That of BigTIFF; the header of a classic file has 8 bytes.
HEADER_SIZE = 16


@dataclass(frozen=True, slots=True)
class Layout:
    """How the numbers of a file are stored.

    Attributes
    ----------
    order
        "<" or ">", as struct has it.
    is_big
        Whether it is a BigTIFF, with offsets of 8 bytes.
    """

    order: str
    is_big: bool

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """The byte order by its name."""
        return "little" if self.order == "<" else "big"

    @property
    def count(self) -> struct.Struct:
        """The number of entries, at the start of a directory."""
        return struct.Struct(self.order + ("Q" if self.is_big else "H"))

    @property
    def entry(self) -> struct.Struct:
        """An entry of a directory: tag, type, number of values, and the values or their offset."""
        return struct.Struct(self.order + ("HHQ8s" if self.is_big else "HHI4s"))

    @property
    def offset(self) -> struct.Struct:
        """An offset in the file."""
        return struct.Struct(self.order + ("Q" if self.is_big else "I"))


_LAYOUTS = {
    b"II*\0": Layout("<", is_big=False),
    b"MM\0*": Layout(">", is_big=False),
    b"II+\0": Layout("<", is_big=True),
    b"MM\0+": Layout(">", is_big=True),
}


def is_tiff(first_bytes: Buffer) -> bool:
    """Return whether a file begins as TIFF or BigTIFF files do."""
    return bytes(memoryview(first_bytes)[:4]) in _LAYOUTS


def parse_header(data: memoryview) -> tuple[Layout, int]:
    """Return the layout of a file, and the offset of its first directory.

    Raises
    ------
    ValueError, struct.error
        If it is no TIFF file.
    """
    layout = _LAYOUTS.get(bytes(data[:4]))
    if layout is None or (layout.is_big and struct.unpack_from(layout.order + "HH", data, 4) != (8, 0)):
        error = "not a TIFF file"
        raise ValueError(error)
    (first,) = layout.offset.unpack_from(data, 8 if layout.is_big else 4)
    return layout, first
