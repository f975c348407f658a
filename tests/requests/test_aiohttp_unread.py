"""Results of AiohttpStore that are not read to their end, or elsewhere; copies of a store."""

from __future__ import annotations

import asyncio
import gc
import pickle
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils.stores import AiohttpStore, _aiohttp_client, _aiohttp_pairs
from tests.servers import random_bytes
from tests.servers.fixtures import wait_until
from tests.servers.web_server import WebServer, serve_bytes

from ._web import in_block, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(60)

DATA = random_bytes(100_000, seed=3)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer(serve_bytes(DATA)) as started:
        yield started


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
