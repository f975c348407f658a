"""The records of tracing stores."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from threading import get_ident
from typing import TYPE_CHECKING, Any

from obspec_utils._redact import redacted, shown
from obspec_utils._tables import html_table, labelled, text_table
from obspec_utils._validation import positive_int
from obspec_utils.wrappers.tracing._record import RequestRecord
from obspec_utils.wrappers.tracing._summary import summarize

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from obspec_utils.wrappers.tracing._record import Method, RangeStyle

__all__ = ["RequestTrace"]

# Old records are dropped in batches of this part of `max_records`: removing from the start of a list moves all others.
_BATCHES = 1000


@dataclass(repr=False)
class RequestTrace:
    """The requests of one or several tracing stores. Threads and tasks may share it.

    Parameters
    ----------
    requests
        A list to record into; its records count, too, and the oldest are dropped if there are more than `max_records`.
    max_records
        The maximum number of records kept, 100,000 by default. Beyond, the oldest are dropped.

    Raises
    ------
    TypeError
        If `requests` is not a list, or `max_records` is not an integer.
    ValueError
        If `max_records` is not positive.

    Attributes
    ----------
    requests
        The records, in the order in which the calls of the store returned.
    """

    requests: list[RequestRecord] = field(default_factory=list)
    max_records: int = field(default=100_000, kw_only=True)
    # By thread: each changes only its own number, so that none is lost without a lock.
    _dropped: dict[int, int] = field(default_factory=dict, init=False, compare=False)

    def __post_init__(self) -> None:
        self.max_records = positive_int("max_records", self.max_records)
        if not isinstance(self.requests, list):
            msg = f"requests must be a list of RequestRecord, got {shown(self.requests)}"
            raise TypeError(msg)
        self._drop(max(0, len(self.requests) - self.max_records))

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
        """Record a request whose `end` is `start + length`, and whose bytes have all been received.

        Credentials in its path are redacted.
        """
        shown: Any = path
        if isinstance(shown, str):  # the store refuses anything else
            shown = redacted(shown)
        record = RequestRecord(shown, start, length, start + length, timestamp, duration, method, range_style, length)
        self.requests.append(record)
        if len(self.requests) > self.max_records:
            self._drop(max(1, self.max_records // _BATCHES))
        return record

    def _drop(self, batch: int) -> None:
        """Drop the oldest records.

        Without a lock, which a thread that collects garbage could hold. Of threads that come here at once, each drops
        and counts a batch.
        """
        del self.requests[:batch]
        thread = get_ident()
        self._dropped[thread] = self._dropped.get(thread, 0) + batch

    @property
    def dropped(self) -> int:
        """The number of records that were dropped because there were more than `max_records`."""
        return sum(list(self._dropped.values()))

    def __repr__(self) -> str:
        """Show the totals only: this is part of the repr of each store that records into it."""
        return f"<RequestTrace of {self.total_requests} requests, {self.total_bytes} bytes>"

    def __str__(self) -> str:
        return text_table(labelled(self.summary()))

    def _repr_html_(self) -> str:
        return html_table(labelled(self.summary()))

    def clear(self) -> None:
        """Remove all records."""
        self.requests.clear()
        self._dropped.clear()

    @property
    def total_requests(self) -> int:
        """The number of requests, without those that were dropped."""
        return len(self.requests)

    @property
    def total_bytes(self) -> int:
        """The number of requested bytes."""
        return sum(record.length for record in list(self.requests))

    def summary(self) -> dict[str, Any]:
        """Return what the records add up to.

        Returns
        -------
        dict
            In this order:

            - `total_requests`, `total_bytes`, `unique_files`: requests, requested bytes, and objects;
            - `min_request_size`, `max_request_size`, `mean_request_size`: requested bytes of one request; only if there
              was a request;
            - `bytes_received`: bytes that arrived;
            - `unique_bytes`, `duplicate_bytes`: of these, the bytes of the objects, each counted once, and the others,
              which had arrived before;
            - `amplification`: `bytes_received / unique_bytes`; None if nothing arrived;
            - `most_in_flight`: the most requests in flight at once; the ranges of one `get_ranges` call are one;
            - `wall_time`, `idle_time`: seconds from the first request to the last byte, and seconds in between with
              nothing in flight;
            - `p50_duration`, `p95_duration`: seconds that half, and 95 %, of the requests did not exceed; None if no
              duration is known;
            - `errors`: requests that failed, or whose body did;
            - `dropped`: records dropped, which all other numbers leave out.
        """
        return summarize(list(self.requests), self.dropped)

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
            msg = 'RequestTrace.to_dataframe() needs pandas: pip install "obspec-utils[pandas]"'
            raise ModuleNotFoundError(msg, name="pandas") from error
        records = list(self.requests)
        names = [column.name for column in fields(RequestRecord)]
        return pd.DataFrame({name: [getattr(record, name) for record in records] for name in names})

    def plot(self, ax: Axes | Iterable[Axes] | None = None) -> Figure:
        """Draw the requests over time, and where in their objects they read.

        The upper panel has a bar for each request, from its beginning to the last byte that arrived; the fewer bytes,
        the paler. The lower panel shows the offset of the bytes over time: reading in sequence is a rising line. Bytes
        that had been received before are red. Several objects are on top of each other, scaled to the same height.

        Parameters
        ----------
        ax
            A matplotlib Axes to draw both panels into, or two for one panel each; by default a new figure's.

        Returns
        -------
        matplotlib.figure.Figure
            The figure. pyplot is not used: save it by `savefig`; notebooks display it.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        TypeError
            If `ax` is anything else.
        """
        try:
            from obspec_utils.wrappers.tracing._plot import plot  # noqa: PLC0415 - needs an extra
        except ModuleNotFoundError as error:
            msg = 'RequestTrace.plot() needs matplotlib: pip install "obspec-utils[plot]"'
            raise ModuleNotFoundError(msg, name="matplotlib") from error
        return plot(list(self.requests), ax)
