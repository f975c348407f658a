"""What zarr requests through ObspecStore: a chunk once, a shard's parts by one plan, nothing twice behind a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.wrappers import CachingReadableStore, CoalescingReadableStore
from obspec_utils.zarr import ObspecStore
from tests.servers import random_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.servers import ObjectServer

    from .conftest import Remote

KIB, MIB = 1 << 10, 1 << 20
PROTOTYPE = default_buffer_prototype()
PLANS_RANGES = hasattr(Store, "get_ranges")  # zarr 3.4


def upload(server: ObjectServer, written: zarr.storage.MemoryStore) -> None:
    for key, value in written._store_dict.items():
        server.put(f"bucket/{key}", value.to_bytes())
    server.clear()


def chunk_requests(server: ObjectServer) -> list[tuple[str, str, int | None]]:
    """Return method, path and status of what was requested of chunks, in the order of their paths."""
    log = [request for request in server.log() if "/c/" in request.path]
    return sorted((request.method, request.path, request.status) for request in log)


@pytest.fixture
def values() -> np.ndarray:
    return np.arange(60, dtype="i4").reshape(6, 10)


@pytest.fixture
def group(object_server: ObjectServer, values: np.ndarray) -> ObjectServer:
    """A group with two arrays of 6 chunks each and consolidated metadata, one chunk of which is missing."""
    written = zarr.storage.MemoryStore()
    root = zarr.create_group(written, zarr_format=3)
    for name, array in (("x", values), ("y", np.where(values < 5, -1, values))):
        made = root.create_array(
            name, data=array, chunks=(2, 5), fill_value=-1, compressors=None, dimension_names=["a", "b"]
        )
        assert made.nchunks == 6
    with pytest.warns(match="Consolidated metadata"):
        zarr.consolidate_metadata(written)
    written._store_dict.pop("y/c/0/0")
    upload(object_server, written)
    return object_server


def test_xarray_requests_each_chunk_once_and_nothing_twice(group: ObjectServer, values: np.ndarray) -> None:
    xr = pytest.importorskip("xarray")
    store = CachingReadableStore(group.s3_store("bucket"))
    with xr.open_zarr(ObspecStore(store), chunks=None, zarr_format=3) as dataset:
        np.testing.assert_array_equal(dataset["x"].values, values)
    expected = [("GET", f"bucket/x/c/{row}/{column}", 200) for row in range(3) for column in range(2)]
    assert chunk_requests(group) == expected
    assert len(group.log()) == len(expected) + 1  # and the metadata
    group.clear()
    with xr.open_zarr(ObspecStore(store), chunks=None, zarr_format=3) as dataset:
        np.testing.assert_array_equal(dataset["x"].values, values)
    assert group.log() == []


def test_a_missing_chunk_is_the_fill_value(group: ObjectServer, values: np.ndarray) -> None:
    expected = values.copy()
    expected[:2, :5] = -1
    array = zarr.open_array(ObspecStore(group.s3_store("bucket")), path="y", mode="r")
    np.testing.assert_array_equal(array[:], expected)
    assert ("GET", "bucket/y/c/0/0", 404) in chunk_requests(group)


def test_consolidated_metadata_replaces_lists(group: ObjectServer, values: np.ndarray) -> None:
    """A store that can't list, such as AiohttpStore, opens the members that the metadata name."""
    store = ObspecStore(group.aiohttp_store("bucket"))
    opened = zarr.open_consolidated(store, mode="r")
    assert sorted(opened.array_keys()) == ["x", "y"]
    np.testing.assert_array_equal(opened["x"][:], values)
    assert sum("zarr.json" in request.path for request in group.log()) == 1
    not_consolidated = zarr.open_group(store, mode="r", use_consolidated=False)
    np.testing.assert_array_equal(not_consolidated["x"][:], values)
    with pytest.raises(ValueError, match=r"ObspecStore.* does not support listing"):
        list(not_consolidated.array_keys())


def test_a_group_is_found_by_lists(group: ObjectServer, values: np.ndarray) -> None:
    store = ObspecStore(CachingReadableStore(group.s3_store("bucket")))
    opened = zarr.open_group(store, mode="r", use_consolidated=False)
    assert sorted(opened.array_keys()) == ["x", "y"]
    np.testing.assert_array_equal(opened["x"][:], values)


@pytest.mark.parametrize("mode", ["a", "r+", "w", "w-"])
def test_a_writable_mode_is_refused(group: ObjectServer, mode: Any) -> None:
    store = ObspecStore(group.s3_store("bucket"))
    with pytest.raises(ValueError, match="read-only"):
        zarr.open_group(store, mode=mode)
    with pytest.raises(ValueError, match=r"ObspecStore is read-only, write with zarr\.storage\.ObjectStore"):
        zarr.open_group(store, mode="r")["x"][0, 0] = 1
    assert {request.method for request in group.log()} <= {"GET", "HEAD"}


async def read(store: ObspecStore, key: str, byte_ranges: Iterable[Any], **options: int) -> list[bytes]:
    groups = [group async for group in store.get_ranges(key, list(byte_ranges), prototype=PROTOTYPE, **options)]
    found = {number: value.to_bytes() for group in groups for number, value in group if value is not None}
    return [found[number] for number in range(len(found))]


def spans(*starts: int, length: int = 10) -> list[RangeByteRequest]:
    return [RangeByteRequest(start, start + length) for start in starts]


@pytest.mark.parametrize(
    ("options", "requests"),
    [
        ({}, [(0, 60)]),
        ({"max_gap_bytes": 0}, [(0, 20), (30, 40), (50, 60)]),
        ({"max_gap_bytes": 0, "max_coalesced_bytes": 15}, [(0, 10), (10, 20), (30, 40), (50, 60)]),
        # A range is never cut.
        ({"max_gap_bytes": 0, "max_coalesced_bytes": 1}, [(0, 10), (10, 20), (30, 40), (50, 60)]),
        ({"max_coalesced_bytes": 40}, [(0, 40), (50, 60)]),
    ],
)
async def test_ranges_of_a_key_are_joined_as_zarr_says(
    remote: Remote, options: dict[str, int], requests: list[tuple[int, int]]
) -> None:
    content = remote.put("object", 100)
    found = await read(ObspecStore(remote.store), "object", spans(50, 0, 30, 10), **options)
    assert found == [content[start : start + 10] for start in (50, 0, 30, 10)]
    assert remote.ranges() == requests


async def test_long_runs_are_several_requests_at_once(remote: Remote) -> None:
    content = remote.put("object", MIB)
    remote.server.configure(latency=0.1, gather=4)
    found = await read(ObspecStore(remote.store), "object", spans(*range(0, MIB, 64 * KIB), length=64 * KIB))
    assert b"".join(found) == content
    assert remote.ranges() == [(start * KIB, (start + 256) * KIB) for start in range(0, 1024, 256)]
    assert remote.server.most_in_flight() == 4


@pytest.mark.parametrize(("options", "in_flight"), [({}, 64), ({"max_concurrency": 3}, 3)])
async def test_requests_in_flight_are_bounded(remote: Remote, options: dict[str, int], in_flight: int) -> None:
    content = remote.put("object", 1000)
    remote.server.configure(latency=0.1, gather=in_flight)
    starts = range(0, 1000, 10)
    found = await read(ObspecStore(remote.store), "object", spans(*starts, length=5), max_gap_bytes=0, **options)
    assert found == [content[start : start + 5] for start in starts]
    assert remote.server.most_in_flight() == in_flight


async def test_requests_of_ranges_without_an_end_are_bounded(remote: Remote) -> None:
    content = remote.put("object", 100)
    remote.server.configure(latency=0.1, gather=3)
    found = await read(ObspecStore(remote.store), "object", map(OffsetByteRequest, range(20)), max_concurrency=3)
    assert found == [content[start:] for start in range(20)]
    assert remote.server.most_in_flight() == 3


async def test_requests_for_several_keys_are_bounded_together(remote: Remote) -> None:
    for number in range(20):
        remote.put(f"{number}", 100)
    remote.server.configure(latency=0.1, gather=60)
    wanted = [(str(number), byte_range) for number in range(20) for byte_range in spans(*range(0, 100, 20))]
    found = await ObspecStore(remote.store).get_partial_values(PROTOTYPE, wanted)
    assert None not in [value and value.to_bytes() for value in found]
    assert len(remote.log()) == 100
    assert remote.server.most_in_flight() == 60  # 3 of each key


async def test_partial_values_of_a_key_are_one_plan(remote: Remote) -> None:
    contents = {"one": remote.put("one", 100, 1), "two": remote.put("two", 100, 2)}
    wanted = [(key, byte_range) for byte_range in spans(20, 0, 10) for key in contents]
    found = await ObspecStore(remote.store).get_partial_values(PROTOTYPE, wanted)
    assert [value and value.to_bytes() for value in found] == [
        contents[key][byte_range.start : byte_range.end] for key, byte_range in wanted
    ]
    assert remote.ranges() == [(0, 30), (0, 30)]


async def test_a_missing_key_is_one_request(remote: Remote) -> None:
    assert await ObspecStore(remote.store).get_partial_values(
        PROTOTYPE, [("missing", one) for one in spans(0, 10)]
    ) == [
        None,
        None,
    ]
    assert len(remote.log()) == 1


async def test_each_kind_of_range_is_one_request(remote: Remote) -> None:
    content = remote.put("object", 100)
    store = ObspecStore(remote.store)
    for byte_range in (RangeByteRequest(10, 20), OffsetByteRequest(90), SuffixByteRequest(10), None):
        assert (await store.get("object", PROTOTYPE, byte_range)) is not None
    log = remote.log()
    assert [request.method for request in log] == ["GET"] * 4
    assert [request.sent for request in log] == [10, 10, 10, len(content)]


async def test_an_error_of_the_server_is_not_a_missing_key(remote: Remote) -> None:
    remote.put("object", 100)
    remote.server.add_fault("status", "bucket/object", times=None, status=403)
    store = ObspecStore(remote.store)
    with pytest.raises(Exception, match="403") as raised:
        await store.get("object", PROTOTYPE)
    with pytest.raises(ExceptionGroup, match="can't read byte ranges of 'object'") as group:
        await read(store, "object", spans(0, 10))
    assert [type(error) for error in group.value.exceptions] == [type(raised.value)]


async def test_a_suffix_is_of_the_version_whose_size_it_was_cut_by(remote: Remote) -> None:
    """Where a store refuses suffixes, as Azure does, the size is requested first."""
    remote.put("object", 100)
    remote.server.add_fault("status", "bucket/object", method="GET", times=1, status=416)
    remote.server.add_fault("replace", "bucket/object", method="GET", skip=1, data=bytes(random_bytes(120, 2)))
    with pytest.raises(ObjectChangedError, match="'object' changed while it was being read"):
        await ObspecStore(remote.store).get("object", PROTOTYPE, SuffixByteRequest(10))
    assert [(request.method, request.start) for request in remote.log()][1:] == [("HEAD", None), ("GET", 90)]


@pytest.mark.skipif(not PLANS_RANGES, reason="zarr reads the parts of a shard one after the other before 3.4")
@pytest.mark.parametrize("wrap", [lambda store: store, CoalescingReadableStore], ids=["bare", "coalescing"])
@pytest.mark.parametrize(("max_gap", "requests", "sent"), [(1 << 20, 1, 11 * KIB), (0, 4, 4 * KIB)])
def test_parts_of_a_shard_are_one_plan(
    object_server: ObjectServer, wrap: Any, max_gap: int, requests: int, sent: int
) -> None:
    """16 chunks of 256 bytes, which lie in 4 runs, with the gaps that zarr is configured to."""
    values = np.random.default_rng(0).integers(0, 1000, (64, 64), dtype="i4")
    written = zarr.storage.MemoryStore()
    zarr.create_array(written, data=values, shards=(64, 64), chunks=(8, 8), compressors=None)
    upload(object_server, written)
    with zarr.config.set({"array.sharding_coalesce_max_gap_bytes": max_gap}):
        array = zarr.open_array(ObspecStore(wrap(object_server.s3_store("bucket"))), mode="r")
        object_server.clear()
        np.testing.assert_array_equal(array[:16], values[:16])
    index, *chunks = object_server.log()
    assert index.sent == 64 * 16 + 4
    assert (len(chunks), sum(request.sent for request in chunks)) == (requests, sent)


def test_a_whole_shard_is_one_request(object_server: ObjectServer) -> None:
    values = np.arange(4096, dtype="i4").reshape(64, 64)
    written = zarr.storage.MemoryStore()
    zarr.create_array(written, data=values, shards=(64, 64), chunks=(8, 8))
    upload(object_server, written)
    array = zarr.open_array(ObspecStore(object_server.s3_store("bucket")), mode="r")
    object_server.clear()
    np.testing.assert_array_equal(array[:], values)
    assert len(object_server.log()) == 1


async def test_a_server_that_ignores_ranges_is_read_whole(remote: Remote) -> None:
    content = remote.put("key", 1000)
    remote.server.add_fault("ignore_range", times=None)
    store = ObspecStore(remote.store)
    for byte_range, expected in (
        (SuffixByteRequest(7), content[-7:]),
        (RangeByteRequest(5, 20), content[5:20]),
        (OffsetByteRequest(990), content[990:]),
    ):
        assert (await read(store, "key", [byte_range])) == [expected]
