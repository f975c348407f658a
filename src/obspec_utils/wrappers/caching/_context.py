"""One request to a caching store: of which object, by a thread or by a task."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from obspec_utils.wrappers.caching._keys import cache_key

if TYPE_CHECKING:
    from obspec_utils._io.backends import Backend
    from obspec_utils._io.progress import Counter

__all__ = ["RequestContext"]


@dataclass(slots=True)
class RequestContext:
    """One request to a caching store.

    Parameters
    ----------
    path
        The path as the caller passed it.
    max_requests
        The maximum number of requests in flight, if it is less than the store's own limit.
    counter
        Where to count the bytes that arrive.

    Attributes
    ----------
    key
        The cache key of the object.
    waited
        The seconds that this request has waited for fetches of other processes.
    """

    backend: Backend
    path: str
    max_requests: int | None = None
    counter: Counter | None = None
    key: str = field(init=False)
    waited: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.key = cache_key(self.path)

    async def wait(self, seconds: float) -> None:
        """Wait for other processes."""
        if sys.is_finalizing():  # at interpreter shutdown other threads never finish
            self.waited = math.inf
            return
        start = time.monotonic()
        await self.backend.sleep(seconds)
        self.waited += time.monotonic() - start
