"""Store wrappers. They can be stacked; the outermost is called first, so the order decides what is cached or traced."""

from obspec_utils.wrappers._coalescing import CoalescingReadableStore
from obspec_utils.wrappers._splitting import SplittingReadableStore
from obspec_utils.wrappers.caching._stats import CacheInfo, TierInfo
from obspec_utils.wrappers.caching._store import CachingReadableStore
from obspec_utils.wrappers.tracing._record import RequestRecord
from obspec_utils.wrappers.tracing._store import TracingReadableStore
from obspec_utils.wrappers.tracing._trace import RequestTrace

__all__ = [
    "CacheInfo",
    "CachingReadableStore",
    "CoalescingReadableStore",
    "RequestRecord",
    "RequestTrace",
    "SplittingReadableStore",
    "TierInfo",
    "TracingReadableStore",
]
