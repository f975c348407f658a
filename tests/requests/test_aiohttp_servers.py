"""AiohttpStore over servers that are difficult: what they get is what they have to, and what is read is right."""

from __future__ import annotations

import asyncio
import gc
import pickle
import warnings
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import obspec.exceptions
import pytest
from aiohttp import web

from obspec_utils.exceptions import IncompleteReadError, ObjectChangedError
from obspec_utils.readers import EagerStoreReader, ParallelStoreReader
from obspec_utils.stores import AiohttpStore, _aiohttp_client, _aiohttp_pairs
from tests.servers import random_bytes
from tests.servers.fixtures import wait_until
from tests.servers.web_server import RawServer, WebServer, serve_bytes

from ._web import CALLS, in_block, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(60)

DATA = random_bytes(100_000, seed=3)
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
IGNORES_RANGES = "ignores ranges"


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer(serve_bytes(DATA)) as started:
        yield started


@pytest.fixture
def raw() -> Iterator[RawServer]:
    with RawServer(lambda _: b"") as started:
        yield started


def reply(body: bytes, *headers: str, status: str = "200 OK", version: str = "1.1") -> bytes:
    return "\r\n".join([f"HTTP/{version} {status}", *headers, "", ""]).encode() + body


# Reads


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
    object_server.configure(latency=0.3, gather=True)
    object_server.clear()
    starts = list(range(0, 80_000, 2_000))
    found = call(store, "get_ranges", "object", starts=starts, lengths=[10] * 40)
    assert found == [DATA[start : start + 10] for start in starts]
    assert len(object_server.log()) == 40
    assert object_server.most_in_flight() == 18


def test_the_first_range_is_requested_alone_and_the_others_at_once(object_server: Any) -> None:
    object_server.put("bucket/object", DATA)
    object_server.configure(latency=0.2, gather=True)
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


def test_chunks_have_the_size_that_was_asked_for(server: WebServer) -> None:
    sizes = [len(chunk) for chunk in AiohttpStore(server.url).get("a").stream(min_chunk_size=30_000)]
    assert sum(sizes) == len(DATA)
    assert all(size >= 30_000 for size in sizes[:-1])


# Sizes, HEAD, servers without ranges or lengths


@pytest.mark.parametrize("status", [400, 403, 405, 501])
@every_call
def test_the_size_comes_from_a_range_where_head_is_refused(
    server: WebServer, call: Callable[..., Any], status: int
) -> None:
    get = server.handler

    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status) if request.method == "HEAD" else await get(request)

    server.handler = handle
    meta = call(AiohttpStore(server.url + "/data?signature=x%2Fy"), "head", "a.bin")
    assert (meta["size"], meta["e_tag"]) == (len(DATA), '"1"')
    assert server.sent() == ["HEAD /data/a.bin?signature=x%2Fy", "GET /data/a.bin?signature=x%2Fy"]


def test_a_head_without_a_size_or_with_size_0_is_checked(raw: RawServer) -> None:
    for lie in ("Content-Length: 0", "Transfer-Encoding: chunked"):
        raw.respond = lambda seen, lie=lie: (
            reply(b"", lie)
            if seen.method == "HEAD"
            else reply(b"x", "Content-Length: 1", "Content-Range: bytes 0-0/77", status="206 Partial Content")
        )
        assert AiohttpStore(raw.url).head("a")["size"] == 77
        assert raw.sent() == ["HEAD /a", "GET /a"]


def test_an_empty_object_is_empty(raw: RawServer) -> None:
    raw.respond = lambda seen: (
        reply(b"", "Content-Length: 0", 'ETag: "e"')
        if "range" not in seen.headers
        else reply(b"", "Content-Length: 0", "Content-Range: bytes */0", status="416 Range Not Satisfiable")
    )
    store = AiohttpStore(raw.url)
    assert store.get("a").buffer() == b""
    assert (store.head("a")["size"], store.head("a")["e_tag"]) == (0, '"e"')
    assert EagerStoreReader(store, "a").read() == b""


@every_call
def test_a_server_without_ranges_is_sliced_once_with_one_warning(server: WebServer, call: Callable[..., Any]) -> None:
    server.handler = serve_bytes(DATA, ranges=False)
    store = AiohttpStore(server.url)
    with pytest.warns(RuntimeWarning, match=IGNORES_RANGES):
        found = call(store, "get_ranges", "a", starts=[5, 50_000, 7], lengths=[5, 9, 9])
    assert found == [DATA[5:10], DATA[50_000:50_009], DATA[7:16]]
    assert server.sent() == ["GET /a"]
    # A second warning would be an error.
    assert call(store, "get_range", "a", start=5, length=9) == DATA[5:14]
    assert call(store, "get", "a", options={"range": (5, 14)}) == DATA[5:14]
    assert call(store, "get", "a", options={"range": {"suffix": 4}}) == DATA[-4:]
    with pytest.raises(aiohttp.ClientResponseError) as caught:
        call(store, "get_range", "a", start=100_000, length=1)
    assert caught.value.status == 416
    with pytest.raises(aiohttp.ClientResponseError):
        call(store, "get_ranges", "a", starts=[0, 100_000], lengths=[1, 1])


@pytest.mark.filterwarnings(f"ignore:.*{IGNORES_RANGES}")
@pytest.mark.parametrize(
    "reader",
    [partial(EagerStoreReader, request_size=10_000), partial(ParallelStoreReader, chunk_size=1000)],
    ids=["eager", "parallel"],
)
def test_readers_of_a_server_without_ranges_read_one_response(server: WebServer, reader: Callable[..., Any]) -> None:
    server.handler = serve_bytes(DATA, ranges=False)
    assert reader(AiohttpStore(server.url), "a").read() == DATA
    assert server.sent() == ["GET /a"]


def test_a_range_that_is_the_whole_object_may_be_answered_by_it(server: WebServer) -> None:
    server.handler = serve_bytes(DATA, ranges=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert AiohttpStore(server.url).get_range("a", start=0, length=200_000) == DATA


@every_call
def test_bodies_in_chunks_without_a_length(server: WebServer, call: Callable[..., Any]) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        for start in range(0, len(DATA), 9_999):
            await response.write(DATA[start : start + 9_999])
        return response

    server.handler = handle
    store = AiohttpStore(server.url)
    assert call(store, "get", "a") == DATA
    assert call(store, "head", "a")["size"] == len(DATA)
    with pytest.warns(RuntimeWarning, match=IGNORES_RANGES):
        assert call(store, "get_range", "a", start=5, length=9) == DATA[5:14]
    assert call(store, "get_ranges", "a", starts=[5, 90], lengths=[5, 9]) == [DATA[5:10], DATA[90:99]]
    assert EagerStoreReader(store, "a").read() == DATA


def test_a_chunked_range_is_as_long_as_it_says(raw: RawServer) -> None:
    def respond(body: bytes) -> Callable[[Any], bytes]:
        head = ("Transfer-Encoding: chunked", "Content-Range: bytes 5-9/100")
        return lambda _: reply(body, *head, status="206 Partial Content")

    store = AiohttpStore(raw.url)
    raw.respond = respond(b"5\r\nabcde\r\n0\r\n\r\n")
    assert store.get_range("a", start=5, end=10) == b"abcde"
    for wrong in (b"6\r\nabcdef\r\n0\r\n\r\n", b"4\r\nabcd\r\n0\r\n\r\n", b"4\r\nabcd\r\n"):
        raw.respond = respond(wrong)
        with pytest.raises(IncompleteReadError, match="'a'"):
            store.get_range("a", start=5, end=10)


@every_call
def test_http_1_0(raw: RawServer, call: Callable[..., Any]) -> None:
    store = AiohttpStore(raw.url)
    raw.respond = lambda _: reply(DATA, version="1.0")  # until the connection is closed
    assert call(store, "get", "a") == DATA
    raw.respond = lambda _: reply(DATA, f"Content-Length: {len(DATA)}", version="1.0")
    assert call(store, "get", "a") == DATA
    with pytest.warns(RuntimeWarning, match=IGNORES_RANGES):
        assert call(store, "get_range", "a", start=1, end=3) == DATA[1:3]


def test_ranges_that_contradict_the_request(raw: RawServer) -> None:
    store = AiohttpStore(raw.url)
    wrong = {
        "bytes 6-10/100": IncompleteReadError,
        "bytes 5-20/100": IncompleteReadError,
        "bytes 5-8/100": IncompleteReadError,
        "": obspec.exceptions.NotSupportedError,
        "lines 5-9/100": obspec.exceptions.NotSupportedError,
    }
    for told, error in wrong.items():
        raw.respond = lambda _, told=told: reply(
            b"x" * 5, "Content-Length: 5", f"Content-Range: {told}", status="206 Partial Content"
        )
        with pytest.raises(error, match="'a'"):
            store.get_range("a", start=5, end=10)
    raw.respond = lambda _: reply(
        b"x" * 4, "Content-Length: 4", "Content-Range: bytes 5-9/100", status="206 Partial Content"
    )
    with pytest.raises(IncompleteReadError, match="Content-Length: 4"):
        store.get_range("a", start=5, end=10)
    with pytest.raises(obspec.exceptions.NotSupportedError):  # a part of an object that was requested whole
        store.get("a")


def test_a_range_of_an_object_of_unknown_size(raw: RawServer) -> None:
    raw.respond = lambda _: reply(
        b"abcde", "Content-Length: 5", "Content-Range: bytes 5-9/*", status="206 Partial Content"
    )
    store = AiohttpStore(raw.url)
    assert store.get_range("a", start=5, end=10) == b"abcde"
    for span in ((5, 10), (5, 12)):
        with pytest.raises(obspec.exceptions.NotSupportedError, match="size"):
            store.get("a", options={"range": span})
    with pytest.raises(obspec.exceptions.NotSupportedError, match="size"):
        store.get_range("a", start=5, end=12)  # the end of the object, or a limit of the server


def test_bytes_are_those_that_are_stored(server: WebServer) -> None:
    """An object that is stored compressed is not decompressed."""
    server.handler = serve_bytes(DATA, headers={"Content-Encoding": "gzip"})
    result = AiohttpStore(server.url).get("a.gz")
    assert (result.buffer(), result.attributes["Content-Encoding"]) == (DATA, "gzip")


def test_metadata_is_that_of_the_headers(server: WebServer) -> None:
    told = {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT", "Cache-Control": "no-cache"}
    server.handler = serve_bytes(DATA, headers=told)
    result = AiohttpStore(server.url).get("/folder/a/", options={"range": (0, 5)})
    assert result.meta == {
        "path": "folder/a",
        "size": len(DATA),
        "e_tag": '"1"',
        "last_modified": datetime(2015, 10, 21, 7, 28, tzinfo=UTC),
        "version": None,
    }
    assert result.attributes == {"Content-Type": "application/octet-stream", "Cache-Control": "no-cache"}
    server.handler = serve_bytes(DATA, headers={"Last-Modified": "yesterday"})
    assert AiohttpStore(server.url).head("a")["last_modified"] == datetime.fromtimestamp(0, UTC)


# What is not read to its end


@pytest.mark.parametrize("begin", [lambda result: None, lambda result: next(iter(result))])
def test_a_body_that_is_not_read_to_its_end_is_not_sent(object_server: Any, begin: Callable[[Any], object]) -> None:
    size = 64 << 20  # more than the buffers on the way
    object_server.put_random("bucket/object", size, seed=1, period=1 << 20)
    store = object_server.aiohttp_store("bucket")
    begin(store.get("object"))
    wait_until(lambda: all(request.end is not None for request in object_server.log()))
    (request,) = object_server.log()
    assert request.sent < size


def test_results_that_are_not_read_leave_nothing_open(server: WebServer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = AiohttpStore(server.url)
        for _ in range(5):
            store.get("a")
            next(iter(store.get("a").stream(10)))

        async def leave() -> None:
            await store.get_async("a")
            async with store:
                await store.get_async("a")
                chunks = aiter((await store.get_async("a")).stream(10))
                await anext(chunks)
            del chunks
            gc.collect()
            for _ in range(10):  # for the transports to close
                await asyncio.sleep(0.01)

        asyncio.run(leave())
        gc.collect()
        assert store.get("a").buffer() == DATA


async def test_a_body_can_be_read_after_the_block_has_ended(object_server: Any) -> None:
    object_server.put("bucket/a", DATA * 100)
    store = object_server.aiohttp_store("bucket")
    async with store:
        results = [await store.get_async("a") for _ in range(3)]
        begun = aiter(results[2].stream(1_000_000))
        first = await anext(begun)
    assert await results[0].buffer_async() == DATA * 100
    assert b"".join([chunk async for chunk in results[1]]) == DATA * 100
    assert first + b"".join([chunk async for chunk in begun]) == DATA * 100


def test_idle_loops_are_closed(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = _aiohttp_pairs.PairPool()
    monkeypatch.setattr(_aiohttp_client, "PAIRS", pool)
    store = AiohttpStore(server.url)
    results = [store.get("a", options={"range": (0, 90_000)}) for _ in range(5)]
    assert not pool._idle  # each result holds a loop
    del results
    pairs = list(pool._idle)
    assert len(pairs) == 5
    monkeypatch.setattr(_aiohttp_pairs, "_MAX_IDLE", 2)
    assert store.get("a").buffer() == DATA
    assert [pair.loop.is_closed() for pair in pairs].count(True) == 3
    monkeypatch.setattr(_aiohttp_pairs, "_MAX_IDLE_SECONDS", -1)
    store.head("a")
    assert all(pair.loop.is_closed() for pair in pairs)
    assert not pool._idle


def test_a_store_is_pickled_and_copied_without_its_session(server: WebServer) -> None:
    store = AiohttpStore(server.url, headers={"X-Key": "k"}, timeout=7)

    async def inside() -> Any:
        async with store:
            assert store._session is not None
            return pickle.loads(pickle.dumps(store))

    copy = asyncio.run(inside())
    assert store._session is None
    assert copy._session is None
    assert copy == store
    assert hash(copy) == hash(store)
    assert copy != AiohttpStore(server.url, timeout=7)
    assert (copy.headers, copy.timeout.total, copy.base_url) == ({"X-Key": "k"}, 7, server.url)
    assert sync(copy, "get", "a") == in_block(copy, "get", "a") == DATA
