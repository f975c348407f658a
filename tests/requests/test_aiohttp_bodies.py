"""Responses of difficult servers over AiohttpStore: bodies in chunks, pages, errors in XML, and what errors show."""

from __future__ import annotations

import pickle
import traceback
from typing import TYPE_CHECKING, Any

import aiohttp
import obspec.exceptions
import pytest
from aiohttp import web

from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.readers import BlockStoreReader, BufferedStoreReader, ParallelStoreReader, open_reader
from obspec_utils.stores import AiohttpStore
from tests.servers import random_bytes
from tests.servers.web_server import RawServer, WebServer, serve_bytes

from ._web import CALLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(60)

DATA = random_bytes(1_000_000, seed=3)
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer(serve_bytes(DATA)) as started:
        yield started


@pytest.fixture
def raw() -> Iterator[RawServer]:
    with RawServer(lambda _: b"") as started:
        yield started


def head_of(*headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()


def in_chunks(data: bytes, *headers: str, status: str = "200 OK") -> list[bytes]:
    """Return a response whose chunks end alone."""
    pieces = [head_of("Transfer-Encoding: chunked", *headers, status=status)]
    for start in range(0, len(data), 1000):
        chunk = data[start : start + 1000]
        pieces += [f"{len(chunk):x}\r\n".encode(), chunk, b"\r\n"]
    return [*pieces, b"0\r\n\r\n"]


@every_call
@pytest.mark.parametrize("headers", [(), ('ETag: "1"',)])
def test_chunks_whose_end_arrives_alone(raw: RawServer, call: Callable[..., Any], headers: tuple[str, ...]) -> None:
    data = DATA[:3500]
    raw.respond = lambda seen: (
        in_chunks(data, "Content-Range: bytes 0-3499/5000", *headers, status="206 Partial Content")
        if "range" in seen.headers
        else in_chunks(data, *headers)
    )
    assert call(AiohttpStore(raw.url), "get_range", "a", start=0, length=3500) == data
    assert call(AiohttpStore(raw.url), "get", "a") == data
    assert raw.sent() == ["GET /a", "GET /a"]


@pytest.mark.filterwarnings("ignore:.*ignores ranges")
@pytest.mark.parametrize("reader", [ParallelStoreReader, BlockStoreReader, BufferedStoreReader, open_reader])
def test_readers_of_chunks_without_ranges_send_one_request(server: WebServer, reader: Any) -> None:
    async def handle(_: web.Request) -> web.Response:
        response = web.Response(body=DATA, headers={"ETag": '"1"'})
        response.enable_chunked_encoding()
        return response

    server.handler = handle
    with reader(AiohttpStore(server.url), "a") as file:
        assert file.read(10) == DATA[:10]
        file.seek(500_000)
        assert file.read() == DATA[500_000:]
    assert server.sent() == ["GET /a"]


def test_a_size_that_only_some_responses_tell_is_no_change(raw: RawServer) -> None:
    def respond(seen: Any) -> bytes:
        start, stop = (int(text) for text in seen.headers["range"].removeprefix("bytes=").split("-"))
        total = "100" if start else "*"
        headers = [f"Content-Range: bytes {start}-{stop}/{total}", 'ETag: "1"', f"Content-Length: {stop + 1 - start}"]
        return head_of(*headers, status="206 Partial Content") + DATA[start : stop + 1]

    raw.respond = respond
    for starts in ([0, 20, 40], [20, 0, 40]):
        found = AiohttpStore(raw.url).get_ranges("a", starts=starts, lengths=[5, 5, 5])
        assert found == [DATA[start : start + 5] for start in starts]


def test_a_missing_object_is_not_found_whatever_its_path(server: WebServer) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=404)

    server.handler = handle
    for path in ("era5@2020-01-01T00:00:00.nc", "x@", "a:b@[c"):
        with pytest.raises(FileNotFoundError):
            AiohttpStore(server.url).get(path)
    for host in ("auth", "token-service"):  # which look as if a secret followed
        with pytest.raises(aiohttp.ClientError, match="Check the URL and the network"):
            AiohttpStore(f"http://{host}.invalid:8080", timeout=0.2).get("a")


@every_call
@pytest.mark.parametrize(
    "start", [b"<Error>", b"<!-- x --><Error/>", b"\xef\xbb\xbf\n <?xml version='1.0'?>\n<s:Error >"]
)
def test_a_document_that_tells_an_error(server: WebServer, call: Callable[..., Any], start: bytes) -> None:
    server.handler = serve_bytes(start + b" " * 50_000, headers={"Content-Type": "text/xml"})
    with pytest.raises(aiohttp.ClientResponseError, match="the response is an error in XML"):
        call(AiohttpStore(server.url), "get", "a")


def test_of_an_error_in_xml_only_the_code_is_told(server: WebServer) -> None:
    document = b"<Error><Code>AccessDenied</Code><Message>GET /p?SECRET X-Key: SECRET</Message></Error>"
    server.handler = serve_bytes(document, headers={"Content-Type": "application/xml"})
    with pytest.raises(aiohttp.ClientResponseError, match="an error in XML with the code AccessDenied") as raised:
        AiohttpStore(server.url, headers={"X-Key": "SECRET"}).get("a")
    assert "SECRET" not in str(raised.value)


def test_white_space_takes_no_time_and_long_documents_are_not_read_at_once(server: WebServer) -> None:
    server.handler = serve_bytes(b" " * 60_000 + b"x", headers={"Content-Type": "text/xml"})
    assert len(AiohttpStore(server.url).get("a").buffer()) == 60_001
    server.handler = serve_bytes(b"<Error>" + b" " * 70_000, headers={"Content-Type": "text/xml"})
    assert not AiohttpStore(server.url).get("a").in_memory


@every_call
def test_a_page_in_place_of_the_headers_of_data_is_an_error(server: WebServer, call: Callable[..., Any]) -> None:
    data, page = server.handler, serve_bytes(b"<html>", headers={"Content-Type": "text/html; charset=utf-8"})
    store = AiohttpStore(server.url)
    for before, after in (("get", "head"), ("head", "get"), ("head", "head")):
        server.handler = data
        call(store, before, f"{before} {after}")
        server.handler = page
        with pytest.raises(obspec.exceptions.UnauthenticatedError, match="login and error pages"):
            call(store, after, f"{before} {after}")


def test_a_proxy_that_wants_credentials_is_named(raw: RawServer) -> None:
    raw.respond = lambda _: head_of("Content-Length: 0", status="407 Proxy Authentication Required")

    async def read() -> None:
        async with aiohttp.ClientSession(proxy=raw.url) as session:
            await AiohttpStore("https://data.invalid", session=session).get_async("a")

    import asyncio

    with pytest.raises(obspec.exceptions.UnauthenticatedError, match="credentials of the proxy") as raised:
        asyncio.run(read())
    assert raised.value.status == 407
    assert raw.sent() == ["CONNECT data.invalid:443"]


def test_errors_show_no_part_of_a_query(raw: RawServer) -> None:
    raw.respond = lambda _: b"220 mail.example.com ESMTP\r\n"
    for query in ("token=it's-s3cret", "token=x@s3cret's3cret", "user:s3cret@x"):
        with pytest.raises(aiohttp.ClientError, match="not HTTP") as raised:
            AiohttpStore(f"{raw.url}/d?{query}").get("a")
        assert raised.value.__context__ is None  # which Dask pickles, too
        shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value)
        assert "s3cret" not in shown + str(pickle.loads(pickle.dumps(raised.value)))


def test_errors_keep_no_headers_that_may_have_secrets(raw: RawServer) -> None:
    names = ["Link", "Set-Cookie", "Content-Location", "WWW-Authenticate", "Location"]
    raw.respond = lambda _: head_of(
        *[f"{name}: s3cret" for name in names], "X-Id: 1", "Content-Length: 0", status="403 F"
    )
    with pytest.raises(aiohttp.ClientResponseError) as raised:
        AiohttpStore(raw.url).get("a")
    assert dict(raised.value.headers or {}) == {"X-Id": "1", "Content-Length": "0"}


def test_cookies_of_one_store_are_not_sent_by_another(server: WebServer) -> None:
    data = server.handler

    async def login(request: web.Request) -> web.StreamResponse:
        if request.path == "/login":
            return web.Response(status=302, headers={"Location": "/a", "Set-Cookie": "session=s3cret"})
        return await data(request)

    server.handler = login
    base = server.url.replace("127.0.0.1", "localhost")  # jars ignore addresses
    AiohttpStore(base).get("login").buffer()
    assert server.requests[-1].headers["cookie"] == "session=s3cret"
    AiohttpStore(base).get("a").buffer()
    assert "cookie" not in server.requests[-1].headers
    assert len({seen.connection for seen in server.requests}) == 1  # the same session


def test_another_version_is_still_noticed_where_a_size_is_not_told(raw: RawServer) -> None:
    tags = iter(['"1"', '"2"'])

    def respond(seen: Any) -> bytes:
        start, stop = (int(text) for text in seen.headers["range"].removeprefix("bytes=").split("-"))
        headers = [
            f"Content-Range: bytes {start}-{stop}/*",
            f"ETag: {next(tags)}",
            f"Content-Length: {stop + 1 - start}",
        ]
        return head_of(*headers, status="206 Partial Content") + DATA[start : stop + 1]

    raw.respond = respond
    with pytest.raises(ObjectChangedError, match="AiohttpStore"):
        AiohttpStore(raw.url).get_ranges("a", starts=[0, 20], lengths=[5, 5])
