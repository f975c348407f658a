"""Compute what recorded requests would take on another network."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace
from math import inf
from numbers import Real
from typing import TYPE_CHECKING

from obspec_utils._explain._timeline import Timeline, Transfer
from obspec_utils._redact import shown
from obspec_utils._text import seconds, size
from obspec_utils._validation import positive_int

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Network", "timeline_on"]

# What this library and an HTTP client take of a processor for a request, measured with obstore's S3Store. Receiving a
# long body takes more, while its next bytes are on their way.
_PROCESSOR_SECONDS = 0.0003


@dataclass(frozen=True, slots=True)
class Network:
    """A network, to tell what recorded requests would take there.

    The first byte of each response comes after the latency, and its bytes at the bandwidth of one connection. A request
    that was sent after another response had begun, or ended, is sent after that here too, and what the program did in
    between takes the time that it took. Requests are sent one at a time, which takes 0.3 ms each. What connections
    share, such as the bandwidth of the machine, and the time to make them are not part of the model.

    Attributes
    ----------
    latency
        Seconds from a request to the first byte of its response.
    bandwidth
        Bytes per second of one connection.
    connections
        The maximum number of requests in flight; 64 by default.

    Raises
    ------
    TypeError, ValueError
        If a value is not a finite number, `latency` is negative, or another one is not positive.
    """

    latency: float
    bandwidth: float
    connections: int = 64

    def __post_init__(self) -> None:
        latency = _number("latency", self.latency, "seconds, such as 0.03")
        if not 0 <= latency < inf:
            msg = f"latency must be a finite number of at least 0 seconds, got {shown(self.latency)}"
            raise ValueError(msg)
        bandwidth = _number("bandwidth", self.bandwidth, "bytes per second, such as 50e6")
        if not 0 < bandwidth < inf:
            msg = f"bandwidth must be a positive, finite number of bytes per second, got {shown(self.bandwidth)}"
            raise ValueError(msg)
        object.__setattr__(self, "latency", latency)
        object.__setattr__(self, "bandwidth", bandwidth)
        object.__setattr__(self, "connections", positive_int("connections", self.connections))

    def __str__(self) -> str:
        each = f"{size(self.bandwidth)}/s a connection"
        return f"{seconds(self.latency)} to the first byte, {each}, {self.connections} connections"


def timeline_on(
    network: Network, transfers: Sequence[Transfer], begin: float, end: float, processor: float = _PROCESSOR_SECONDS
) -> Timeline:
    """Return the transfers of a program that ran from `begin` to `end` as they would be on a network.

    Each takes `processor` seconds of a processor that sends one request at a time.
    """
    events: list[tuple[float, float]] = []  # what earlier transfers did: when, as recorded and as computed
    free = [begin] * min(network.connections, max(1, len(transfers)))  # when each connection is
    recorded = computed = sent = begin  # the latest event that the next transfer comes after; the latest request
    done: list[Transfer] = []
    for transfer in sorted(transfers):
        recorded, computed = _pass(events, transfer.begin, recorded, computed)
        start = max(computed + transfer.begin - recorded, free[0])
        sent = max(start, sent) + processor
        first = sent + network.latency
        stop = first + transfer.size / network.bandwidth
        heapreplace(free, stop)
        heappush(events, (transfer.first, first))
        heappush(events, (transfer.end, stop))
        done.append(Transfer(start, first, stop, transfer.size))
    recorded, computed = _pass(events, end, recorded, computed)
    return Timeline(tuple(done), computed + end - recorded - begin)


def _pass(events: list[tuple[float, float]], now: float, recorded: float, computed: float) -> tuple[float, float]:
    """Take the events until `now`; return the latest one as recorded, and the latest one as computed."""
    while events and events[0][0] <= now:
        one, other = heappop(events)
        recorded, computed = max(recorded, one), max(computed, other)
    return recorded, computed


def _number(name: str, value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):  # which numbers of numpy are, too
        msg = f"{name} must be a number of {what}, got {shown(value)}"
        raise TypeError(msg)
    try:
        return float(value)
    except OverflowError:
        return inf
