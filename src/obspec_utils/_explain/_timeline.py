"""When requests were in flight. Pure: numbers in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from obspec_utils.wrappers import RequestRecord

__all__ = ["Timeline", "Transfer", "overlap_size", "transfers_of", "union"]


class Transfer(NamedTuple):
    """A request with its response: when it began and ended, in seconds, and the number of bytes received."""

    begin: float
    end: float
    size: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """The transfers of a program, in the order in which they were recorded, and the seconds that it took."""

    transfers: tuple[Transfer, ...]
    seconds: float

    @property
    def in_sequence(self) -> int:
        """The length of the longest chain of transfers none of which began before the one before it had ended."""
        count, reached = 0, float("-inf")
        for transfer in sorted(self.transfers, key=lambda it: it.end):
            if transfer.begin >= reached:
                count, reached = count + 1, transfer.end
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


def transfers_of(records: Iterable[RequestRecord]) -> list[Transfer]:
    """Return the transfers of records; one whose body was left unread ends when it began."""
    return [Transfer(it.timestamp, it.timestamp + (it.duration or 0.0), it.bytes_received) for it in list(records)]


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
