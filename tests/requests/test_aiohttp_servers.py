"""AiohttpStore over servers that are difficult: what they get is what they have to, and what is read is right."""

from __future__ import annotations

import tracemalloc
import warnings
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import obspec.exceptions
import pytest
from aiohttp import web

from obspec_utils.exceptions import IncompleteReadError
from obspec_utils.readers import EagerStoreReader, ParallelStoreReader
from obspec_utils.stores import AiohttpStore
from tests.servers import random_bytes
from tests.servers.web_server import RawServer, WebServer, serve_bytes

from ._web import CALLS

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


def test_a_head_with_a_body_is_followed_by_a_get(raw: RawServer) -> None:
    raw.respond = lambda seen: (
        reply(b"0123456789", "Content-Length: 10")
        if seen.method == "HEAD"
        else reply(b"0", "Content-Length: 1", "Content-Range: bytes 0-0/10", status="206 Partial Content")
    )
    assert AiohttpStore(raw.url).head("a")["size"] == 10
    # The body may have been of a response before: one retry. aiohttp 3.11 does not see it.
    assert raw.sent() in (["HEAD /a", "HEAD /a", "GET /a"], ["HEAD /a"])


def test_a_response_that_is_not_http_is_retried_once(raw: RawServer) -> None:
    raw.respond = lambda _: b"220 mail.example.com ESMTP\r\n"
    with pytest.raises(aiohttp.ClientError, match="the response is not HTTP"):
        AiohttpStore(raw.url).get("a")
    assert raw.sent() == ["GET /a", "GET /a"]


@pytest.mark.parametrize("header", [f"bytes 0-9/{'9' * 5000}", f"bytes {'0' * 5000}-9/10"])
def test_numbers_of_thousands_of_digits_are_no_range(raw: RawServer, header: str) -> None:
    raw.respond = lambda _: reply(b"x" * 10, f"Content-Range: {header}", status="206 Partial Content")
    with pytest.raises(obspec.exceptions.NotSupportedError, match="unknown part of the object"):
        AiohttpStore(raw.url).get_range("a", start=0, length=10)


def test_memory_grows_with_the_bytes_and_not_with_the_length_that_the_headers_tell(raw: RawServer) -> None:
    raw.respond = lambda _: reply(b"x" * 1000, f"Content-Length: {1 << 50}")
    tracemalloc.start()
    try:
        with pytest.raises(IncompleteReadError, match="The body of 'a' broke off"):
            AiohttpStore(raw.url).get("a").buffer()
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


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
