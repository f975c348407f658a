"""Calls that a cache may answer although the store refuses them, or answers them in two ways."""

from __future__ import annotations

__all__ = ["is_comparable"]

_CACHES = ("caching", "blocks", "checked")
# AiohttpStore has no `coalesce`. A cache takes the option of obstore's stores for a hit of any store.
_COALESCED = {f"get_ranges: coalesce{value}" for value in ("", " much", " NumPy", " bool")}

# A cache promises suffixes, and conditions that list several ETags, of an object it holds. Where a store knows less
# than that, it answers more than the store; `test_what_only_a_cache_can_answer` checks what.
_BEYOND_THE_STORE = {
    "azure": {
        "range options: suffix",
        "range options: suffix of more than all",
        "range options: folder/one.bin suffix",
        # The store refuses a suffix before it looks for the object, the cache looks for the object.
        "range options: folder/missing.bin suffix",
        "range options: folder suffix",
        "conditions: if_match list with this",
    },
    "s3-moto": {"conditions: if_match list with this", "conditions: if_match list without spaces"},
    "gcs": {"conditions: if_match list with this", "conditions: if_match list without spaces"},
}
# moto's get of the bucket itself is its listing, its head of the bucket is empty: neither tells about the other.
_INCONSISTENT = {"s3-moto": {"head: ''"}, "gcs": {"head: ''"}}


def is_comparable(kind: str, stack: str, name: str) -> bool:
    """Tell whether a stack has to answer a call as its store does."""
    if kind == "aiohttp" and name in _COALESCED:
        return not any(cache in stack for cache in _CACHES)
    if "caching" not in stack:
        return True
    return name not in _BEYOND_THE_STORE.get(kind, ()) and name not in _INCONSISTENT.get(kind, ())
