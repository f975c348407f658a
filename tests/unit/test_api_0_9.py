"""Code written for 0.9.0 finds every name it used, with parameters that mean the same."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from obspec_utils.readers import BlockStoreReader, BufferedStoreReader, EagerStoreReader, ParallelStoreReader
from obspec_utils.wrappers import CachingReadableStore, RequestTrace, SplittingReadableStore, TracingReadableStore
from tests.unit.api_0_9.describe import describe

# Each is in the CHANGELOG, under "Changed".
EXCEPTIONS = {
    "obspec_utils.aiohttp.AiohttpGetResult": "only the store makes results",
    "obspec_utils.stores.AiohttpGetResult": "only the store makes results",
    "obspec_utils.registry.PathEntry.lookup": "its parameter is called path",
}
BASELINE = json.loads((Path(__file__).parent / "api_0_9" / "api.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def api():
    return describe()


def extends(new, old):
    """Tell whether calls with the old parameters mean the same with the new ones."""
    added = new[len(old) :]
    return new[: len(old)] == old and all("=" in parameter or parameter.startswith("*") for parameter in added)


def test_every_name_is_there_and_takes_the_same_arguments(api):
    expected = {name: old for name, old in BASELINE.items() if not name.startswith(tuple(EXCEPTIONS))}
    assert [name for name in expected if name not in api] == []
    # None: an attribute, or a method that io.BufferedIOBase has in C
    called = {name: (old, api[name]) for name, old in expected.items() if old is not None and api[name] is not None}
    assert {name: both for name, both in called.items() if not extends(both[1], both[0])} == {}
    assert len(called) > 150


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_exceptions_are_needed(api, name):
    excepted = [old for old in BASELINE if old.startswith(name)]
    assert excepted
    assert any(old not in api or not extends(api[old], BASELINE[old]) for old in excepted)


@pytest.mark.parametrize("reader", [BlockStoreReader, BufferedStoreReader, EagerStoreReader, ParallelStoreReader])
def test_readers_keep_the_private_attributes_that_others_use(reader):
    store = MemoryStore()
    store.put("a", b"bytes")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # 0.9.0 warned that ParallelStoreReader was deprecated
        file = reader(store, "a")
    assert (file._store, file._path) == (store, "a")


def test_wrappers_keep_the_private_attributes_that_others_use():
    store = MemoryStore()
    caching, splitting = CachingReadableStore(store, 10), SplittingReadableStore(store)
    tracing = TracingReadableStore(store, RequestTrace())
    assert all(wrapper._store is store for wrapper in (caching, splitting, tracing))
    assert caching._max_size == 10
    assert (splitting._request_size, splitting._max_concurrent_requests) == (12 << 20, 18)
