"""Make requests that are sent together overlap, however fast the store is."""

from __future__ import annotations

import time
from typing import Any

from obspec_utils.wrappers._wrapper import StoreWrapper

__all__ = ["HoldingStore"]

# Much longer than it takes to start a thread.
_QUIET_SECONDS = 0.005


class HoldingStore(StoreWrapper):
    """Hold back each response until no request has been sent for 5 ms.

    A local store responds before a reader has started the threads for its other requests, so that these would be
    recorded as if they had to come one after the other. No response is held while another request may follow that does
    not wait for it. On a network with a longer latency nothing is held.
    """

    _latest = 0.0

    def _forward(self, method: str, *args: object, **options: object) -> Any:  # noqa: ANN401 - any store's result
        self._latest = time.monotonic()
        try:
            return super()._forward(method, *args, **options)
        finally:
            while (left := self._latest + _QUIET_SECONDS - time.monotonic()) > 0:
                time.sleep(left)
