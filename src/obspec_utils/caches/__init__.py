"""Byte-bounded caches. They know nothing of stores."""

from obspec_utils.caches._lru import LruCache

__all__ = ["LruCache"]
