"""Run a workload through one reader, and measure it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from obspec_utils._explain._network import timeline_on
from obspec_utils._explain._recording_file import RecordingFile
from obspec_utils._explain._rows import ExplanationRow
from obspec_utils._explain._timeline import Timeline, Transfer, overlap_size
from obspec_utils._redact import error_text
from obspec_utils.wrappers import CachingReadableStore, RequestTrace

if TYPE_CHECKING:
    from collections.abc import Callable

    from obspec_utils._explain._candidates import Candidate
    from obspec_utils._explain._network import Network
    from obspec_utils.wrappers import RequestRecord

__all__ = ["ResponseTrace", "Run"]


class ResponseTrace(RequestTrace):
    """A trace that also notes when responses began, and keeps all records.

    A tracing store adds the record of a `get` when its response begins, and of another request when that has ended. All
    times are those of `time.perf_counter`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._responses: list[tuple[float, float, RequestRecord]] = []

    def add(self, *args: Any, **options: Any) -> RequestRecord:  # noqa: ANN401 - as of a trace
        """Record a request."""
        now = time.perf_counter()
        record = super().add(*args, **options)
        self._responses.append((now - (record.duration or 0.0), now, record))
        return record

    def clear(self) -> None:
        """Remove all records."""
        super().clear()
        self._responses.clear()

    @property
    def count(self) -> int:
        """The number of records."""
        return len(self._responses)

    @property
    def records(self) -> list[RequestRecord]:
        """The records."""
        return [record for _, _, record in self._responses]

    @property
    def transfers(self) -> list[Transfer]:
        """When the requests were in flight."""
        return [
            Transfer(begin, first, begin + (record.duration or 0.0), record.bytes_received)
            for begin, first, record in self._responses
        ]


class Run:
    """One run of a workload through the reader of a candidate.

    Parameters
    ----------
    candidate
        How the reader is made.
    store
        The wrapped store, over a tracing store.
    path
        The object's path.
    trace
        The trace of the tracing store. It is cleared.
    """

    def __init__(self, candidate: Candidate, store: Any, path: str, trace: ResponseTrace) -> None:  # noqa: ANN401 - any store
        self._candidate = candidate
        self._store = store
        self._path = path
        self._trace = trace
        self._reader: Any = None
        self._sampled = -1
        self._fetched = self._kept = self._peak = 0
        self._ranges: list[tuple[int, int]] = []
        self._error: str | None = None
        self._begin = self._end = 0.0

    def run(self, work: Callable[[Any], object]) -> None:
        """Run the workload; note its error, if it raises one."""
        self._trace.clear()
        self._begin = time.perf_counter()
        try:
            self._work(work)
        except Exception as error:  # noqa: BLE001 - of any kind; it is reported
            self._error = error_text(error)
        self._end = time.perf_counter()

    def _work(self, work: Callable[[Any], object]) -> None:
        with self._candidate.open(self._store, self._path) as self._reader:
            self._sample()
            with RecordingFile(self._reader, self._sample) as file:
                try:
                    work(file)
                finally:
                    self._ranges = file.ranges

    def _sample(self) -> None:
        """Note how much is kept, if there was a request since the last time."""
        if self._trace.count == self._sampled:
            return
        stats = self._reader.stats()
        kept = stats.bytes_kept
        if isinstance(self._store, CachingReadableStore):
            kept += self._store.cache_size
        self._peak = max(self._peak, kept, self._kept + stats.bytes_fetched - self._fetched)
        self._sampled, self._fetched, self._kept = self._trace.count, stats.bytes_fetched, kept

    def row(self, name: str, network: Network | None) -> ExplanationRow:
        """Return what was measured, or computed for a network."""
        records, transfers = self._trace.records, self._trace.transfers
        timeline = Timeline(tuple(transfers), self._end - self._begin)
        round_trips = timeline.round_trips
        if network is not None:
            timeline = timeline_on(network, transfers, self._begin, self._end)
        received = [(it.start, it.start + it.bytes_received) for it in records]
        trace = RequestTrace(records, max_records=max(1, len(records)))
        totals = trace.summary()
        return ExplanationRow(
            reader=name,
            code=self._candidate.code,
            requests=totals["total_requests"],
            round_trips=round_trips,
            bytes_received=totals["bytes_received"],
            unique_bytes=totals["unique_bytes"],
            bytes_used=overlap_size(received, self._ranges),
            seconds=timeline.seconds,
            peak_memory=self._peak,
            error=self._error,
            is_cached=isinstance(self._store, CachingReadableStore),
            trace=trace,
            timeline=timeline,
        )
