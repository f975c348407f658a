"""A store that joins range requests of one object, made at the same time, to few requests."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from obspec_utils._io.backends import SYNC, run_sync
from obspec_utils._ranges import NO_OFFSET, resolve_length
from obspec_utils._validation import check_choice, positive_int
from obspec_utils._version import CHECK_VERSION
from obspec_utils.wrappers._turns import Limits, Turns, read_ranges
from obspec_utils.wrappers._wrapper import StoreWrapper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from obspec_utils._ranges import ByteRange
    from obspec_utils._version import CheckVersion
    from obspec_utils.protocols import ReadableStore

__all__ = ["CoalescingReadableStore"]

_MAX_REQUEST_SIZE = 8 * 1024 * 1024
# A range that would be cut into more requests is forwarded as it is: it may be meant as "to the end", whatever that is.
_MAX_PARTS = 1024


class CoalescingReadableStore(StoreWrapper):
    """Join byte ranges of one object that are requested at the same time; forward everything else unchanged.

    This concerns the ranges of one `get_ranges` or `get_ranges_async` call, and all ranges that `get_range_async` and
    `get_ranges_async` are called with in the same turn of an event loop. Adjacent and overlapping ranges become one
    request. The requests are sent in parallel, at most 64 for each event loop and each `get_ranges` call, and each
    caller gets its own bytes. An error is that of all callers of a request, unless it is about the request's range:
    then each of them is repeated alone. A request is cancelled with the last of its callers.

    A call whose only range no other one touches is forwarded, at most one turn of the event loop later. `get_range`,
    `get` and `get_async` are forwarded, and so is `get_ranges` with options of the wrapped store.

    Parameters
    ----------
    store
        The store to read from.
    max_gap
        Join ranges with up to this number of bytes between them, 0 by default. The bytes between are fetched, too.
    max_request_size
        The maximum number of bytes in a request, 8 MiB by default. A longer range is cut, and its parts are checked
        to be of one version: by their ETag, or else their Last-Modified date, or else only the size.
    check_version
        What is compared beside the size: "auto" (the ETag, or else the date), "etag", "date", or "size" for nothing
        else; for servers that send different ETags or dates for the same bytes.

    Raises
    ------
    ValueError
        If `max_gap` is negative, `max_request_size` is not positive, or `check_version` is none of these.
    TypeError
        If `store` has no method of a store, or a number is not an integer.

    Examples
    --------
    ```python
    from obspec_utils.wrappers import CoalescingReadableStore

    coalescing = CoalescingReadableStore(store)
    chunks = coalescing.get_ranges("large.bin", starts=[0, 1000, 2000], lengths=[1000] * 3)  # one request
    ```
    """

    def __init__(
        self,
        store: ReadableStore,
        *,
        max_gap: int = 0,
        max_request_size: int = _MAX_REQUEST_SIZE,
        check_version: CheckVersion = "auto",
    ) -> None:
        super().__init__(store)
        self._max_gap = positive_int("max_gap", max_gap, least=0)
        self._max_request_size = positive_int("max_request_size", max_request_size)
        self._check_version: CheckVersion = check_choice("check_version", check_version, CHECK_VERSION)
        self._turns: dict[asyncio.AbstractEventLoop, Turns] = {}

    def _options(self) -> dict[str, Any]:
        options = {"max_gap": self._max_gap, "max_request_size": self._max_request_size}
        return options if self._check_version == "auto" else {**options, "check_version": self._check_version}

    async def get_range_async(
        self, path: str, *, start: int, end: int | None = None, length: int | None = None
    ) -> Buffer:
        """Get one range of an object, with those that other tasks request in the same turn of the event loop.

        Raises
        ------
        ObjectChangedError
            If the range was cut, and the object was replaced between its requests.
        """
        span = self._span(path, start, end, length)
        found = None if span is None else await self._current_turns().read(path, [span])
        if found is None:
            return await super().get_range_async(path, start=start, end=end, length=length)
        return found[0]

    def get_ranges(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
        **options: Any,  # noqa: ANN401 - options of the store
    ) -> Sequence[Buffer]:
        """Get several ranges of an object by few requests.

        Raises
        ------
        ObjectChangedError
            If a range was cut, and the object was replaced between its requests.
        """
        spans = None if options else self._spans(path, starts, ends, lengths)
        found = None
        if spans is not None:
            found = run_sync(partial(read_ranges, SYNC, self._store, path, spans, self._limits_of_requests()))
        if found is None:
            return super().get_ranges(path, starts=starts, ends=ends, lengths=lengths, **options)
        return found

    async def get_ranges_async(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
        **options: Any,  # noqa: ANN401 - options of the store
    ) -> Sequence[Buffer]:
        """Get several ranges of an object as `get_ranges` does, with those of other tasks, see `get_range_async`."""
        spans = None if options else self._spans(path, starts, ends, lengths)
        found = None if spans is None else await self._current_turns().read(path, spans)
        if found is None:
            return await super().get_ranges_async(path, starts=starts, ends=ends, lengths=lengths, **options)
        return found

    def _limits_of_requests(self) -> Limits:
        return Limits(self._max_gap, self._max_request_size, self._check_version)

    def _current_turns(self) -> Turns:
        loop = asyncio.get_running_loop()
        turns = self._turns.get(loop)
        if turns is None:
            for other in list(self._turns):
                if other.is_closed():
                    self._turns.pop(other, None)
            turns = self._turns[loop] = Turns(self._store, self._limits_of_requests())
        return turns

    def _spans(
        self, path: object, starts: Sequence[int], ends: Sequence[int] | None, lengths: Sequence[int] | None
    ) -> list[ByteRange] | None:
        """Return the ranges of a call; None if only the store can serve them: none, or one that `_span` excludes."""
        try:
            none = [None] * len(starts)
            ranges = zip(starts, none if ends is None else ends, none if lengths is None else lengths, strict=True)
            spans = [self._span(path, *one) for one in ranges]
        except (TypeError, ValueError):
            return None
        found = [span for span in spans if span is not None]
        return found if found and len(found) == len(spans) else None

    def _span(self, path: object, start: int, end: int | None, length: int | None) -> ByteRange | None:
        """Return the range of a call; None if only the store can serve it: an empty, huge or malformed one."""
        span = resolve_length(start, end, length, NO_OFFSET) if isinstance(path, str) else None
        return span if span is not None and span.length <= _MAX_PARTS * self._max_request_size else None
