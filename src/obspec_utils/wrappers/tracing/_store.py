"""A store that records every request made through it."""

from __future__ import annotations

import pickle
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from obspec_utils._redact import shown
from obspec_utils.wrappers._wrapper import StoreWrapper
from obspec_utils.wrappers.tracing._call import NOTHING, Call, RequestedRange, all_requested, requested

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from obspec import GetOptions, GetResult, GetResultAsync, ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils.protocols import ReadableStore
    from obspec_utils.wrappers.tracing._record import Method, RequestRecord
    from obspec_utils.wrappers.tracing._trace import RequestTrace

__all__ = ["TracingReadableStore"]


class TracingReadableStore(StoreWrapper):
    """Record every request, including failed ones; change nothing.

    The result of a `get` is the store's own, and records its body as it is consumed, in whatever way and thread.

    Parameters
    ----------
    store
        The store to read from.
    trace
        Where requests are recorded; several stores can share one. A pickled store has a copy of it.
    on_request
        Called with each record when the call of the store returns or fails. The record of a `get` changes afterwards,
        while its body arrives. Inside a reader or another wrapper, it is called in the caller's thread once that holds
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

    def _call(self, path: str, method: Method, *ranges: RequestedRange) -> Call:
        return Call(self._trace, self._on_request, path, method, ranges)

    def get(self, path: str, *, options: GetOptions | None = None) -> GetResult:
        """Get an object and record the request, and its body when the result is consumed."""
        with self._call(path, "get", NOTHING) as call:
            return call.traced(super().get(path, options=options))

    async def get_async(self, path: str, *, options: GetOptions | None = None) -> GetResultAsync:
        """Get an object and record the request, and its body when the result is consumed."""
        with self._call(path, "get", NOTHING) as call:
            return call.traced(await super().get_async(path, options=options))

    def get_range(self, path: str, *, start: int, end: int | None = None, length: int | None = None) -> Buffer:
        """Get one range of an object and record the request."""
        with self._call(path, "get_range", requested(start, end, length)) as call:
            (buffer,) = call.received([super().get_range(path, start=start, end=end, length=length)])
        return buffer

    async def get_range_async(
        self, path: str, *, start: int, end: int | None = None, length: int | None = None
    ) -> Buffer:
        """Get one range of an object and record the request."""
        with self._call(path, "get_range", requested(start, end, length)) as call:
            (buffer,) = call.received([await super().get_range_async(path, start=start, end=end, length=length)])
        return buffer

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
        with self._call(path, "get_ranges", *all_requested(starts, ends, lengths)) as call:
            return call.received(super().get_ranges(path, starts=starts, ends=ends, lengths=lengths, **options))

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
        with self._call(path, "get_ranges", *all_requested(starts, ends, lengths)) as call:
            return call.received(
                await super().get_ranges_async(path, starts=starts, ends=ends, lengths=lengths, **options)
            )

    def head(self, path: str) -> ObjectMeta:
        """Get an object's metadata and record the request."""
        with self._call(path, "head", NOTHING):
            return super().head(path)

    async def head_async(self, path: str) -> ObjectMeta:
        """Get an object's metadata and record the request."""
        with self._call(path, "head", NOTHING):
            return await super().head_async(path)


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
