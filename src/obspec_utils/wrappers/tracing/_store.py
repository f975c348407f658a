"""A store that records every request made through it."""

from __future__ import annotations

import pickle
import time
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any

from obspec_utils._io.gc_pause import call_after_pause
from obspec_utils._redact import shown
from obspec_utils.wrappers._wrapper import StoreWrapper
from obspec_utils.wrappers.tracing._trace import Method, RangeStyle, RequestRecord, RequestTrace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from obspec import GetOptions, GetResult, GetResultAsync, ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils.protocols import ReadableStore

__all__ = ["TracingReadableStore"]


class TracingReadableStore(StoreWrapper):
    """Record every request, including failed ones; change nothing.

    Parameters
    ----------
    store
        The store to read from.
    trace
        Where requests are recorded; several stores can share one. A pickled store has a copy of it.
    on_request
        Called with each record. Inside a reader or another wrapper, it is called in the caller's thread once that holds
        no lock. Pickling drops a callable that can't be pickled.

    Raises
    ------
    TypeError
        If `store` has no method of a store, `trace` has no `add`, or `on_request` is not callable.
    """

    def __init__(
        self,
        store: ReadableStore,
        trace: RequestTrace,
        *,
        on_request: Callable[[RequestRecord], None] | None = None,
    ) -> None:
        super().__init__(store)
        if not callable(getattr(trace, "add", None)):
            msg = f"trace must be a RequestTrace, got {shown(trace)}"
            raise TypeError(msg)
        if on_request is not None and not callable(on_request):
            msg = f"on_request must be a function of one record, or None, got {shown(on_request)}"
            raise TypeError(msg)
        self._trace = trace
        self._on_request = on_request

    def _arguments(self) -> tuple[object, ...]:
        return (self._trace,)

    def __copy__(self) -> TracingReadableStore:
        return type(self)(self._store, self._trace, on_request=self._on_request)

    def __deepcopy__(self, memo: dict[int, object]) -> TracingReadableStore:
        store, trace = deepcopy((self._store, self._trace), memo)
        return type(self)(store, trace, on_request=self._on_request)

    def __reduce__(self) -> tuple[Callable[..., StoreWrapper], tuple[object, ...]]:
        return _restore, (type(self), self._store, self._trace, _portable(self._on_request))

    @contextmanager
    def _recording(self, path: str, method: Method, *ranges: _Range) -> Iterator[list[_Range]]:
        """Record a request, failed or not; a `get` replaces the yielded ranges by that of its response."""
        recorded = list(ranges)
        timestamp = time.time()
        begin = time.perf_counter()
        try:
            yield recorded
        finally:
            duration = time.perf_counter() - begin
            for start, length, style in recorded:
                record = self._trace.add(path, start, length, timestamp, duration, method, style)
                if self._on_request is not None:
                    call_after_pause(_Call(self._on_request, record))

    def get(self, path: str, *, options: GetOptions | None = None) -> GetResult:
        """Get an object and record the request."""
        with self._recording(path, "get", _NOTHING) as recorded:
            result = super().get(path, options=options)
            recorded[:] = [_served(result)]
        return result

    async def get_async(self, path: str, *, options: GetOptions | None = None) -> GetResultAsync:
        """Get an object and record the request."""
        with self._recording(path, "get", _NOTHING) as recorded:
            result = await super().get_async(path, options=options)
            recorded[:] = [_served(result)]
        return result

    def get_range(self, path: str, *, start: int, end: int | None = None, length: int | None = None) -> Buffer:
        """Get one range of an object and record the request."""
        with self._recording(path, "get_range", _requested(start, end, length)):
            return super().get_range(path, start=start, end=end, length=length)

    async def get_range_async(
        self, path: str, *, start: int, end: int | None = None, length: int | None = None
    ) -> Buffer:
        """Get one range of an object and record the request."""
        with self._recording(path, "get_range", _requested(start, end, length)):
            return await super().get_range_async(path, start=start, end=end, length=length)

    def get_ranges(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
        **options: Any,  # noqa: ANN401 - options of the store
    ) -> Sequence[Buffer]:
        """Get several ranges of an object and record each of them."""
        with self._recording(path, "get_ranges", *_all_requested(starts, ends, lengths)):
            return super().get_ranges(path, starts=starts, ends=ends, lengths=lengths, **options)

    async def get_ranges_async(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
        **options: Any,  # noqa: ANN401 - options of the store
    ) -> Sequence[Buffer]:
        """Get several ranges of an object and record each of them."""
        with self._recording(path, "get_ranges", *_all_requested(starts, ends, lengths)):
            return await super().get_ranges_async(path, starts=starts, ends=ends, lengths=lengths, **options)

    def head(self, path: str) -> ObjectMeta:
        """Get an object's metadata and record the request."""
        with self._recording(path, "head", _NOTHING):
            return super().head(path)

    async def head_async(self, path: str) -> ObjectMeta:
        """Get an object's metadata and record the request."""
        with self._recording(path, "head", _NOTHING):
            return await super().head_async(path)


_Range = tuple[int, int, RangeStyle | None]
_NOTHING: _Range = (0, 0, None)


@dataclass(frozen=True, slots=True)
class _Call:
    """A callback and its record, to be called later."""

    function: Callable[[RequestRecord], None]
    record: RequestRecord

    def __call__(self) -> None:
        self.function(self.record)


def _served(result: GetResult | GetResultAsync) -> _Range:
    start, stop = result.range
    return start, stop - start, None


def _requested(start: int, end: int | None, length: int | None) -> _Range:
    # An invalid range is recorded as empty: the store raises the error.
    try:
        first = index(start)
        return (first, index(end) - first, "end") if end is not None else (first, index(length or 0), "length")
    except TypeError:
        return _NOTHING


def _all_requested(starts: Sequence[int], ends: Sequence[int] | None, lengths: Sequence[int] | None) -> list[_Range]:
    try:
        if ends is not None:
            return [_requested(start, end, None) for start, end in zip(starts, ends, strict=False)]
        # Not `lengths or ()`: the truth of an array is ambiguous.
        known = () if lengths is None else lengths
        return [_requested(start, None, length) for start, length in zip(starts, known, strict=False)]
    except TypeError:
        return []


def _portable(function: Callable[[RequestRecord], None] | None) -> Callable[[RequestRecord], None] | None:
    """Return a callback if it can be pickled."""
    try:
        pickle.dumps(function)
    except Exception:  # noqa: BLE001 - pickle raises whatever an object's own reduction raises
        return None
    return function


def _restore(
    kind: type[TracingReadableStore],
    store: ReadableStore,
    trace: RequestTrace,
    on_request: Callable[[RequestRecord], None] | None,
) -> TracingReadableStore:
    return kind(store, trace, on_request=on_request)
