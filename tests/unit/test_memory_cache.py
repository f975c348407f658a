"""A cache in memory, used by itself."""

from __future__ import annotations

import copy
import pickle
from array import array

import pytest
from obstore import Bytes

from obspec_utils.caches import Cache, MemoryCache


@pytest.mark.parametrize("value", [b"abc", bytearray(b"abc"), memoryview(b"abc"), Bytes(b"abc"), array("B", b"abc")])
def test_any_kind_of_buffer_is_kept_as_it_was(value: object) -> None:
    cache = MemoryCache(10)
    cache.put("key", value)  # type: ignore[arg-type]
    if isinstance(value, bytearray):
        value[:] = b"xyz"
    assert bytes(cache.get("key")) == b"abc"  # type: ignore[arg-type]
    assert cache.size == 3


def test_the_budget_is_hard_and_the_least_recently_used_value_goes_first() -> None:
    cache = MemoryCache(6)
    for key in "abc":
        cache.put(key, b"xx")
    cache.get("a")
    cache.put("d", b"xx")
    assert [cache.get(key) for key in "abcd"] == [b"xx", None, b"xx", b"xx"]
    cache.put("a", b"x" * 7)
    assert cache.get("a") is None
    assert (cache.size, cache.evictions) == (4, 1)


def test_values_are_replaced_deleted_and_cleared() -> None:
    cache = MemoryCache()
    cache.put("key", b"old")
    cache.put("key", b"newer")
    assert (cache.get("key"), cache.size) == (b"newer", 5)
    cache.delete("key")
    cache.delete("missing")
    assert (cache.get("key"), cache.size) == (None, 0)
    cache.put("key", b"")
    assert cache.get("key") == b""
    cache.clear()
    assert cache.get("key") is None


def test_copies_and_pickles_are_empty() -> None:
    cache = MemoryCache(10)
    cache.put("key", b"abc")
    for other in (copy.copy(cache), pickle.loads(pickle.dumps(cache))):
        assert (repr(other), other.size, other.get("key")) == ("MemoryCache(10)", 0, None)
    assert isinstance(cache, Cache)


def test_a_budget_is_positive() -> None:
    with pytest.raises(ValueError, match="max_size must be positive, got 0"):
        MemoryCache(0)


def test_keys_of_any_kind_leave_as_texts_do() -> None:
    cache = MemoryCache(2)
    cache.put(b"key", b"xx")  # type: ignore[arg-type]
    cache.put("other", b"xx")
    assert cache.get(b"key") is None  # type: ignore[arg-type]
    assert cache.get("other") == b"xx"
