"""One call of a tracing store: its timing, its outcome and its records."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, TypeVar

from obspec_utils._io.gc_pause import call_after_pause
from obspec_utils._redact import error_text
from obspec_utils.wrappers.tracing._record import RequestRecord
from obspec_utils.wrappers.tracing._result import TracedResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from obspec import GetResult, GetResultAsync
    from typing_extensions import Buffer

    from obspec_utils.wrappers.tracing._record import Method, RangeStyle
    from obspec_utils.wrappers.tracing._trace import RequestTrace

_Result = TypeVar("_Result", "GetResult", "GetResultAsync")

__all__ = ["NOTHING", "Call", "RequestedRange", "all_requested", "requested"]

RequestedRange = tuple[int, int, "RangeStyle | None"]
NOTHING: RequestedRange = (0, 0, None)

# Threads by identifier. `threading.current_thread()` takes a lock, in which the garbage collector may run, and keeps an
# object for each thread that `threading` has not started.
_threads: Mapping[int, threading.Thread] = vars(threading).get("_active", {})


def _clock_offset() -> float:
    """Return the offset of `time.perf_counter` to the time since the epoch, from the closest of several readings."""
    readings = [(time.perf_counter(), time.time(), time.perf_counter()) for _ in range(5)]
    before, epoch, after = min(readings, key=lambda reading: reading[2] - reading[0])
    return epoch - (before + after) / 2


# Read once, so that timestamps can be compared with each other whatever happens to the system's clock.
_EPOCH = _clock_offset()


def _thread_name() -> str:
    """Return the name of the running task, or else of this thread."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop runs in this thread
        task = None
    if task is not None:
        return task.get_name()
    thread = _threads.get(threading.get_ident())
    return f"Thread {threading.get_native_id()}" if thread is None else thread.name


class Call:
    """One call of a store, as a context manager that records it, failed or not.

    Parameters
    ----------
    ranges
        The requested ranges: start, length, and how they were given. Each has its own record.
    """

    __slots__ = ("_begin", "_is_recorded", "_method", "_on_request", "_path", "_ranges", "_trace")

    def __init__(
        self,
        trace: RequestTrace,
        on_request: Callable[[RequestRecord], None] | None,
        path: str,
        method: Method,
        ranges: Sequence[RequestedRange],
    ) -> None:
        self._trace = trace
        self._on_request = on_request
        self._path = path
        self._method: Method = method
        self._ranges = ranges
        self._is_recorded = False
        self._begin = time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if not self._is_recorded:
            self._record(error=error)

    def received(self, buffers: Sequence[Buffer]) -> Sequence[Buffer]:
        """Record what the store returned for each range, and return it."""
        self._record([memoryview(buffer).nbytes for buffer in buffers])
        return buffers

    def traced(self, result: _Result) -> _Result:
        """Record the response to a `get`; return a result that records its body as it arrives."""
        start, stop = result.range
        self._ranges = [(start, stop - start, None)]
        (record,) = self._record()
        traced: _Result = TracedResult.of(result, record, self._begin)
        return traced

    def _record(self, received: Sequence[int] = (), error: BaseException | None = None) -> list[RequestRecord]:
        self._is_recorded = True
        duration = time.perf_counter() - self._begin
        text, thread = None if error is None else error_text(error), _thread_name()
        records = []
        for number, (start, length, style) in enumerate(self._ranges):
            range_ = self._path, start, length
            when = _EPOCH + self._begin, duration
            # A user's own trace may have the `add` of 0.9, which takes no more and returns nothing.
            record: RequestRecord | None = self._trace.add(*range_, *when, self._method, style)
            if record is None:
                record = RequestRecord(*range_, start + length, *when, self._method, style)
            record.bytes_received = received[number] if number < len(received) else 0
            record.error, record.thread = text, thread
            records.append(record)
            if self._on_request is not None:
                call_after_pause(_Callback(self._on_request, record))
        return records


@dataclass(frozen=True, slots=True)
class _Callback:
    """A callback and its record, to be called later."""

    function: Callable[[RequestRecord], None]
    record: RequestRecord

    def __call__(self) -> None:
        self.function(self.record)


def requested(start: int, end: int | None, length: int | None) -> RequestedRange:
    """Return the range of a `get_range` call; an empty one if it is invalid: the store raises the error."""
    try:
        first = index(start)
        count = index(length or 0) if end is None else index(end) - first
    except TypeError:
        return NOTHING
    return (first, count, "length" if end is None else "end") if first >= 0 and count >= 0 else NOTHING


def all_requested(
    starts: Sequence[int], ends: Sequence[int] | None, lengths: Sequence[int] | None
) -> list[RequestedRange]:
    """Return the ranges of a `get_ranges` call; none if they are invalid."""
    try:
        if ends is not None:
            return [requested(start, end, None) for start, end in zip(starts, ends, strict=False)]
        # Not `lengths or ()`: the truth of an array is ambiguous.
        known = () if lengths is None else lengths
        return [requested(start, None, length) for start, length in zip(starts, known, strict=False)]
    except TypeError:
        return []
