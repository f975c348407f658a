"""The format of values outside this process: a header that identifies the key and detects damage, then the value.

The header has a mark, the SHA-256 of the key, and the length and CRC-32 of the value. A value is valid if its header is
exactly the one made for its key and bytes. This detects flipped, cut, added and swapped bytes.

The checksum detects accidents, not forgery. CRC-32 detects all errors of up to 32 consecutive bits and all but one in
4e9 others, at 3.7 GB/s for 12 MiB on one core; SHA-256 with CPU instructions has 1.6 GB/s, BLAKE2b 0.6 GB/s.
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
    """Return the SHA-256 of a key."""
    return sha256(key.encode("utf-8", "surrogatepass")).digest()


def as_bytes_view(value: Buffer) -> memoryview:
    """Return a contiguous view of a value's bytes, copied only if they are not contiguous."""
    view = memoryview(value)
    # An empty view can't be cast.
    return view.cast("B") if view.nbytes and view.c_contiguous else memoryview(view.tobytes())


def header(key: bytes, value: Buffer) -> bytes:
    """Return the header of a value; `key` is the digest of its key."""
    return _HEADER.pack(_MARK, key, memoryview(value).nbytes, zlib.crc32(value))


def is_header_of(found: bytes, key: bytes, size: int) -> bool:
    """Return whether a header is for a key and any value of `size` bytes."""
    return len(found) == HEADER_SIZE and _HEADER.unpack(found)[:3] == (_MARK, key, size)


def encode(key: bytes, value: Buffer) -> bytes:
    """Return the header and the value."""
    view = as_bytes_view(value)
    return b"".join((header(key, view), view))


def decode(key: bytes, encoded: bytes) -> bytes | None:
    """Return the value of a key; None if `encoded` is not exactly what `encode` returned for it."""
    value = memoryview(encoded)[HEADER_SIZE:]
    return bytes(value) if encoded[:HEADER_SIZE] == header(key, value) else None
