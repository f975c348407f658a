"""When requests were in flight. Pure: numbers in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Timeline", "Transfer", "overlap_size", "union"]


class Transfer(NamedTuple):
    """A request with its response.

    Attributes
    ----------
    begin, first, end
        When it was sent, when its response began, and when that ended, in seconds.
    size
        The number of bytes received.
    """

    begin: float
    first: float
    end: float
    size: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """The transfers of a program, in the order in which they were recorded, and the seconds that it took."""

    transfers: tuple[Transfer, ...]
    seconds: float

    @property
    def round_trips(self) -> int:
        """The length of the longest chain of requests, each sent after the response to the one before had begun."""
        count, reached = 0, float("-inf")
        for transfer in sorted(self.transfers, key=lambda it: it.first):
            if transfer.begin >= reached:
                count, reached = count + 1, transfer.first
        return count

    @property
    def busy_seconds(self) -> float:
        """Seconds with any transfer in flight."""
        return sum(stop - start for start, stop in union((it.begin, it.end) for it in self.transfers))

    @property
    def mean_in_flight(self) -> float:
        """The mean number of transfers in flight, while there were any."""
        busy = self.busy_seconds
        return sum(it.end - it.begin for it in self.transfers) / busy if busy > 0 else 0.0


def union(ranges: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Join ranges of bytes or of time that overlap or touch; return them in order, without empty ones."""
    joined: list[tuple[float, float]] = []
    for start, stop in sorted(ranges):
        if stop <= start:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], stop)
        else:
            joined.append((start, stop))
    return joined


def overlap_size(one: Iterable[tuple[int, int]], other: Iterable[tuple[int, int]]) -> int:
    """Return how many bytes are in both of two sets of byte ranges."""
    sizes = [sum(stop - start for start, stop in union(ranges)) for ranges in (one, other, [*one, *other])]
    return int(sizes[0] + sizes[1] - sizes[2])
