"""Stores around stores: each adds one thing, and they stack in any order."""

from obspec_utils.wrappers._caching import CachingReadableStore
from obspec_utils.wrappers._info import CacheInfo, TierInfo
from obspec_utils.wrappers._splitting import SplittingReadableStore
from obspec_utils.wrappers._trace import RequestRecord, RequestTrace
from obspec_utils.wrappers._tracing import TracingReadableStore

__all__ = [
    "CacheInfo",
    "CachingReadableStore",
    "RequestRecord",
    "RequestTrace",
    "SplittingReadableStore",
    "TierInfo",
    "TracingReadableStore",
]
