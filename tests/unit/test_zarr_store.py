"""What ObspecStore refuses, and what it is equal to."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import fsspec
import pytest
from obstore.store import LocalStore, MemoryStore
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

from obspec_utils.stores import AiohttpStore
from obspec_utils.wrappers import CachingReadableStore, RequestTrace, TracingReadableStore
from obspec_utils.zarr import ObspecStore
from tests.contracts._stores import IgnoringOptions, OnlyGet

PROTOTYPE = default_buffer_prototype()


@pytest.mark.parametrize(
    ("store", "text"),
    [
        ("s3://bucket", "store must be a store, got 's3://bucket': pass obstore.store.from_url"),
        (MemoryStore, "store must be a store, got the class MemoryStore"),
        (fsspec.filesystem("memory"), "got an fsspec filesystem"),
        ({}, "store must be an obspec store"),
        (None, "store must be an obspec store"),
        (OnlyGet({}), r"store must have get_range_async\(\), got <.*OnlyGet.*>: pass a store such as"),
        (CachingReadableStore(OnlyGet({})), r"store must have get_range_async\(\), got CachingReadableStore\("),
    ],
)
def test_what_is_no_store(store: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        ObspecStore(store)


@pytest.mark.parametrize(
    "byte_range",
    [
        (0, 5),
        slice(0, 5),
        {"suffix": 5},
        5,
        RangeByteRequest(-1, 5),
        RangeByteRequest(5, 4),
        OffsetByteRequest(-1),
        SuffixByteRequest(-1),
    ],
)
async def test_what_is_no_byte_range(byte_range: Any) -> None:
    store = MemoryStore()
    store.put("key", b"0123456789")
    zarr_store = ObspecStore(store)
    with pytest.raises(ValueError, match=r"Unexpected byte_range, got .*: pass zarr's RangeByteRequest"):
        await zarr_store.get("key", PROTOTYPE, byte_range)
    with pytest.raises(ValueError, match="Unexpected byte_range"):
        await zarr_store.get_partial_values(PROTOTYPE, [("key", byte_range)])
    with pytest.raises(ExceptionGroup) as raised:
        await anext(zarr_store.get_ranges("key", [byte_range], prototype=PROTOTYPE))
    assert isinstance(raised.value.exceptions[0], ValueError)


class Ignoring(IgnoringOptions):
    """A store whose get returns whole objects, and which has all methods that are needed."""

    async def get_range_async(self, path: str, *, start: int, end: int) -> bytes:
        return self._body(path, start, end)

    async def head_async(self, path: str) -> dict[str, Any]:
        return self._meta(path)


async def test_a_store_that_ignores_ranges_is_sliced() -> None:
    store = ObspecStore(Ignoring({"key": b"0123456789"}))
    assert (await store.get("key", PROTOTYPE, SuffixByteRequest(3))).to_bytes() == b"789"
    assert (await store.get("key", PROTOTYPE, OffsetByteRequest(8))).to_bytes() == b"89"


async def test_a_name_is_listed_once() -> None:
    """A name can be that of a key and of a prefix."""
    store = MemoryStore()
    for key in ("a", "a/b", "c"):
        store.put(key, b"")
    assert sorted([name async for name in ObspecStore(store).list_dir("")]) == ["a", "c"]


def test_stores_are_equal_if_they_read_from_equal_stores(tmp_path: Any) -> None:
    local, memory = LocalStore(tmp_path), MemoryStore()
    assert ObspecStore(local) == ObspecStore(LocalStore(tmp_path))
    assert ObspecStore(CachingReadableStore(local)) == ObspecStore(TracingReadableStore(local, RequestTrace()))
    assert ObspecStore(local) != ObspecStore(memory)
    assert ObspecStore(memory) != memory
    assert copy.copy(ObspecStore(memory)) == ObspecStore(memory)


def test_the_repr_has_no_secrets() -> None:
    store = AiohttpStore("https://user:password@example.com/data?token=SECRET")
    assert repr(ObspecStore(store)) == f"ObspecStore({store!r})"
    assert "password" not in repr(ObspecStore(store))


@pytest.mark.parametrize("missing", ["zarr", "zarr.abc.store"])
def test_without_zarr_the_error_says_what_to_install(missing: str) -> None:
    """zarr 2 has no zarr.abc."""
    code = f"import sys; sys.modules[{missing!r}] = None; import obspec_utils.zarr"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == (
        "ImportError: ObspecStore requires zarr 3.1.3 or newer: install it with `pip install 'obspec-utils[zarr]'`"
    )
