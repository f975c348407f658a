"""A cache on disk, shared by the processes of one user on one machine."""

from obspec_utils.caches.disk._cache import DiskCache

__all__ = ["DiskCache"]
