"""zarr reads the same bytes, and lists the same keys, through ObspecStore over any store and any wrapper."""

from __future__ import annotations

import asyncio
import pickle
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

from obspec_utils.zarr import ObspecStore
from tests.servers.stores import STORE_KINDS

from ._stacks import build

if TYPE_CHECKING:
    from tests.servers import OpenedStore

CONTENT = bytes(range(100))
KEYS = ("a/b/c/0", "a/b/zarr.json", "a/bc/zarr.json", "zarr.json")
RANGES = [
    RangeByteRequest(0, 100),
    RangeByteRequest(10, 20),
    RangeByteRequest(15, 30),
    RangeByteRequest(90, 120),
    RangeByteRequest(10, 10),
    RangeByteRequest(100, 110),
    RangeByteRequest(200, 300),
    RangeByteRequest(50, 1 << 62),
    OffsetByteRequest(0),
    OffsetByteRequest(95),
    OffsetByteRequest(100),
    OffsetByteRequest(200),
    SuffixByteRequest(1),
    SuffixByteRequest(100),
    SuffixByteRequest(200),
    SuffixByteRequest(0),
    None,
]


def slice_of(content: bytes, byte_range: Any) -> bytes:
    match byte_range:
        case RangeByteRequest(start, end):
            return content[start:end]
        case OffsetByteRequest(offset):
            return content[offset:]
        case SuffixByteRequest(suffix):
            return content[max(0, len(content) - suffix) :]
    return content


pytestmark = pytest.mark.parametrize(
    ("store_kind", "stack"),
    [
        *((kind, "bare") for kind in STORE_KINDS),
        *product(("memory", "s3-own", "azure"), ("caching", "blocks-splitting", "coalescing-auto")),
    ],
)


@pytest.fixture
def zarr_store(stack: str, opened_store: OpenedStore) -> ObspecStore:
    for key in KEYS:
        opened_store.seed(key, CONTENT)
    opened_store.seed("empty", b"")
    return ObspecStore(opened_store.store if stack == "bare" else build(stack, opened_store.store))


async def test_ranges_are_slices(zarr_store: ObspecStore) -> None:
    for key, content in (("a/b/c/0", CONTENT), ("empty", b"")):
        for byte_range in RANGES:
            found = await zarr_store.get(key, default_buffer_prototype(), byte_range)
            assert found is not None
            assert (byte_range, found.to_bytes()) == (byte_range, slice_of(content, byte_range))


@pytest.mark.parametrize("key", ["missing", "a/missing", "a", "zarr.json/below"])
async def test_a_missing_key_is_none_whatever_is_asked(zarr_store: ObspecStore, key: str) -> None:
    for byte_range in RANGES:
        assert await zarr_store.get(key, default_buffer_prototype(), byte_range) is None
    values = await zarr_store.get_partial_values(default_buffer_prototype(), [(key, one) for one in RANGES])
    assert values == [None] * len(RANGES)
    assert not await zarr_store.exists(key)
    with pytest.raises(FileNotFoundError, match=key):
        await zarr_store.getsize(key)
    with pytest.raises(ExceptionGroup) as raised:
        await anext(zarr_store.get_ranges(key, RANGES, prototype=default_buffer_prototype()))
    assert [isinstance(error, FileNotFoundError) for error in raised.value.exceptions] == [True]


async def test_ranges_of_several_keys(zarr_store: ObspecStore) -> None:
    order = [*RANGES, *reversed(RANGES)]
    wanted = [(key, byte_range) for byte_range in order for key in (*KEYS, "missing", "empty")]
    contents = {**dict.fromkeys(KEYS, CONTENT), "empty": b""}
    found = await zarr_store.get_partial_values(default_buffer_prototype(), iter(wanted))
    assert [None if value is None else value.to_bytes() for value in found] == [
        slice_of(contents[key], byte_range) if key in contents else None for key, byte_range in wanted
    ]


@pytest.mark.parametrize("ranges", [RANGES, RANGES[:4], RANGES[1:2], RANGES[8:], []])
async def test_many_ranges_of_one_key(zarr_store: ObspecStore, ranges: list[Any]) -> None:
    groups = [group async for group in zarr_store.get_ranges("zarr.json", ranges, prototype=default_buffer_prototype())]
    found = {number: buffer.to_bytes() for group in groups for number, buffer in group if buffer is not None}
    assert found == {number: slice_of(CONTENT, byte_range) for number, byte_range in enumerate(ranges)}


async def test_sizes_and_lists(zarr_store: ObspecStore, opened_store: OpenedStore) -> None:
    assert await zarr_store.exists("a/b/c/0")
    assert await zarr_store.getsize("a/b/c/0") == 100
    if opened_store.kind == "http-own":
        return  # its lists are of the whole server
    if not opened_store.capabilities.can_list:
        assert not zarr_store.supports_listing
        for keys in (zarr_store.list(), zarr_store.list_prefix("a"), zarr_store.list_dir("")):
            with pytest.raises(NotImplementedError, match=r"AiohttpStore.*can't list.*has no list_.*consolidated"):
                await anext(keys)
        return
    assert zarr_store.supports_listing
    assert sorted([key async for key in zarr_store.list()]) == [
        "a/b/c/0",
        "a/b/zarr.json",
        "a/bc/zarr.json",
        "empty",
        "zarr.json",
    ]
    assert sorted([key async for key in zarr_store.list_prefix("a/b/")]) == ["a/b/c/0", "a/b/zarr.json"]
    assert sorted([name async for name in zarr_store.list_dir("a/b")]) == ["c", "zarr.json"]
    assert sorted([name async for name in zarr_store.list_dir("")]) == ["a", "empty", "zarr.json"]
    assert [name async for name in zarr_store.list_dir("missing")] == []
    assert await zarr_store.getsize_prefix("a") == 300
    assert not await zarr_store.is_empty("a/b")
    assert await zarr_store.is_empty("a/b/c/1")


def test_it_pickles_if_its_store_does(zarr_store: ObspecStore, opened_store: OpenedStore) -> None:
    if not opened_store.capabilities.picklable:
        with pytest.raises(TypeError, match="cannot pickle"):
            pickle.dumps(zarr_store)
        return
    copy = pickle.loads(pickle.dumps(zarr_store))
    found = asyncio.run(copy.get("zarr.json", default_buffer_prototype(), SuffixByteRequest(5)))
    assert found.to_bytes() == CONTENT[-5:]
    if opened_store.kind != "aiohttp":  # such stores are never equal
        assert copy == zarr_store
