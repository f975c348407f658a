"""One value in a file: how it is written, and how what was damaged is told.

A file holds a mark, the SHA-256 of the key, the value's length and CRC-32, and the value. A good file starts with
exactly the header that its key and value ask for: comparing the two finds whatever was flipped, cut, added or swapped.

The checksum is there for accidents, not for forgers, who could write a right one as well. CRC-32 finds every error of
up to 32 bits in a row and all but one in four thousand million others. It is also the fastest at hand: 3.7 GB/s for
12 MiB on one core, against 1.6 GB/s for SHA-256 with instructions of its own, and 0.6 GB/s for BLAKE2b.
"""

from __future__ import annotations

import os
import struct
import zlib
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["HEADER_SIZE", "digest", "flat", "read_value", "write_value"]

_HEADER = struct.Struct("<8s32sQI")
_MARK = b"obspec1\n"
HEADER_SIZE = _HEADER.size


def digest(key: str) -> bytes:
    """Return what stands for a key, in the name of its file and inside."""
    return sha256(key.encode("utf-8", "surrogatepass")).digest()


def flat(value: Buffer) -> memoryview:
    """Return a value's bytes in a row, copied only if they are not."""
    view = memoryview(value)
    # A view without bytes can't be cast.
    return view.cast("B") if view.nbytes and view.c_contiguous else memoryview(view.tobytes())


def _header(key: bytes, value: Buffer, size: int) -> bytes:
    return _HEADER.pack(_MARK, key, size, zlib.crc32(value))


def write_value(file: int, key: bytes, value: memoryview) -> None:
    """Write a value, and what tells that it is whole, into an empty file."""
    header = _header(key, value, value.nbytes)
    written = os.writev(file, [header, value])
    # Less than all is written where the disk is about to be full, and of more than the system takes at once.
    while written < HEADER_SIZE + value.nbytes:
        if written < HEADER_SIZE:
            written += os.write(file, header[written:])
        else:
            written += os.write(file, value[written - HEADER_SIZE :])


def read_value(file: int, key: bytes) -> bytes | None:
    """Return the value of a key; None if the file is not exactly what was written for it."""
    header = os.read(file, HEADER_SIZE)
    size = os.fstat(file).st_size - HEADER_SIZE
    # Looked at first, so that no memory is taken for what a damaged file pretends to be.
    if len(header) != HEADER_SIZE or _HEADER.unpack(header)[:3] != (_MARK, key, size):
        return None
    value = os.read(file, size)
    if 0 < len(value) < size:  # more than the system gives at once
        value = b"".join([value, *iter(lambda: os.read(file, size), b"")])
    return value if header == _header(key, value, len(value)) else None
