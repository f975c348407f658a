"""Write TIFF files, classic and BigTIFF, in either byte order."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

__all__ = ["Image", "TiffWriter"]

SHORT, LONG, LONG8 = 3, 4, 16
_CODES = {SHORT: "H", LONG: "I", LONG8: "Q"}


@dataclass
class Image:
    """An image in tiles, or in strips of 1 row if `tile` is None; `pieces` are their bytes, empty if not stored."""

    width: int
    length: int
    pieces: list[bytes]
    tile: tuple[int, int] | None = None
    counts_type: int = LONG
    more: list[tuple[int, int, list[int]]] = field(default_factory=list)  # further fields: tag, type, values


class TiffWriter:
    """Writes images; `content` is the file so far, `places` where the tiles of each image are."""

    def __init__(self, order: str = "<", *, big: bool = False) -> None:
        self.order, self.big = order, big
        self.offset_type = LONG8 if big else LONG
        magic = {"<": b"II", ">": b"MM"}[order]
        self.content = bytearray(
            magic + struct.pack(order + ("HHHQ" if big else "HI"), *([43, 8, 0, 0] if big else [42, 0]))
        )
        self._link = len(self.content) - (8 if big else 4)  # where the offset of the next directory goes
        self.places: list[list[tuple[int, int]]] = []
        self.directories: list[int] = []

    def _pack(self, kind: int, values: list[int]) -> bytes:
        return struct.pack(f"{self.order}{len(values)}{_CODES[kind]}", *values)

    def _append(self, data: bytes) -> int:
        self.content += bytes(len(self.content) % 2)
        start = len(self.content)
        self.content += data
        return start

    def add(self, image: Image) -> None:
        """Write the tiles, then the values, then the directory."""
        places = [(self._append(piece) if piece else 0, len(piece)) for piece in image.pieces]
        self.places.append([place for place in places if place[1]])
        offsets, counts = map(list, zip(*places, strict=True))
        fields = [(256, LONG, [image.width]), (257, LONG, [image.length]), *image.more]
        if image.tile is None:
            fields += [(278, SHORT, [1]), (273, self.offset_type, offsets), (279, image.counts_type, counts)]
        else:
            fields += [(322, SHORT, [image.tile[0]]), (323, SHORT, [image.tile[1]])]
            fields += [(324, self.offset_type, offsets), (325, image.counts_type, counts)]
        self.add_directory(fields)

    def add_directory(self, fields: list[tuple[int, int, list[int]]]) -> int:
        """Write a directory and link it to the one before; return its offset."""
        start, link = self.write_directory(fields)
        self._set_link(start)
        self._link = link
        return start

    def write_directory(self, fields: list[tuple[int, int, list[int]]]) -> tuple[int, int]:
        """Write a directory; return its offset, and where the offset of the next one goes."""
        room = 8 if self.big else 4
        entries = []
        for tag, kind, values in sorted(fields):
            data = self._pack(kind, values)
            inline = data if len(data) <= room else self._pack(self.offset_type, [self._append(data)])
            entries.append(
                struct.pack(self.order + ("HHQ" if self.big else "HHI"), tag, kind, len(values))
                + inline.ljust(room, b"\0")
            )
        count = struct.pack(self.order + ("Q" if self.big else "H"), len(entries))
        start = self._append(count + b"".join(entries) + bytes(room))
        self.directories.append(start)
        return start, len(self.content) - room

    def _set_link(self, start: int) -> None:
        data = self._pack(self.offset_type, [start])
        self.content[self._link : self._link + len(data)] = data
