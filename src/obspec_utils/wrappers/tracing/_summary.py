"""What the records of a trace add up to."""

from __future__ import annotations

from itertools import groupby
from math import ceil
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from obspec_utils._ranges import ByteRange, merge_near

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from obspec_utils.wrappers.tracing._record import RequestRecord

__all__ = ["summarize"]


def summarize(records: Sequence[RequestRecord], dropped: int) -> dict[str, Any]:
    """Return the totals of records, see `RequestTrace.summary`."""
    received = sum(record.bytes_received for record in records)
    unique = _unique_bytes(records)
    most_in_flight, wall_time, idle_time = _overlaps(records)
    durations = sorted(record.duration for record in records if record.duration is not None)
    return {
        "total_requests": len(records),
        "total_bytes": sum(record.length for record in records),
        "unique_files": len({record.path for record in records}),
        **_sizes([record.length for record in records]),
        "bytes_received": received,
        "unique_bytes": unique,
        "duplicate_bytes": received - unique,
        "amplification": received / unique if unique else None,
        "most_in_flight": most_in_flight,
        "wall_time": wall_time,
        "idle_time": idle_time,
        "p50_duration": _percentile(durations, 0.5),
        "p95_duration": _percentile(durations, 0.95),
        "errors": sum(record.error is not None for record in records),
        "dropped": dropped,
    }


def _sizes(lengths: list[int]) -> dict[str, float]:
    if not lengths:
        return {}
    return {
        "min_request_size": min(lengths),
        "max_request_size": max(lengths),
        "mean_request_size": sum(lengths) / len(lengths),
    }


def _unique_bytes(records: Iterable[RequestRecord]) -> int:
    """Count the received bytes, each byte of an object once."""
    ranges: dict[str, list[ByteRange]] = {}
    for record in records:
        if record.bytes_received:
            span = ByteRange(record.start, record.start + record.bytes_received)
            ranges.setdefault(record.path, []).append(span)
    return sum(span.length for spans in ranges.values() for span in merge_near(sorted(spans), 0, 0))


# What the ranges of one `get_ranges` call have in common. Calls of one thread or task never overlap.
_CALL: Callable[[RequestRecord], tuple[Any, ...]] = attrgetter("timestamp", "method", "path", "thread")


def _overlaps(records: Sequence[RequestRecord]) -> tuple[int, float, float]:
    """Return the most calls in flight at once, the wall time, and the seconds of it with none in flight."""
    events: list[tuple[float, int, int]] = []  # time, order of events at that time, change of the number in flight
    for (timestamp, method, *_), alike in groupby(sorted(records, key=_CALL), _CALL):
        durations = [record.duration or 0.0 for record in alike]
        for duration in [max(durations)] if method == "get_ranges" else durations:
            # A call that begins when another ends is not in flight with it; one that takes no time is, for a moment.
            events += (timestamp, 1, 1), (timestamp + duration, 0 if duration else 2, -1)
    if not events:
        return 0, 0.0, 0.0
    events.sort()
    in_flight = most = 0
    idle, previous = 0.0, events[0][0]
    for time, _, change in events:
        if not in_flight:
            idle += time - previous
        in_flight += change
        most = max(most, in_flight)
        previous = time
    return most, previous - events[0][0], idle


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest number that at least this share of the numbers do not exceed."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None
