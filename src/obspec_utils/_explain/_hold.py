"""Make requests that are sent together overlap, however fast the store is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from obspec_utils._io.concurrency import limiter
from obspec_utils.wrappers._wrapper import StoreWrapper

if TYPE_CHECKING:
    from obspec_utils.protocols import ReadableStore

__all__ = ["HoldingStore"]

_QUIET_SECONDS = 0.005
# While helper threads, or the caller beside them, have not sent a request: on a busy machine that takes its time.
_LONGEST_QUIET_SECONDS = 0.1


class HoldingStore(StoreWrapper):
    """Hold back each response until no request has been sent for 5 ms, and all helper threads wait for a response.

    A local store responds before a reader has started the threads for its other requests, so that these would be
    recorded as if they had to come one after the other. On a network with a longer latency nothing is held.
    """

    def __init__(self, store: ReadableStore) -> None:
        super().__init__(store)
        self._latest = 0.0  # when a request was sent
        self._in_flight: set[object] = set()  # adding and removing are atomic

    def _forward(self, method: str, *args: object, **options: object) -> Any:  # noqa: ANN401 - any store's result
        self._latest = time.monotonic()
        request = object()
        self._in_flight.add(request)
        try:
            found = super()._forward(method, *args, **options)
            self._hold()
        finally:
            self._in_flight.discard(request)
        return found

    def _hold(self) -> None:
        while True:
            quiet = _QUIET_SECONDS if len(self._in_flight) > limiter.in_use else _LONGEST_QUIET_SECONDS
            left = self._latest + quiet - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _QUIET_SECONDS))
