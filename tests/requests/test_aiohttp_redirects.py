"""Where AiohttpStore sends requests, and what it sends along: URLs, redirects, credentials."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from obspec_utils.readers import ParallelStoreReader
from obspec_utils.stores import AiohttpStore, _aiohttp_client, _aiohttp_pairs
from tests.servers import random_bytes
from tests.servers.web_server import WebServer, serve_bytes

from ._web import CALLS, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(60)

DATA = random_bytes(10_000, seed=4)
SECRETS = {"Authorization": "Bearer s3cret", "Cookie": "id=s3cret", "X-Api-Key": "s3cret", "User-Agent": "mine"}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer(serve_bytes(DATA)) as started:
        yield started


@pytest.fixture
def other() -> Iterator[WebServer]:
    with WebServer(serve_bytes(DATA)) as started:
        yield started


def redirect(status: int, location: str | None) -> Callable[[web.Request], Any]:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={} if location is None else {"Location": location})

    return handle


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("a b/c.nc", "/data/a%20b/c.nc"),
        ("100%.nc", "/data/100%25.nc"),
        ("a%20b", "/data/a%2520b"),
        ("a#b?c=d", "/data/a%23b%3Fc%3Dd"),
        ("größe/ключ+&", "/data/gr%C3%B6%C3%9Fe/%D0%BA%D0%BB%D1%8E%D1%87%2B%26"),
        ("/a/b/", "/data/a/b"),
        ("", "/data/"),
    ],
)
def test_paths_are_percent_encoded_once(server: WebServer, path: str, target: str) -> None:
    assert AiohttpStore(f"{server.url}/data/").get(path).buffer() == DATA
    assert AiohttpStore(f"{server.url}/data/?token=a%2Fb+c").get(path).buffer() == DATA
    assert server.sent() == [f"GET {target}", f"GET {target}?token=a%2Fb+c"]


def test_the_base_url_is_kept_as_it_is(server: WebServer) -> None:
    AiohttpStore(f"{server.url}/a%20b/ü c/d%2Fe/?x=%C3%BC&y=ü").head("f")
    assert server.sent() == ["HEAD /a%20b/%C3%BC%20c/d%2Fe/f?x=%C3%BC&y=%C3%BC"]


def test_a_bare_host(server: WebServer) -> None:
    for url in (server.url, server.url + "/"):
        assert AiohttpStore(url).base_url == server.url
        AiohttpStore(url).get("a")
        AiohttpStore(url).get("")
    assert server.sent() == ["GET /a", "GET /"] * 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@every_call
def test_redirects_to_another_host_carry_no_credentials(
    server: WebServer, other: WebServer, status: int, call: Callable[..., Any]
) -> None:
    server.handler = redirect(status, f"{other.url}/elsewhere?signature=x%2Fy#part")
    store = AiohttpStore(server.url + "?token=s3cret", headers=SECRETS)
    assert call(store, "get_range", "a", start=5, end=10) == DATA[5:10]
    assert [(seen.method, seen.target) for seen in other.requests] == [("GET", "/elsewhere?signature=x%2Fy")]
    (seen,) = other.requests
    assert "s3cret" not in str(seen)
    assert (seen.headers["range"], seen.headers["user-agent"]) == ("bytes=5-9", "mine")
    assert {name.lower(): value for name, value in SECRETS.items()}.items() <= server.requests[0].headers.items()


def test_redirects_to_another_port_or_scheme_carry_no_credentials() -> None:
    from yarl import URL

    from obspec_utils.stores._aiohttp_site import Site

    for base, url, own in [
        ("http://a.org", "http://a.org/x", True),
        ("http://a.org", "https://a.org/x", True),  # an upgrade
        ("https://a.org", "http://a.org/x", False),
        ("http://a.org:8080", "https://a.org/x", False),
        ("http://a.org", "http://a.org:8080/x", False),
        ("http://a.org", "http://b.a.org/x", False),
        ("https://A.org", "https://a.ORG:443/x", True),
    ]:
        assert Site(base, SECRETS).is_own(URL(url)) is own, (base, url)


@every_call
def test_redirects_within_the_host_carry_them_back_and_forth(
    server: WebServer, other: WebServer, call: Callable[..., Any]
) -> None:
    get = server.handler

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/final":
            return await get(request)
        location = other.url + "/login" if request.path == "/second" else "../second"
        return web.Response(status=302, headers={"Location": location, "Set-Cookie": "step=1"})

    server.handler = handle
    other.handler = redirect(302, server.url + "/final")
    assert call(AiohttpStore(server.url + "/data", headers=SECRETS), "get", "a") == DATA
    assert server.sent() == ["GET /data/a", "GET /second", "GET /final"]
    assert "s3cret" not in str(other.requests)


@every_call
def test_a_cookie_does_not_go_to_another_port(server: WebServer, other: WebServer, call: Callable[..., Any]) -> None:
    target, base = (url.replace("127.0.0.1", "localhost") for url in (other.url, server.url))  # jars ignore addresses

    async def login(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": target + "/a", "Set-Cookie": "session=s3cret"})

    server.handler = login
    assert call(AiohttpStore(base), "get", "a") == DATA
    assert "cookie" not in other.requests[0].headers


async def test_the_proxy_of_the_caller_s_session_serves_redirects_to_another_host(server: WebServer) -> None:
    get = server.handler

    async def proxy(request: web.Request) -> web.StreamResponse:
        if request.host == "data.invalid":
            return web.Response(status=302, headers={"Location": "http://other.invalid/b"})
        return await get(request)

    server.handler = proxy
    async with aiohttp.ClientSession(proxy=server.url) as session:
        store = AiohttpStore("http://data.invalid", session=session)
        assert await store.get_range_async("a", start=0, length=5) == DATA[:5]
    assert server.sent() == ["GET http://data.invalid/a", "GET http://other.invalid/b"]


async def test_defaults_of_the_caller_s_session_do_not_go_to_another_host(server: WebServer, other: WebServer) -> None:
    server.handler = redirect(302, other.url + "/elsewhere")
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(headers=SECRETS, cookies={"shared": "s3cret"}, cookie_jar=jar) as session:
        store = AiohttpStore(server.url, session=session)
        assert await store.get_range_async("a", start=0, end=5) == DATA[:5]
        assert await (await store.get_async("a")).buffer_async() == DATA
        assert not session.closed
    assert len(other.requests) == 2
    assert "s3cret" not in str(other.requests)
    assert "s3cret" in str(server.requests)


@pytest.mark.parametrize("location", [None, "ftp://host/a", "file:///etc/passwd", "http://[x/"])
@every_call
def test_a_redirect_to_nowhere_is_an_error(server: WebServer, location: str | None, call: Callable[..., Any]) -> None:
    server.handler = redirect(301, location)
    with pytest.raises(aiohttp.ClientResponseError, match="a redirect") as caught:
        call(AiohttpStore(server.url), "get", "a")
    assert caught.value.status == 301
    assert server.sent() == ["GET /a"]


def test_endless_redirects_are_an_error(server: WebServer) -> None:
    server.handler = redirect(302, "/again")
    with pytest.raises(aiohttp.ClientResponseError, match="more than 10 redirects"):
        AiohttpStore(server.url).get("a")
    assert len(server.requests) == 11


# Credentials


def test_credentials_in_the_url_are_basic_authentication(server: WebServer) -> None:
    url = server.url.replace("//", "//user:p%40ss@") + "/data?token=t0ken"
    store = AiohttpStore(url)
    assert ParallelStoreReader(store, "a").read() == DATA
    assert store.base_url == server.url + "/data"
    (seen,) = server.requests
    assert seen.headers["authorization"] == "Basic " + b64encode(b"user:p@ss").decode()
    assert seen.target == "/data/a?token=t0ken"


@every_call
def test_secrets_are_not_in_errors_and_reprs(server: WebServer, call: Callable[..., Any]) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=403, headers={"Set-Cookie": "session=s3cret", "X-Reason": "expired"})

    server.handler = refuse
    store = AiohttpStore(server.url.replace("//", "//user:s3cret@") + "/data?token=s3cret", headers={"X-Key": "s3cret"})
    assert repr(store) == f"AiohttpStore('{server.url}/data', with a query)"
    with pytest.raises(aiohttp.ClientResponseError) as caught:
        call(store, "get", "a?token=s3cret")
    error = caught.value
    for text in (str(error), repr(error), repr(error.request_info), repr(error.headers), repr(vars(error))):
        assert "s3cret" not in text
    assert error.headers is not None
    assert error.headers["X-Reason"] == "expired"
    assert "\n" not in str(error)


# The caller's session


async def test_the_caller_s_session_serves_async_calls_and_stays_open(server: WebServer) -> None:
    async with aiohttp.ClientSession(headers={"X-From": "session"}, raise_for_status=True) as session:
        store = AiohttpStore(server.url, session=session)
        async with store:
            assert store._session is session
            assert await store.get_ranges_async("a", starts=[0, 5], lengths=[5, 5]) == [DATA[:5], DATA[5:10]]
        assert store._session is None
        assert (await store.head_async("a"))["size"] == len(DATA)
        assert not session.closed
    assert all(seen.headers["x-from"] == "session" for seen in server.requests)
    assert len(server.requests) == 3


async def test_sync_calls_with_the_caller_s_session_are_refused(server: WebServer) -> None:
    async with aiohttp.ClientSession() as session:
        store = AiohttpStore(server.url, session=session)
        result = await store.get_async("a")
        for call in (
            lambda: store.get("a"),
            lambda: store.head("a"),
            lambda: store.get_range("a", start=0, end=1),
            lambda: store.get_ranges("a", starts=[0], lengths=[1]),
            lambda: ParallelStoreReader(store, "a").read(1),
            result.buffer,
        ):
            with pytest.raises(RuntimeError, match="session= that belongs to an event loop"):
                call()
    assert server.sent() == ["GET /a"]


def test_a_block_keeps_one_connection_and_calls_without_one_do_not(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_aiohttp_client, "PAIRS", _aiohttp_pairs.PairPool())  # without those of results of other tests
    store = AiohttpStore(server.url)

    async def many() -> None:
        for _ in range(3):
            await (await store.get_async("a")).buffer_async()

    async def inside() -> None:
        async with store:
            await many()

    for run, connections in ((inside, 1), (many, 3)):
        server.requests.clear()
        asyncio.run(run())
        assert len({seen.connection for seen in server.requests}) == connections
    server.requests.clear()
    for _ in range(3):
        sync(store, "get", "a")
    assert len({seen.connection for seen in server.requests}) == 1
