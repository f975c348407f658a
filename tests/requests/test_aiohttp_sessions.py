"""Sessions of AiohttpStore: blocks that overlap, results that are not read, and what errors tell."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from obstore.store import HTTPStore

from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.readers import ParallelStoreReader
from obspec_utils.stores import AiohttpStore
from obspec_utils.wrappers import CachingReadableStore
from tests.servers import random_bytes
from tests.servers.web_server import RawServer, WebServer, serve_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(60)

DATA = random_bytes(1 << 20, seed=7)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer(serve_bytes(DATA)) as started:
        yield started


def test_the_first_block_to_end_leaves_the_session_to_the_others(server: WebServer) -> None:
    async def run() -> bytes:
        store = AiohttpStore(server.url, timeout=5)
        async with store:
            session = store._session
            async with store:
                assert store._session is session
            assert session is not None
            assert not session.closed
            found = await (await store.get_async("a")).buffer_async()
        assert session.closed
        assert store._session is None
        return bytes(found)

    assert asyncio.run(run()) == DATA


def test_results_that_are_not_read_hold_up_no_requests(server: WebServer) -> None:
    async def run() -> int:
        async with AiohttpStore(server.url, timeout=5) as store:
            results = [await store.get_async("a") for _ in range(120)]
            assert (await store.get_range_async("a", start=0, length=10)) == DATA[:10]
            return len(results)

    assert asyncio.run(run()) == 120


def test_the_traceback_of_a_broken_response_has_no_secrets() -> None:
    with RawServer(lambda _: b"no HTTP at all\r\n\r\n") as raw:
        store = AiohttpStore(f"{raw.url}/data?token=HUSH", headers={"Authorization": "Bearer HUSH"}, timeout=1)
        with pytest.raises(Exception, match="Check the URL") as raised:
            store.get("a")
    assert "HUSH" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("location", ["http://host:99999/", "http://host:abc/", "http://a..b/"])
def test_a_redirect_to_an_impossible_host_is_an_error_of_the_store(server: WebServer, location: str) -> None:
    async def redirect(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": location})

    server.handler = redirect
    with pytest.raises(Exception, match="'a'") as raised:
        AiohttpStore(server.url, timeout=1).get("a")
    assert type(raised.value).__module__.startswith("obspec_utils")


def test_an_etag_that_no_condition_can_name_is_left_out(server: WebServer) -> None:
    server.handler = serve_bytes(DATA, headers={"ETag": '"na\u00efve"'})
    store = CachingReadableStore(AiohttpStore(server.url), max_age=0)
    for _ in range(2):
        assert bytes(store.get_range("a", start=0, length=10)) == DATA[:10]


def test_a_response_without_the_etag_of_the_first_is_of_another_version(server: WebServer) -> None:
    first = serve_bytes(DATA)

    async def changed(request: web.Request) -> web.StreamResponse:
        response = await serve_bytes(DATA[::-1])(request)
        del response.headers["ETag"]
        return response

    for store in (AiohttpStore(server.url), HTTPStore(server.url, client_options={"allow_http": True})):
        server.handler = first
        with ParallelStoreReader(store, "a", 1000) as file:
            assert file.read(10) == DATA[:10]
            server.handler = changed
            file.seek(500_000)
            with pytest.raises(ObjectChangedError, match="expected ETag"):
                file.read(10)
