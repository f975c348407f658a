"""The Range header."""

from __future__ import annotations

import re

_SINGLE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class UnsatisfiableRangeError(Exception):
    """The range has no byte in common with the object."""


def resolve_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Half-open offsets of a Range header, or None for the whole object.

    A header that is malformed or names several ranges is ignored, as the HTTP standard allows.
    """
    match = _SINGLE_RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.group() == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return None
    if start >= stop:
        raise UnsatisfiableRangeError
    return start, stop


def requested_range(header: str | None, size: int | None) -> tuple[int | None, int | None]:
    """What to log: the offsets served, or those asked for when nothing could be served."""
    if size is not None:
        try:
            return resolve_range(header, size) or (None, None)
        except UnsatisfiableRangeError:
            pass
    match = _SINGLE_RANGE.fullmatch(header.strip()) if header else None
    if match is None or not match.group(1):
        return None, None
    return int(match.group(1)), int(match.group(2)) + 1 if match.group(2) else None
