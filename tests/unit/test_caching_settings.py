"""What a caching store is told to do, and tells its copies."""

from __future__ import annotations

import copy
import pickle
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from obstore.store import LocalStore, MemoryStore

from obspec_utils.caches import DiskCache, MemoryCache
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore
from tests.contracts._stores import OnlyGet
from tests.unit._tiers import CONTENT, DictCache

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "store", [MemoryStore(), OnlyGet({}), SplittingReadableStore(MemoryStore())], ids=lambda store: type(store).__name__
)
def test_a_store_that_does_not_tell_what_it_reads_needs_a_namespace(store: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^Pass namespace=: the location of this (MemoryStore|OnlyGet) "):
        CachingReadableStore(store, cache=DiskCache(tmp_path, 10**6))
    CachingReadableStore(store, cache=DiskCache(tmp_path, 10**6), namespace="mine")
    CachingReadableStore(store, cache=MemoryCache())


def test_copies_and_pickles_have_empty_memories_and_the_same_shared_caches(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "object").write_bytes(CONTENT)
    disk = DiskCache(tmp_path / "cache", 10**6)
    store = CachingReadableStore(
        LocalStore(tmp_path / "data"), block_size=256, cache=[MemoryCache(1000), disk], max_age=timedelta(hours=2)
    )
    store.get("object").buffer()
    (tmp_path / "data" / "object").write_bytes(CONTENT[::-1])
    for other in (copy.copy(store), pickle.loads(pickle.dumps(store)), pickle.loads(pickle.dumps(store, 2))):
        assert (other.cache_size, other._max_size) == (0, store._max_size)
        assert repr(other) == repr(store)
        assert bytes(other.get("object").buffer()) == CONTENT  # from disk, for two hours
        assert other.cache_size <= 1000
        assert other._entries.memory is not store._entries.memory
        assert other._entries.max_age == 7200


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"block_size": 0}, ValueError, "block_size must be positive, got 0"),
        ({"block_size": "automatic"}, ValueError, "block_size must be .*'auto' or None, got 'automatic'"),
        ({"max_age": -1}, ValueError, "max_age must not be negative, got -1"),
        ({"max_age": float("nan")}, ValueError, "max_age must not be negative, got nan"),
        ({"max_age": timedelta(-1)}, ValueError, "max_age must not be negative"),
        ({"namespace": ""}, ValueError, "namespace must not be empty"),
        ({"cache": []}, ValueError, "at least one cache"),
        ({"cache": [MemoryCache(), MemoryCache()]}, ValueError, "a MemoryCache only in first place"),
        ({"cache": [DictCache(), MemoryCache()], "namespace": "x"}, ValueError, "a MemoryCache only in first place"),
        ({"cache": {}}, (TypeError, ValueError), "cache"),
        ({"cache": [3]}, TypeError, "get, put, delete and clear.*got 3"),
        ({"cache": MemoryCache(), "max_size": 5}, ValueError, "max_size=5 can't be combined with cache="),
        ({"read_ahead": 1}, ValueError, "^read_ahead must be True or False, got 1$"),
        ({"read_ahead": None}, ValueError, "^read_ahead must be True or False, got None$"),
        ({"read_ahead": "auto"}, ValueError, "^read_ahead must be True or False, got 'auto'$"),
    ],
)
def test_wrong_settings_are_refused(options: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        CachingReadableStore(MemoryStore(), **options)


@pytest.mark.parametrize("read_ahead", [True, False])
@pytest.mark.parametrize("block_size", [None, 256, "auto"])
def test_read_ahead_is_kept_by_copies_and_ignored_for_whole_objects(
    tmp_path: Path, block_size: Any, *, read_ahead: bool
) -> None:
    (tmp_path / "object").write_bytes(CONTENT)
    store = CachingReadableStore(LocalStore(tmp_path), block_size=block_size, read_ahead=read_ahead)
    for other in (store, copy.copy(store), pickle.loads(pickle.dumps(store))):
        assert bytes(other.get_range("object", start=0, end=10)) == CONTENT[:10]
        assert other._config.read_ahead is read_ahead
        assert repr(other) == repr(store)
    assert ("read_ahead=False" in repr(store)) is not read_ahead
