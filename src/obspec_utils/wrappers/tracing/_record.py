"""One request of a tracing store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Method", "RangeStyle", "RequestRecord"]

Method = Literal["get", "get_range", "get_ranges", "head"]
RangeStyle = Literal["end", "length"]


@dataclass(slots=True)
class RequestRecord:
    """One request. Those of a `get` change while its body arrives.

    Attributes
    ----------
    path
        The object.
    start, length, end
        The requested bytes; for a `get`, those of its response. `end` is exclusive. All 0 for a `head`, and for a `get`
        that failed.
    timestamp
        When the request was made, in seconds since the epoch, on a clock that is never set back or forward: timestamps
        and durations of one process can be compared exactly.
    duration
        Seconds from the request to the last byte that has arrived. For a `get`, to the headers until its body is
        consumed; the time that the caller takes in between counts. None if it is not known.
    method
        The method of the store, without `_async`.
    range_style
        Whether the range was given by its end or its length; None without a range.
    bytes_received
        Bytes that have arrived: those of a `get` arrive when its result is consumed, and count once if it is consumed
        again.
    error
        The type and message of the error that the request or the first reading of its body raised, credentials
        redacted; None if there was none.
    thread
        The name of the asyncio task that made the request, or else of the thread.
    """

    path: str
    start: int
    length: int
    end: int
    timestamp: float
    duration: float | None = None
    method: Method = "get_range"
    range_style: RangeStyle | None = None
    bytes_received: int = 0
    error: str | None = None
    thread: str = ""
