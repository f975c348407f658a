"""A record covers its request with the body, however, wherever and how far that is read."""

from __future__ import annotations

import asyncio
import copy
import threading
from typing import TYPE_CHECKING, Any

import pytest
from obstore.store import MemoryStore

from obspec_utils.readers import ParallelStoreReader
from obspec_utils.wrappers import (
    CachingReadableStore,
    RequestRecord,
    RequestTrace,
    SplittingReadableStore,
    TracingReadableStore,
)

if TYPE_CHECKING:
    from tests.servers import ObjectServer

MIB = 1 << 20
SIZE = 6 * MIB
READS = ["buffer", "bytes", "iteration", "stream"]
NO_RETRIES: dict[str, Any] = {"retry_config": {"max_retries": 0}}


@pytest.fixture(params=["s3", "http", "aiohttp", "memory"])
def store(request: pytest.FixtureRequest, object_server: ObjectServer) -> Any:
    if request.param == "memory":
        memory = MemoryStore()
        memory.put("object", bytes(SIZE))
        return memory
    object_server.put("bucket/object", bytes(SIZE))
    options = {} if request.param == "aiohttp" else NO_RETRIES
    return getattr(object_server, f"{request.param}_store")("bucket", **options)


def traced(store: Any) -> tuple[Any, list[RequestRecord]]:
    trace = RequestTrace()
    return TracingReadableStore(store, trace), trace.requests


def read(result: Any, how: str) -> int:
    if how in ("buffer", "bytes"):
        return len(memoryview(getattr(result, how)()))
    return sum(len(memoryview(chunk)) for chunk in (result if how == "iteration" else result.stream(MIB)))


async def read_async(result: Any, how: str) -> int:
    if how in ("buffer", "bytes"):
        return len(memoryview(await getattr(result, f"{how}_async")()))
    return sum([len(memoryview(chunk)) async for chunk in (result if how == "iteration" else result.stream(MIB))])


@pytest.mark.parametrize("how", READS)
def test_bytes_count_when_they_arrive(store: Any, how: str) -> None:
    tracing, records = traced(store)
    result = tracing.get("object")
    (record,) = records
    until_headers = record.duration
    assert (record.start, record.length, record.bytes_received, record.error) == (0, SIZE, 0, None)
    assert read(result, how) == SIZE
    assert (record.bytes_received, record.error) == (SIZE, None)
    assert record.duration > until_headers


@pytest.mark.parametrize("how", READS)
async def test_bytes_count_when_they_arrive_in_a_task(store: Any, how: str) -> None:
    tracing, records = traced(store)
    result = await tracing.get_async("object")
    (record,) = records
    until_headers = record.duration
    assert record.bytes_received == 0
    assert await read_async(result, how) == SIZE
    assert (record.bytes_received, record.error) == (SIZE, None)
    assert record.duration > until_headers


@pytest.mark.parametrize("how", ["iteration", "stream"])
async def test_a_body_read_in_part_has_arrived_in_part(store: Any, how: str) -> None:
    tracing, records = traced(store)
    result = tracing.get("object", options={"range": (MIB, 5 * MIB)})
    chunk = next(iter(result) if how == "iteration" else result.stream(min_chunk_size=1000))
    result = await tracing.get_async("object", options={"range": (MIB, 5 * MIB)})
    chunk_async = await anext(aiter(result) if how == "iteration" else result.stream(min_chunk_size=1000))
    assert [(record.start, record.length) for record in records] == [(MIB, 4 * MIB)] * 2
    assert [record.bytes_received for record in records] == [len(memoryview(it)) for it in (chunk, chunk_async)]


def test_a_body_that_is_never_read_has_not_arrived(store: Any) -> None:
    tracing, records = traced(store)
    tracing.get("object")
    assert [(record.length, record.bytes_received, record.error) for record in records] == [(SIZE, 0, None)]
    assert records[0].duration is not None


def test_a_body_is_recorded_in_whatever_thread_it_is_read(store: Any) -> None:
    tracing, records = traced(store)
    results: list[Any] = []
    first = threading.Thread(target=lambda: results.append(tracing.get("object")), name="asks")
    first.start()
    first.join()
    second = threading.Thread(target=lambda: read(results[0], "stream"), name="reads")
    second.start()
    second.join()
    assert [(record.bytes_received, record.thread) for record in records] == [(SIZE, "asks")]


def test_the_result_is_the_store_s_own_in_everything_else(store: Any) -> None:
    own, result = (
        store.get("object", options={"range": (5, 15)}),
        traced(store)[0].get("object", options={"range": (5, 15)}),
    )
    assert isinstance(result, type(own))
    assert (result.range, result.attributes) == (own.range, own.attributes)
    assert {**result.meta, "last_modified": 0} == {**own.meta, "last_modified": 0}
    assert type(own).__name__ in repr(result)
    assert [name for name in dir(own) if not hasattr(result, name)] == []
    with pytest.raises(AttributeError, match=type(own).__name__):
        result.nonexistent  # noqa: B018
    try:
        copy.copy(own)
    except TypeError as error:
        with pytest.raises(TypeError, match=str(error)):
            copy.copy(result)
    else:
        assert copy.copy(result).buffer() == own.buffer()


def test_what_is_read_twice_arrives_once_and_errors_stay_the_store_s_own(store: Any) -> None:
    outcomes = []
    tracing, records = traced(store)
    for result in (store.get("object"), tracing.get("object")):
        kinds = []
        for how in READS:
            try:
                kinds.append(read(result, how))
            except ValueError as error:
                kinds.append(str(error))
        outcomes.append(kinds)
    assert outcomes[0] == outcomes[1]
    assert [(record.bytes_received, record.error) for record in records] == [(SIZE, None)]


@pytest.mark.parametrize("how", READS)
@pytest.mark.parametrize("kind", ["s3", "http"])  # AiohttpStore resumes bodies
async def test_a_body_that_breaks_is_an_error_of_its_request(object_server: ObjectServer, kind: str, how: str) -> None:
    object_server.put("bucket/object", bytes(SIZE))
    object_server.add_fault("drop", after=2 * MIB, times=None)
    tracing, records = traced(getattr(object_server, f"{kind}_store")("bucket", **NO_RETRIES))
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of each store
        read(tracing.get("object"), how)
    with pytest.raises(type(caught.value)):
        await read_async(await tracing.get_async("object"), how)
    for record in records:
        assert str(record.error).startswith(f"{type(caught.value).__name__}: ")
        assert "\n" not in str(record.error)
        assert 0 <= record.bytes_received < SIZE
        assert (record.bytes_received > 0) == (how == "stream")  # iteration yields chunks of at least 10 MiB


def test_failed_requests_have_their_error(store: Any) -> None:
    tracing, records = traced(store)
    for call in (
        lambda: tracing.get("missing"),
        lambda: tracing.head("missing"),
        lambda: tracing.get_range("missing", start=0, length=5),
        lambda: tracing.get_ranges("missing", starts=[0, 9], lengths=[5, 5]),
    ):
        with pytest.raises(FileNotFoundError) as caught:
            call()
        assert str(records[-1].error).startswith(f"{type(caught.value).__name__}: ")
    assert len(records) == 5
    assert all(record.error and record.bytes_received == 0 and record.duration is not None for record in records)


async def test_a_cancelled_task_s_request_is_recorded(object_server: ObjectServer) -> None:
    object_server.put("bucket/object", bytes(SIZE))
    object_server.add_fault("stall", seconds=60, times=1)
    tracing, records = traced(object_server.s3_store("bucket"))
    task = asyncio.create_task(tracing.get_async("object"), name="given up")
    while not object_server.log():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(record.error, record.thread) for record in records] == [("CancelledError", "given up")]
    object_server.add_fault("stall", after=MIB, seconds=60, times=1)
    result = await tracing.get_async("object")
    task = asyncio.create_task(read_async(result, "buffer"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert records[1].error == "CancelledError"


def test_ranges_tell_what_arrived(store: Any) -> None:
    tracing, records = traced(store)
    tracing.get_range("object", start=SIZE - 10, length=100)
    tracing.get_ranges("object", starts=[0, SIZE - 5], ends=[20, SIZE + 5])
    assert [(record.length, record.bytes_received) for record in records] == [(100, 10), (20, 20), (10, 5)]
    tracing.head("object")
    assert (records[-1].length, records[-1].bytes_received) == (0, 0)


@pytest.mark.filterwarnings("ignore:The server of AiohttpStore:RuntimeWarning")
def test_of_a_server_that_ignores_ranges_all_bytes_arrive(object_server: ObjectServer) -> None:
    object_server.put("bucket/object", bytes(SIZE))
    object_server.add_fault("ignore_range", times=None)
    tracing, records = traced(object_server.aiohttp_store("bucket"))
    reader = ParallelStoreReader(tracing, "object")
    reader.seek(3 * MIB)
    assert reader.read(100) == bytes(100)
    assert [(request.start, request.stop, request.sent) for request in object_server.log()] == [(0, MIB, SIZE)]
    assert [(record.start, record.end, record.bytes_received) for record in records] == [(0, SIZE, SIZE)]


def test_bytes_count_once_if_a_result_is_read_again(object_server: ObjectServer) -> None:
    object_server.put("bucket/object", bytes(SIZE))
    tracing, records = traced(SplittingReadableStore(object_server.s3_store("bucket"), request_size=MIB))
    result = tracing.get("object")
    for received in (MIB, 2 * MIB):
        for _, chunk in zip(range(received // MIB), result.stream(MIB), strict=False):
            assert len(chunk) == MIB
        assert records[0].bytes_received == received
    assert len(result.buffer()) == SIZE
    next(iter(result.stream(MIB)))
    assert records[0].bytes_received == SIZE


def test_a_reader_and_the_trace_of_its_store_agree_with_the_server(object_server: ObjectServer) -> None:
    object_server.put_random("bucket/object", 40 * MIB)
    tracing, _ = traced(object_server.s3_store("bucket"))
    reader = ParallelStoreReader(tracing, "object")
    for place in (0, 20 * MIB, 7 * MIB):
        reader.seek(place)
        reader.read(3 * MIB)
    stats, summary = reader.stats(), tracing._trace.summary()
    assert stats.requests == summary["total_requests"] == len(object_server.log())
    assert stats.bytes_fetched == summary["bytes_received"] == sum(request.sent for request in object_server.log())
    assert summary["duplicate_bytes"] == 0
    assert summary["amplification"] == 1


@pytest.mark.parametrize(("length", "chunks"), [(5, 64), (40, 64), (12, 2), (40, 2)])
def test_bytes_of_a_long_first_read_are_fetched_and_used(object_server: ObjectServer, length: int, chunks: int) -> None:
    object_server.put_random("bucket/object", 40 * MIB)
    reader = ParallelStoreReader(object_server.s3_store("bucket"), "object", max_cached_chunks=chunks)
    reader.read(length * MIB)
    stats = reader.stats()
    assert stats.bytes_fetched == stats.bytes_used == sum(request.sent for request in object_server.log())
    reader.seek(0)
    reader.read(MIB)
    again = sum(request.sent for request in object_server.log()) - stats.bytes_fetched
    assert reader.stats().bytes_used == stats.bytes_used + again


def test_a_trace_under_a_cache_and_a_splitting_store_sees_their_parts(object_server: ObjectServer) -> None:
    object_server.put_random("bucket/object", SIZE)
    tracing, records = traced(object_server.s3_store("bucket"))
    store = CachingReadableStore(SplittingReadableStore(tracing, request_size=MIB))
    for _ in range(2):
        assert len(memoryview(store.get("object").buffer())) == SIZE
    assert sorted((record.start, record.bytes_received) for record in records) == [
        (start * MIB, MIB) for start in range(6)
    ]
    assert store.cache_info().bytes_fetched == SIZE


def test_a_trace_between_a_cache_and_a_splitting_store_sees_one_request(object_server: ObjectServer) -> None:
    object_server.put_random("bucket/object", SIZE)
    tracing, records = traced(SplittingReadableStore(object_server.s3_store("bucket"), request_size=MIB))
    store = CachingReadableStore(tracing)
    assert len(memoryview(store.get("object").buffer())) == SIZE
    assert [(record.start, record.bytes_received) for record in records] == [(0, SIZE)]
