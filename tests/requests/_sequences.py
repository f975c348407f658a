"""Reads in sequence, and the requests for runs of blocks."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._ways import Async, Sync

__all__ = ["BLOCK", "SIZE", "STEP", "blocks", "read"]

BLOCK = 64 * 1024
SIZE = 40 * BLOCK + 1000
STEP = 10_000


def blocks(*bounds: int, end: int = SIZE) -> list[tuple[int, int]]:
    """Return the byte ranges between successive block numbers."""
    offsets = [min(number * BLOCK, end) for number in bounds]
    return list(pairwise(offsets))


def read(call: Sync | Async, store: Any, content: bytes, offsets: Iterable[int], length: int = STEP) -> None:
    for start in offsets:
        stop = min(start + length, len(content))
        assert call.get_range(store, "object", start, stop) == content[start:stop]
