"""Expired credentials and signed URLs: AiohttpStore asks its `refresh` for new ones."""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import TYPE_CHECKING, Any

import aiohttp
import obspec.exceptions
import pytest
from aiohttp import web

from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.readers import BufferedStoreReader, ParallelStoreReader
from obspec_utils.stores import AiohttpStore
from tests.servers import random_bytes
from tests.servers.web_server import WebServer, serve_bytes

from ._web import CALLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(60)

DATA = random_bytes(100_000, seed=6)
WAIT = 30
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


class Guard:
    """Serves an object to those who send the current token, as a header or in the query."""

    def __init__(self, status: int = 401) -> None:
        self.token = "1"
        self.status = status
        self.data = DATA
        self.etag = '"1"'
        self.refused = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if self.token not in (request.headers.get("Token"), request.query.get("token")):
            self.refused += 1
            return web.Response(status=self.status)
        return await serve_bytes(self.data, headers={"ETag": self.etag})(request)


class Refresh:
    """Returns what a call of it is to return, and counts the calls."""

    def __init__(self, renew: Callable[[], Any]) -> None:
        self.renew = renew
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        return self.renew()


@pytest.fixture(params=[401, 403])
def guard(request: pytest.FixtureRequest) -> Guard:
    return Guard(request.param)


@pytest.fixture
def server(guard: Guard) -> Iterator[WebServer]:
    with WebServer(guard) as started:
        yield started


@every_call
def test_new_headers_are_sent_from_then_on(server: WebServer, guard: Guard, call: Callable[..., Any]) -> None:
    refresh = Refresh(lambda: {"Token": guard.token})
    store = AiohttpStore(server.url, headers={"Token": "0"}, refresh=refresh)
    assert bytes(call(store, "get", "a")) == DATA
    assert bytes(call(store, "get_range", "a", start=5, length=10)) == DATA[5:15]
    assert call(store, "head", "a")["size"] == len(DATA)
    assert (refresh.calls, guard.refused) == (1, 1)
    assert store.headers == {"Token": "1"}


@every_call
def test_a_new_url_is_used_from_then_on(server: WebServer, guard: Guard, call: Callable[..., Any]) -> None:
    refresh = Refresh(lambda: f"{server.url}/moved?token={guard.token}")
    store = AiohttpStore(f"{server.url}/old?token=0", refresh=refresh)
    assert bytes(call(store, "get", "a b")) == DATA
    assert server.sent() == ["GET /old/a%20b?token=0", "GET /moved/a%20b?token=1"]
    assert store.base_url == f"{server.url}/moved"
    assert refresh.calls == 1


def test_what_was_refused_once_is_refreshed_again_when_it_expires_again(server: WebServer, guard: Guard) -> None:
    refresh = Refresh(lambda: {"Token": guard.token})
    store = AiohttpStore(server.url, refresh=refresh)
    for token in ("1", "2", "3"):
        guard.token = token
        assert bytes(store.get_range("a", start=0, length=10)) == DATA[:10]
    assert refresh.calls == 3


def test_threads_that_are_refused_together_refresh_once(server: WebServer, guard: Guard) -> None:
    def renew() -> dict[str, str]:
        while guard.refused < 8:  # all are waiting
            threading.Event().wait(0.01)
        return {"Token": guard.token}

    refresh = Refresh(renew)
    store = AiohttpStore(server.url, refresh=refresh)
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(bytes(store.get_range("a", start=0, length=10)))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert found == [DATA[:10]] * 8
    assert (refresh.calls, guard.refused) == (1, 8)


def test_tasks_that_are_refused_together_refresh_once(server: WebServer, guard: Guard) -> None:
    refresh = Refresh(lambda: {"Token": guard.token})
    store = AiohttpStore(server.url, refresh=refresh)

    async def read() -> list[bytes]:
        async with store:
            return await asyncio.gather(*(store.get_range_async("a", start=0, length=10) for _ in range(8)))

    assert asyncio.run(read()) == [DATA[:10]] * 8
    assert refresh.calls == 1


@pytest.mark.parametrize("reader", [BufferedStoreReader, ParallelStoreReader])
def test_a_reader_goes_on_with_new_credentials(server: WebServer, guard: Guard, reader: Any) -> None:
    store = AiohttpStore(server.url, headers={"Token": "1"}, refresh=lambda: {"Token": guard.token})
    with reader(store, "a", 1000) as file:
        assert file.read(10) == DATA[:10]
        guard.token = "2"
        assert file.read() == DATA[10:]


def test_a_reader_stays_with_its_version(server: WebServer, guard: Guard) -> None:
    store = AiohttpStore(server.url, headers={"Token": "1"}, refresh=lambda: {"Token": guard.token})
    with ParallelStoreReader(store, "a", chunk_size=1000) as file:
        assert file.read(10) == DATA[:10]
        guard.token, guard.data, guard.etag = "2", DATA[::-1], '"2"'
        with pytest.raises(ObjectChangedError):
            file.read()


@every_call
def test_new_credentials_that_are_refused_are_an_error_after_one_refresh(
    server: WebServer, guard: Guard, call: Callable[..., Any]
) -> None:
    refresh = Refresh(lambda: {"Token": "wrong"})
    store = AiohttpStore(server.url, refresh=refresh)
    with pytest.raises(aiohttp.ClientResponseError) as raised:
        call(store, "get", "a")
    assert raised.value.status == guard.status
    assert (refresh.calls, guard.refused) == (1, 2)


@every_call
def test_the_error_of_a_refresh_is_the_cause_of_the_error(
    server: WebServer, guard: Guard, call: Callable[..., Any]
) -> None:
    def renew() -> dict[str, str]:
        msg = "no token at https://login.example/?secret=abc for me@example.com"
        raise FileNotFoundError(msg)

    store = AiohttpStore(server.url, refresh=renew)
    kinds = obspec.exceptions.UnauthenticatedError, obspec.exceptions.PermissionDeniedError
    with pytest.raises(kinds, match="refresh failed with FileNotFoundError: no token at") as raised:
        call(store, "get", "a")
    assert isinstance(raised.value.__cause__, FileNotFoundError)
    assert not isinstance(raised.value, FileNotFoundError)
    assert "abc" not in str(raised.value)
    assert "me@example.com" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert guard.refused == 1


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "NoneType"),
        (5, "int"),
        ("ftp://x", "an http(s) URL as a str"),
        ("Bearer s3cret", "a str that is no such URL"),
        ({"a": 1}, "dict"),
    ],
)
def test_a_refresh_that_returns_nothing_usable_is_an_error_that_says_so(
    server: WebServer, guard: Guard, value: object, told: str
) -> None:
    store = AiohttpStore(server.url, refresh=lambda: value)
    with pytest.raises(aiohttp.ClientResponseError, match="refresh failed with") as raised:
        store.get("a")
    assert told in str(raised.value)
    assert raised.value.status == guard.status


def test_a_refresh_that_reads_through_its_store_ends(server: WebServer, guard: Guard) -> None:
    refresh = Refresh(lambda: {"Token": bytes(store.get("token").buffer()).decode()})
    store = AiohttpStore(server.url, refresh=refresh)
    with pytest.raises(aiohttp.ClientResponseError, match="refresh failed with"):
        store.get("a")
    assert (refresh.calls, guard.refused) == (1, 2)


@pytest.mark.parametrize("refresh", [5, "token", {"Token": "1"}])
def test_a_refresh_that_can_not_be_called_is_an_error(refresh: Any) -> None:
    with pytest.raises(TypeError, match="refresh must be a function without arguments, which is not async, got"):
        AiohttpStore("http://127.0.0.1", refresh=refresh)


async def refresh_async() -> dict[str, str]:
    return {}


class AsyncRefresh:
    async def __call__(self) -> dict[str, str]:
        return {}


@pytest.mark.parametrize("refresh", [refresh_async, AsyncRefresh()])
def test_an_async_refresh_is_an_error(refresh: Any) -> None:
    with pytest.raises(TypeError, match="which is not async"):
        AiohttpStore("http://127.0.0.1", refresh=refresh)


def test_a_refresh_that_returns_a_coroutine_is_an_error_without_a_warning(server: WebServer) -> None:
    def refresh() -> Any:
        return refresh_async()

    store = AiohttpStore(server.url, refresh=refresh)
    with pytest.raises(aiohttp.ClientResponseError, match="or a URL as a str, got a coroutine"):
        store.get("a")


def new_token() -> dict[str, str]:
    return {"Token": "1"}


def test_a_copy_has_the_refresh_and_the_current_credentials(server: WebServer, guard: Guard) -> None:
    store = AiohttpStore(server.url, headers={"Token": "0"}, refresh=new_token)
    store.head("a")
    twin = pickle.loads(pickle.dumps(store))
    assert twin == store
    assert twin.headers == {"Token": "1"}
    refused = guard.refused
    assert bytes(twin.get_range("a", start=0, length=10)) == DATA[:10]
    assert guard.refused == refused


def test_tasks_share_the_error_of_a_refresh(server: WebServer, guard: Guard) -> None:
    def renew() -> dict[str, str]:
        msg = "no login"
        raise OSError(msg)

    refresh = Refresh(renew)
    store = AiohttpStore(server.url, refresh=refresh)

    async def read() -> list[Any]:
        async with store:
            calls = (store.get_range_async("a", start=0, length=10) for _ in range(8))
            return await asyncio.gather(*calls, return_exceptions=True)

    assert all("no login" in str(error) for error in asyncio.run(read()))
    assert refresh.calls == 1
    with pytest.raises(aiohttp.ClientResponseError):
        store.get("a")
    assert refresh.calls == 2


def test_a_head_that_is_refused_alone_refreshes_nothing(server: WebServer, guard: Guard) -> None:
    async def only_get(request: web.Request) -> web.StreamResponse:
        return web.Response(status=guard.status) if request.method == "HEAD" else await guard(request)

    server.handler = only_get
    refresh = Refresh(new_token)
    store = AiohttpStore(server.url, headers={"Token": "1"}, refresh=refresh)
    assert store.head("a")["size"] == len(DATA)
    assert refresh.calls == 0


def test_a_store_with_a_refresh_has_no_namespace_of_its_own(server: WebServer) -> None:
    store = AiohttpStore(server.url, refresh=new_token)
    assert store._plain_url is None
    before = hash(store)
    assert bytes(store.get_range("a", start=0, length=10)) == DATA[:10]
    assert hash(store) == before
    assert store == AiohttpStore(server.url, refresh=new_token)
