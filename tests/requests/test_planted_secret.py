"""A secret planted wherever stores take one is in no log record, repr, trace, cache, exception or warning."""

from __future__ import annotations

import asyncio
import logging
import traceback
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from obstore.store import HTTPStore

from obspec_utils import glob
from obspec_utils.caches import DiskCache, MemoryCache, RedisCache
from obspec_utils.fsspec import ObspecFileSystem
from obspec_utils.readers import (
    BufferedStoreReader,
    EagerStoreReader,
    ParallelStoreReader,
    open_reader,
    open_reader_async,
)
from obspec_utils.stores import AiohttpStore
from obspec_utils.wrappers import (
    CachingReadableStore,
    CoalescingReadableStore,
    RequestTrace,
    SplittingReadableStore,
    TracingReadableStore,
)
from obspec_utils.zarr import ObspecStore
from tests.servers.web_server import WebServer
from tests.unit._tiers import DictCache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import ObjectServer

SECRET = "pl4nt3d"
QUERY = f"X-Amz-Signature={SECRET}&X-Amz-Security-Token={SECRET}&sig={SECRET}&token={SECRET}"
HEADERS = {"Authorization": f"Bearer {SECRET}"}
NO_RETRY: dict[str, Any] = {"retry_config": {"max_retries": 0}}
PART = 64 * 1024
SIZE = 5 * PART


def s3(server: ObjectServer) -> Any:
    keys = {"access_key_id": SECRET, "secret_access_key": SECRET, "session_token": SECRET}
    return server.s3_store("bucket", **keys, skip_signature=False, **NO_RETRY)


def http(url: str, **options: Any) -> HTTPStore:
    return HTTPStore(url, client_options={"allow_http": True, **options}, **NO_RETRY)


STORES: dict[str, tuple[Any, str]] = {
    "s3": (s3, "object"),
    "s3, signed path": (s3, f"object?{QUERY}"),
    "signed": (lambda server: http(f"{server.url}/bucket?{QUERY}"), "object"),
    "password": (lambda server: http(f"{server.url}/bucket".replace("//", f"//user:{SECRET}@")), "object"),
    "password, no path": (lambda server: http(server.url.replace("//", f"//user:{SECRET}@")), "object"),
    "header": (lambda server: http(f"{server.url}/bucket", default_headers=HEADERS), "object"),
    "aiohttp, signed": (lambda server: AiohttpStore(f"{server.url}/bucket?{QUERY}"), "object"),
    "aiohttp, password": (
        lambda server: AiohttpStore(f"{server.url}/bucket".replace("//", f"//user:{SECRET}@")),
        "object",
    ),
    "aiohttp, header": (lambda server: AiohttpStore(f"{server.url}/bucket", headers=HEADERS), "object"),
    "aiohttp, cookie": (lambda server: AiohttpStore(f"{server.url}/bucket", headers={"Cookie": SECRET}), "object"),
}
FAULTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "missing": {"action": "delete"},
    "refused": {"action": "status", "status": 403},
    "unauthorized": {"action": "status", "status": 401},
    "broken": {"action": "status", "status": 500},
    "retried": {"action": "status", "status": 503, "times": 2},
    "dropped": {"action": "drop", "after": 20_000},
    "dropped once": {"action": "drop", "after": 100, "times": 2},
    "no response": {"action": "drop"},
    "without ranges": {"action": "ignore_range"},
    "short": {"action": "short_body"},
    "changing": {"action": "vary_etag"},
    "conditions": {"action": "refuse_conditions", "status": 501},
}


class Told:
    """All that was told to the user."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.texts: list[str] = []
        self.caplog = caplog

    def add(self, *values: object) -> None:
        """Add texts."""
        self.texts += [text for value in values for text in (repr(value), str(value))]

    def check(self) -> None:
        for record in self.caplog.get_records("call"):
            self.texts += [record.getMessage(), repr(vars(record))]
        leaks = {text[max(0, text.index(SECRET) - 200) :][:300] for text in self.texts if SECRET in text}
        assert leaks == set()


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[Told]:
    caplog.set_level(logging.INFO, "asyncio")  # it logs in nameless threads, which get a name then
    caplog.set_level(logging.DEBUG)
    told = Told(caplog)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield told
    told.add(*(warning.message for warning in warned))
    told.check()


def work(store: Any, path: str, told: Told, folder: Path) -> None:
    """Read by every reader and wrapper; tell of all of them, and of their errors."""
    keys = DictCache()
    caches = [MemoryCache(), keys, DiskCache(folder, 10**8), RedisCache(f"redis://user:{SECRET}@127.0.0.1:1/0")]
    trace = RequestTrace()
    traced = TracingReadableStore(store, trace, on_request=told.add)
    split = SplittingReadableStore(traced, PART, progress=told.add)
    cached = CachingReadableStore(split, cache=caches, namespace="namespace", block_size=PART, max_age=0)
    coalescing = CoalescingReadableStore(traced)
    for call in (
        lambda: EagerStoreReader(store, path, PART).read(),
        lambda: BufferedStoreReader(store, path, PART).read(),
        lambda: SplittingReadableStore(store, PART, progress=told.add).get(path).buffer(),
        lambda: asyncio.run(get_async(SplittingReadableStore(store, PART), path)),
        lambda: asyncio.run(get_async(CachingReadableStore(store), path)),
        lambda: EagerStoreReader(traced, path, PART, progress=told.add).read(),
        lambda: ParallelStoreReader(traced, path, PART).read(),
        lambda: BufferedStoreReader(traced, path, PART).read(),
        lambda: open_reader(traced, path, memory=PART).read(100),
        lambda: asyncio.run(open_reader_async(traced, path)),
        lambda: split.get(path).buffer(),
        lambda: asyncio.run(get_async(split, path)),
        lambda: cached.get_range(path, start=PART, end=2 * PART),
        lambda: cached.get_range(path, start=PART, end=2 * PART),
        lambda: told.add(*cached.prefetch([path], progress=told.add).values()),
        lambda: traced.get(path).buffer(),
        lambda: traced.get_range(path, start=0, length=5),
        lambda: traced.get_ranges(path, starts=[0, 100], ends=[5, 200]),
        lambda: asyncio.run(coalescing.get_range_async(path, start=0, end=5)),
        lambda: traced.head(path),
        lambda: list(glob(store, "*")),
        lambda: list(glob(store, path)),
        lambda: ObspecFileSystem(store).find(""),
        lambda: ObspecFileSystem(store).ls(""),
        lambda: ObspecFileSystem(store).info("directory"),
        lambda: asyncio.run(members(ObspecStore(cached))),
    ):
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            told.add(error)
            told.texts += traceback.format_exception(error)
    reader = ParallelStoreReader(traced, path)
    told.add(reader, traced, split, cached, coalescing, cached.cache_info(), trace, trace.requests, *caches)
    told.add(list(keys.values))
    for file in folder.rglob("*"):
        told.texts.append(str(file))
        if file.is_file():
            told.texts.append(file.read_bytes().decode("latin-1"))


async def members(store: ObspecStore) -> None:
    await store.exists("object")
    async for _ in store.list_dir(""):
        pass


async def get_async(store: Any, path: str) -> None:
    await (await store.get_async(path)).buffer_async()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", STORES)
def test_no_secret_is_told(object_server: ObjectServer, told: Told, tmp_path: Path, name: str, fault: str) -> None:
    make, path = STORES[name]
    object_server.put_random(f"bucket/{path}", SIZE)
    if FAULTS[fault]:
        object_server.add_fault(**FAULTS[fault])
    work(make(object_server), path, told, tmp_path)
    assert any(record.name == "obspec_utils.requests" for record in told.caplog.records)
    assert any("RedisCache" in record.getMessage() for record in told.caplog.records) or fault != "nothing"


def test_no_secret_of_a_redirect_is_told(object_server: ObjectServer, told: Told, tmp_path: Path) -> None:
    object_server.put_random("bucket/object", SIZE)

    async def redirect(request: web.Request) -> web.Response:
        if request.path.endswith("refused"):
            return web.Response(status=302, headers={"Location": f"ftp://user:{SECRET}@host/?{QUERY}"})
        return web.Response(status=302, headers={"Location": f"{object_server.url}/bucket{request.path}?{QUERY}"})

    with WebServer(redirect) as server:
        for store in (AiohttpStore(server.url, headers=HEADERS), http(server.url, default_headers=HEADERS)):
            for path in ("object", "missing", "refused"):
                work(store, path, told, tmp_path)


def test_no_secret_is_told_where_there_is_no_server(told: Told, tmp_path: Path) -> None:
    url = f"http://user:{SECRET}@127.0.0.1:1/bucket?{QUERY}"
    for store in (AiohttpStore(url, headers={"Cookie": SECRET}), http(url, default_headers=HEADERS)):
        work(store, "object", told, tmp_path)
