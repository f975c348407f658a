"""The records a tracing store makes, and what they add up to."""

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
        The object asked for.
    start, length, end
        The bytes asked for; of a `get`, the bytes its headers promised. `end` is exclusive. All 0 for a `head`, and
        for a `get` that failed.
    timestamp
        When it was made, in seconds since the epoch.
    duration
        How many seconds the call took; of a `get`, until its headers were there.
    method
        The store's method, without `_async`.
    range_style
        Whether the range was given by its end or by its length; None without a range.
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
    """The requests made through the stores that record into it. Threads may share it."""

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
        """Record a request; its `end` is `start + length`. What looks like a credential in its path is hidden."""
        asked: Any = path
        if isinstance(asked, str):  # what is not one is for the store to refuse
            asked = redacted(asked)
        record = RequestRecord(asked, start, length, start + length, timestamp, duration, method, range_style)
        self.requests.append(record)
        return record

    def __repr__(self) -> str:
        """Show the totals: it is part of the repr of each store that records into it."""
        return f"<RequestTrace of {self.total_requests} requests, {self.total_bytes} bytes>"

    def clear(self) -> None:
        """Forget all records."""
        self.requests.clear()

    @property
    def total_requests(self) -> int:
        """How many requests were made."""
        return len(self.requests)

    @property
    def total_bytes(self) -> int:
        """How many bytes were asked for."""
        return sum(record.length for record in list(self.requests))

    def summary(self) -> dict[str, Any]:
        """Return totals; the smallest, largest and mean request, in bytes, where there was one."""
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
        """Return a pandas DataFrame with a row a request and a column a field of `RequestRecord`.

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
