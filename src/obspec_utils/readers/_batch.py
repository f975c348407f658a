"""What one thread fetches and others may wait for."""

from __future__ import annotations

from bisect import bisect_right
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from obspec_utils._ranges import ByteRange

__all__ = ["Batch"]


class Batch:
    """Byte ranges that one thread fetches, in order of their offsets, and others wait for."""

    def __init__(self, parts: list[ByteRange]) -> None:
        self.parts = parts
        self.starts = [part.start for part in parts]
        self.length = sum(part.length for part in parts)
        self.done: Future[None] = Future()

    def stop_at(self, position: int) -> int:
        """Return the stop of the part that has a position; 0 if there is none."""
        number = bisect_right(self.starts, position) - 1
        return self.parts[number].stop if number >= 0 and position < self.parts[number].stop else 0

    def next_start(self, position: int, default: int) -> int:
        """Return the start of the first part after a position, or `default` if there is none before that."""
        number = bisect_right(self.starts, position)
        return min(self.starts[number], default) if number < len(self.starts) else default

    def overlaps(self, span: ByteRange) -> bool:
        """Return whether some bytes of a range are in this batch."""
        return bool(self.stop_at(span.start)) or self.next_start(span.start, span.stop) < span.stop
