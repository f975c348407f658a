"""Byte-bounded caches. They know nothing of stores."""

from obspec_utils.caches._lru import MAX_ENTRIES, LruCache

__all__ = ["MAX_ENTRIES", "LruCache"]
