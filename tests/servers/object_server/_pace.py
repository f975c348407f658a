"""Latency and bandwidth."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self

_PIECE = 1 << 20
_SMALLEST_PIECE = 256 << 10
_PIECE_SECONDS = 0.01
_LONGEST_LAG = 0.05
_TIMER_RESOLUTION = 0.0005


@dataclass(frozen=True, slots=True)
class Profile:
    """How slow the server pretends to be; seconds and bytes per second, 0 for no limit.

    With `gather` the latency counts from the arrival of the latest request, not of each. Requests after the first are
    not answered before `gather` of them have been in flight at once, for 10 seconds at most.
    """

    latency: float = 0.0
    bandwidth: float = 0.0
    total_bandwidth: float = 0.0
    gather: int = 0

    def piece_size(self) -> int:
        """Bytes to send at once: few wake-ups, yet several pieces within the time that matters."""
        limits = [limit for limit in (self.bandwidth, self.total_bandwidth) if limit]
        if not limits:
            return _PIECE
        return min(_PIECE, max(_SMALLEST_PIECE, int(min(limits) * _PIECE_SECONDS)))


class Schedule:
    """Tells when the next bytes are due on a line of some bandwidth.

    It follows a timetable rather than pausing between pieces, so that a late timer does not slow
    the line; lag beyond 50 ms is forgiven, so that a peer that did not read gets no burst.
    """

    def __init__(self) -> None:
        self._due = 0.0
        self._users = 0

    def __enter__(self) -> Self:
        """Put one more body on the line; an idle line starts now, without credit for the past."""
        if not self._users:
            self._due = time.monotonic()
        self._users += 1
        return self

    def __exit__(self, *_: object) -> None:
        """Take the body off."""
        self._users -= 1

    def delay(self, length: int, bandwidth: float) -> float:
        """Book `length` bytes and return how long to wait before they have all come through."""
        if not bandwidth:
            return 0.0
        now = time.monotonic()
        self._due = max(self._due, now - _LONGEST_LAG) + length / bandwidth
        wait = self._due - now
        return wait if wait > _TIMER_RESOLUTION else 0.0
