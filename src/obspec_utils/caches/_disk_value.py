"""One value in a file: its header and its bytes."""

from __future__ import annotations

import os

from obspec_utils.caches._value_codec import HEADER_SIZE, header, is_header_of

__all__ = ["read_value", "write_value"]


def write_value(file: int, key: bytes, value: memoryview) -> None:
    """Write a value, and what tells that it is whole, into an empty file."""
    head = header(key, value)
    written = os.writev(file, [head, value])
    # Less than all is written where the disk is about to be full, and of more than the system takes at once.
    while written < HEADER_SIZE + value.nbytes:
        if written < HEADER_SIZE:
            written += os.write(file, head[written:])
        else:
            written += os.write(file, value[written - HEADER_SIZE :])


def read_value(file: int, key: bytes) -> bytes | None:
    """Return the value of a key; None if the file is not exactly what was written for it."""
    head = os.read(file, HEADER_SIZE)
    size = os.fstat(file).st_size - HEADER_SIZE
    # Looked at first, so that no memory is taken for what a damaged file pretends to be.
    if not is_header_of(head, key, size):
        return None
    value = os.read(file, size)
    if 0 < len(value) < size:  # more than the system gives at once
        value = b"".join([value, *iter(lambda: os.read(file, size), b"")])
    return value if head == header(key, value) else None
