"""The records of a tracing store, and their summary."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from obspec_utils._redact import redacted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Method", "RangeStyle", "RequestRecord", "RequestTrace"]

Method = Literal["get", "get_range", "get_ranges", "head"]
RangeStyle = Literal["end", "length"]


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request.

    Attributes
    ----------
    path
        The object.
    start, length, end
        The requested bytes; for a `get`, those of its response. `end` is exclusive. All 0 for a `head`, and for a `get`
        that failed.
    timestamp
        When the request was made, in seconds since the epoch.
    duration
        Seconds until the call returned; for a `get`, until its headers had arrived.
    method
        The method of the store, without `_async`.
    range_style
        Whether the range was given by its end or its length; None without a range.
    """

    path: str
    start: int
    length: int
    end: int
    timestamp: float
    duration: float | None = None
    method: Method = "get_range"
    range_style: RangeStyle | None = None


@dataclass(repr=False)
class RequestTrace:
    """The requests of one or several tracing stores. Threads may share it."""

    requests: list[RequestRecord] = field(default_factory=list)

    def add(
        self,
        path: str,
        start: int,
        length: int,
        timestamp: float,
        duration: float | None = None,
        method: Method = "get_range",
        range_style: RangeStyle | None = None,
    ) -> RequestRecord:
        """Record a request whose `end` is `start + length`. Credentials in its path are redacted."""
        shown: Any = path
        if isinstance(shown, str):  # the store refuses anything else
            shown = redacted(shown)
        record = RequestRecord(shown, start, length, start + length, timestamp, duration, method, range_style)
        self.requests.append(record)
        return record

    def __repr__(self) -> str:
        """Show the totals only: this is part of the repr of each store that records into it."""
        return f"<RequestTrace of {self.total_requests} requests, {self.total_bytes} bytes>"

    def clear(self) -> None:
        """Remove all records."""
        self.requests.clear()

    @property
    def total_requests(self) -> int:
        """The number of requests."""
        return len(self.requests)

    @property
    def total_bytes(self) -> int:
        """The number of requested bytes."""
        return sum(record.length for record in list(self.requests))

    def summary(self) -> dict[str, Any]:
        """Return totals, and the smallest, largest and mean request in bytes if there was any."""
        lengths = [record.length for record in list(self.requests)]
        summary: dict[str, Any] = {
            "total_requests": len(lengths),
            "total_bytes": sum(lengths),
            "unique_files": len({record.path for record in list(self.requests)}),
        }
        if lengths:
            summary["min_request_size"] = min(lengths)
            summary["max_request_size"] = max(lengths)
            summary["mean_request_size"] = sum(lengths) / len(lengths)
        return summary

    def to_dataframe(self) -> pd.DataFrame:
        """Return a pandas DataFrame with one row per request and one column per field of `RequestRecord`.

        Raises
        ------
        ModuleNotFoundError
            If pandas is not installed.
        """
        try:
            import pandas as pd  # noqa: PLC0415 - an extra, needed here only
        except ModuleNotFoundError as error:
            msg = "RequestTrace.to_dataframe() needs pandas: pip install 'obspec-utils[pandas]'"
            raise ModuleNotFoundError(msg, name="pandas") from error
        columns = [column.name for column in fields(RequestRecord)]
        return pd.DataFrame([asdict(record) for record in list(self.requests)], columns=columns)
