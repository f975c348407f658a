"""Reads of AiohttpStore: requests in flight and in memory, results, versions."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.stores import AiohttpStore
from tests.servers import random_bytes
from tests.servers.web_server import WebServer, serve_bytes

from ._web import CALLS, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(60)

DATA = random_bytes(100_000, seed=3)
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer(serve_bytes(DATA)) as started:
        yield started


@every_call
def test_every_method_is_one_request(server: WebServer, call: Callable[..., Any]) -> None:
    store = AiohttpStore(server.url + "/data/")
    assert call(store, "get", "a.bin") == DATA
    assert call(store, "get", "a.bin", options={"range": (5, 10)}) == DATA[5:10]
    assert call(store, "get", "a.bin", options={"range": {"offset": 99_990}}) == DATA[-10:]
    assert call(store, "get", "a.bin", options={"range": {"suffix": 7}}) == DATA[-7:]
    assert call(store, "get_range", "a.bin", start=5, length=9) == DATA[5:14]
    assert call(store, "get_range", "a.bin", start=99_999, end=100_009) == DATA[-1:]
    assert call(store, "head", "a.bin")["size"] == len(DATA)
    assert [seen.headers.get("range") for seen in server.requests] == [
        None,
        "bytes=5-9",
        "bytes=99990-",
        "bytes=-7",
        "bytes=5-13",
        "bytes=99999-100008",
        None,
    ]
    assert all(seen.headers["accept-encoding"] == "identity" for seen in server.requests)
    assert server.sent() == ["GET /data/a.bin"] * 6 + ["HEAD /data/a.bin"]


@every_call
def test_ranges_are_concurrent_requests_and_at_most_18(object_server: Any, call: Callable[..., Any]) -> None:
    object_server.put("bucket/object", DATA)
    store = object_server.aiohttp_store("bucket")
    store.get_range("object", start=0, length=1)  # the server serves ranges
    object_server.configure(latency=0.3, gather=18)
    object_server.clear()
    starts = list(range(0, 80_000, 2_000))
    found = call(store, "get_ranges", "object", starts=starts, lengths=[10] * 40)
    assert found == [DATA[start : start + 10] for start in starts]
    assert len(object_server.log()) == 40
    assert object_server.most_in_flight() == 18


def test_the_first_range_is_requested_alone_and_the_others_at_once(object_server: Any) -> None:
    object_server.put("bucket/object", DATA)
    object_server.configure(latency=0.2, gather=2)
    store = object_server.aiohttp_store("bucket")
    store.get_ranges("object", starts=[0, 10, 20], lengths=[5, 5, 5])
    log = object_server.log()
    assert len(log) == 3
    assert log[0].end <= min(log[1].begin, log[2].begin)
    assert object_server.most_in_flight() == 2


def test_ranges_of_two_versions_are_not_mixed(object_server: Any) -> None:
    object_server.put("bucket/object", DATA)
    store = object_server.aiohttp_store("bucket")
    object_server.add_fault("replace", data=DATA[::-1], skip=1, times=1)
    with pytest.raises(ObjectChangedError, match="'object' changed"):
        store.get_ranges("object", starts=[0, 10], lengths=[5, 5])


async def test_a_large_object_is_not_in_memory_before_its_first_chunk(object_server: Any) -> None:
    size = 64 << 20
    object_server.put_random("bucket/object", size, seed=1, period=1 << 20)
    object_server.add_fault("stall", after=8 << 20, seconds=3600, times=2)
    store = object_server.aiohttp_store("bucket")
    async with store:
        result = await store.get_async("object")
        assert result.meta["size"] == size
        chunks = aiter(result)
        assert len(await anext(chunks)) < 8 << 20
        await chunks.aclose()
    chunk = await asyncio.to_thread(lambda: next(iter(store.get("object"))))
    assert len(chunk) < 8 << 20
    assert len(object_server.log()) == 2


# A body may not have arrived when its loop ends: asyncio leaves its socket to garbage collection, and warns.
left_open = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@left_open
@every_call
def test_a_result_can_be_read_in_every_way_and_again(server: WebServer, call: Callable[..., Any]) -> None:
    async def read(result: Any) -> None:
        assert await result.buffer_async() == DATA
        assert await result.bytes_async() == DATA
        assert b"".join([chunk async for chunk in result]) == DATA
        assert b"".join([chunk async for chunk in result.stream(1000)]) == DATA

    store = AiohttpStore(server.url)
    result = asyncio.run(store.get_async("a")) if call is not sync else store.get("a")
    assert b"".join(result) == DATA
    asyncio.run(read(result))
    assert b"".join(result.stream(1000)) == DATA
    assert (result.buffer(), result.bytes(), b"".join(result)) == (DATA, DATA, DATA)
    assert result.range == (0, len(DATA))
    del result
    gc.collect()


def test_the_socket_of_a_result_whose_loop_has_ended_is_closed_by_garbage_collection(object_server: Any) -> None:
    object_server.put_random("bucket/large", 8 << 20, 1)
    results = [asyncio.run(AiohttpStore(f"{object_server.url}/bucket").get_async("large"))]

    def read_and_drop() -> int:
        length = len(b"".join(results.pop()))  # requested again
        gc.collect()
        return length

    with pytest.warns(ResourceWarning, match="unclosed"):  # by which asyncio and socket close it
        assert read_and_drop() == 8 << 20


def test_chunks_have_the_size_that_was_asked_for(server: WebServer) -> None:
    sizes = [len(chunk) for chunk in AiohttpStore(server.url).get("a").stream(min_chunk_size=30_000)]
    assert sum(sizes) == len(DATA)
    assert all(size >= 30_000 for size in sizes[:-1])
