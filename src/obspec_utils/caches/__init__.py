"""Caches of bytes with a budget: in memory, on disk, in Redis. They do not depend on stores."""

from obspec_utils.caches._memory import MemoryCache
from obspec_utils.caches._protocol import Cache, Lease, LeasingCache, ManyCache
from obspec_utils.caches._redis import RedisCache
from obspec_utils.caches.disk import DiskCache

__all__ = ["Cache", "DiskCache", "Lease", "LeasingCache", "ManyCache", "MemoryCache", "RedisCache"]
