"""How a value is kept outside of this process: behind a header that tells whether it is whole, and of which key.

The header holds a mark, the SHA-256 of the key, the value's length and CRC-32. A good value is preceded by exactly the
header that its key and bytes ask for: comparing the two finds whatever was flipped, cut, added or swapped.

The checksum is there for accidents, not for forgers, who could write a right one as well. CRC-32 finds every error of
up to 32 bits in a row and all but one in four thousand million others. It is also the fastest at hand: 3.7 GB/s for
12 MiB on one core, against 1.6 GB/s for SHA-256 with instructions of its own, and 0.6 GB/s for BLAKE2b.
"""

from __future__ import annotations

import struct
import zlib
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["HEADER_SIZE", "as_bytes_view", "decode", "digest", "encode", "header", "is_header_of"]

_HEADER = struct.Struct("<8s32sQI")
_MARK = b"obspec1\n"
HEADER_SIZE = _HEADER.size


def digest(key: str) -> bytes:
    """Return the SHA-256 of a key, 32 bytes."""
    return sha256(key.encode("utf-8", "surrogatepass")).digest()


def as_bytes_view(value: Buffer) -> memoryview:
    """Return a contiguous view of a value's bytes, copied only if they are not contiguous."""
    view = memoryview(value)
    # A view without bytes can't be cast.
    return view.cast("B") if view.nbytes and view.c_contiguous else memoryview(view.tobytes())


def header(key: bytes, value: Buffer) -> bytes:
    """Return the header of a value; `key` is the digest of its key."""
    return _HEADER.pack(_MARK, key, memoryview(value).nbytes, zlib.crc32(value))


def is_header_of(found: bytes, key: bytes, size: int) -> bool:
    """Tell whether a header is one of a key and of a value of `size` bytes, whatever these bytes are."""
    return len(found) == HEADER_SIZE and _HEADER.unpack(found)[:3] == (_MARK, key, size)


def encode(key: bytes, value: Buffer) -> bytes:
    """Return a value behind its header, in one piece."""
    view = as_bytes_view(value)
    return b"".join((header(key, view), view))


def decode(key: bytes, kept: bytes) -> bytes | None:
    """Return the value of a key; None if `kept` is not exactly what `encode` returned for it."""
    value = memoryview(kept)[HEADER_SIZE:]
    return bytes(value) if kept[:HEADER_SIZE] == header(key, value) else None
