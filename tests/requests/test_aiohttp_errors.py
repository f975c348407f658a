"""Errors of AiohttpStore: which, how often it retries before, and what they tell."""

from __future__ import annotations

import pickle
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import obspec.exceptions
import pytest
from aiohttp import web

from obspec_utils._io import retry
from obspec_utils.exceptions import IncompleteReadError, ObjectChangedError
from obspec_utils.readers import EagerStoreReader
from obspec_utils.stores import AiohttpStore
from tests.servers import random_bytes
from tests.servers.web_server import RawServer, WebServer, serve_bytes

from ._web import CALLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(60)

DATA = random_bytes(10_000, seed=5)
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer(serve_bytes(DATA)) as started:
        yield started


def respond(*statuses: int, then: Callable[..., Any], **headers: str) -> Callable[[web.Request], Any]:
    """Return a handler that responds with each status once, and then with `then`."""
    left = list(statuses)

    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=left.pop(0), headers=headers) if left else await then(request)

    return handle


def always(status: int, **headers: str) -> Callable[[web.Request], Any]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers)

    return handle


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, obspec.exceptions.NotFoundError),
        (410, FileNotFoundError),
        (401, obspec.exceptions.UnauthenticatedError),
        (403, obspec.exceptions.PermissionDeniedError),
        (412, obspec.exceptions.PreconditionError),
        (418, obspec.exceptions.BaseError),
        (204, obspec.exceptions.BaseError),
        (304, obspec.exceptions.BaseError),
        (501, obspec.exceptions.BaseError),
        (299, obspec.exceptions.BaseError),
    ],
)
@every_call
def test_a_status_is_an_error_of_obspec_and_of_aiohttp(
    server: WebServer, status: int, kind: type[Exception], call: Callable[..., Any]
) -> None:
    server.handler = always(status)
    store = AiohttpStore(server.url + "/data")
    with pytest.raises(kind) as caught:
        call(store, "get", "folder/a.nc")
    error = caught.value
    assert isinstance(error, aiohttp.ClientResponseError)
    assert error.status == status
    assert "'folder/a.nc'" in str(error)
    assert repr(store) in str(error)
    assert "\n" not in str(error)
    assert type(obspec.exceptions.map_exception(error)).__mro__[1] in type(error).__mro__
    assert not isinstance(error, obspec.exceptions.NotModifiedError)
    restored = pickle.loads(pickle.dumps(error))
    assert (type(restored), str(restored), restored.status) == (type(error), str(error), status)
    assert server.sent() == ["GET /data/folder/a.nc"]


def test_a_missing_object_has_errno_and_filename(server: WebServer) -> None:
    server.handler = always(404)
    with pytest.raises(FileNotFoundError) as caught:
        EagerStoreReader(AiohttpStore(server.url), "a.nc")
    assert (caught.value.errno, caught.value.filename) == (2, "a.nc")
    assert str(caught.value) == f"[Errno 2] No such object in AiohttpStore('{server.url}'): 'a.nc'"


@every_call
def test_conditions(object_server: Any, call: Callable[..., Any]) -> None:
    object_server.put("bucket/a", DATA)
    store = object_server.aiohttp_store("bucket")
    meta = store.head("a")
    tag, date, day = meta["e_tag"], meta["last_modified"], timedelta(days=1)
    for holds in (
        {"if_match": tag},
        {"if_none_match": '"other"'},
        {"if_modified_since": date - day},
        {"if_unmodified_since": date},
        {"if_unmodified_since": date.astimezone()},
        {"if_match": None},
    ):
        assert call(store, "get", "a", options=holds) == DATA
    for fails, kind in (
        ({"if_match": '"other"'}, obspec.exceptions.PreconditionError),
        ({"if_none_match": tag}, obspec.exceptions.NotModifiedError),
        ({"if_modified_since": date}, obspec.exceptions.NotModifiedError),
        ({"if_unmodified_since": date - day}, obspec.exceptions.PreconditionError),
        ({"if_none_match": tag, "head": True}, obspec.exceptions.NotModifiedError),
    ):
        with pytest.raises(kind):
            call(store, "get", "a", options=fails)


def test_head_is_a_get_without_a_body(server: WebServer) -> None:
    store = AiohttpStore(server.url)
    result = store.get("a", options={"head": True})
    assert (result.range, result.buffer(), list(result), result.meta["size"]) == ((0, 10_000), b"", [], 10_000)
    assert store.get("a", options={"head": True, "range": (5, 9)}).range == (5, 9)
    assert server.sent() == ["HEAD /a"] * 2


# Retries


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@every_call
def test_overload_is_retried(server: WebServer, status: int, call: Callable[..., Any]) -> None:
    get = server.handler
    for times in (1, 7):
        server.handler = respond(*[status] * times, then=get)
        assert call(AiohttpStore(server.url), "get", "a") == DATA
        assert len(server.sent()) == times + 1
    server.handler = always(status)
    with pytest.raises(aiohttp.ClientResponseError) as caught:
        call(AiohttpStore(server.url), "head", "a")
    assert caught.value.status == status
    assert len(server.sent()) == 8


def test_delays_double_with_jitter_and_follow_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    backoff = retry.Backoff()
    delays = [backoff.delay() for _ in range(8)]
    assert delays.pop() is None
    for delay, most in zip(delays, (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4), strict=True):
        assert delay is not None
        assert most / 2 <= delay <= most
    assert len({retry.Backoff().delay() for _ in range(10)}) > 1
    assert retry.Backoff().delay(5.0) == 5.0
    assert retry.Backoff().delay(61.0) is None


def test_retry_after_is_read_as_seconds_or_date() -> None:
    from obspec_utils.stores._aiohttp_reply import retry_after

    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert retry_after({"Retry-After": " 7 "}) == 7
    assert 25 < (retry_after({"Retry-After": soon}) or 0) <= 30
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({"Retry-After": "soon"}) is None
    assert retry_after({}) is None


def test_a_server_that_wants_to_wait_too_long_is_an_error_at_once(server: WebServer) -> None:
    server.handler = always(503, **{"Retry-After": "3600"})
    with pytest.raises(aiohttp.ClientResponseError):
        AiohttpStore(server.url).get("a")
    assert len(server.sent()) == 1


@every_call
def test_a_connection_that_is_refused_is_retried(monkeypatch: pytest.MonkeyPatch, call: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(aiohttp.ClientError, match=r"Connection|connect") as caught:
        call(AiohttpStore(f"http://127.0.0.1:{port}/data"), "get", "a.nc")
    assert isinstance(caught.value, obspec.exceptions.BaseError)
    assert "'a.nc'" in str(caught.value)
    assert "\n" not in str(caught.value)


@every_call
def test_a_reset_before_the_headers_is_retried(call: Callable[..., Any]) -> None:
    answers = [b"", b"", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"]
    with RawServer(lambda _: answers.pop(0)) as raw:
        assert call(AiohttpStore(raw.url), "get", "a") == b"abc"
        assert len(raw.sent()) == 4


@every_call
def test_no_response_within_the_timeout_is_an_error(object_server: Any, call: Callable[..., Any]) -> None:
    object_server.put("bucket/a", DATA)
    object_server.add_fault("stall", seconds=3600)
    store = object_server.aiohttp_store("bucket", timeout=0.05)
    with pytest.raises(TimeoutError, match=r"'a'.*within 0.05 s"):
        call(store, "get", "a")
    assert len(object_server.log()) == 8
    assert isinstance(AiohttpStore("http://a", timeout=None).timeout, aiohttp.ClientTimeout)


# Bodies that break


@pytest.mark.parametrize("fault", [{"action": "drop"}, {"action": "stall", "seconds": 3600}])
@every_call
def test_a_body_that_breaks_is_continued(object_server: Any, fault: dict[str, Any], call: Callable[..., Any]) -> None:
    object_server.put("bucket/a", DATA)
    object_server.add_fault(after=4_000, times=2, **fault)
    store = object_server.aiohttp_store("bucket", timeout=0.2)
    assert call(store, "get", "a") == DATA
    # aiohttp drops what it has received when a connection breaks, but not when it stalls.
    broken = fault["action"] == "drop"
    starts = [request.start or 0 for request in object_server.log()]
    assert len(starts) == 3
    assert starts == ([0, 4_000, 8_000] if not broken else sorted(starts))
    object_server.add_fault(after=100, times=1, **fault)
    object_server.clear()
    assert call(store, "get", "a", options={"range": (50, 250)}) == DATA[50:250]
    assert [request.stop for request in object_server.log()] == [250, 250]


@every_call
def test_a_body_without_progress_is_an_error(object_server: Any, call: Callable[..., Any]) -> None:
    object_server.put("bucket/a", DATA)
    object_server.add_fault("drop", after=4_000, times=1)
    object_server.add_fault("drop", after=0, skip=1)
    store = object_server.aiohttp_store("bucket")
    with pytest.raises(IncompleteReadError, match="'a' broke off"):
        call(store, "get", "a")
    assert len(object_server.log()) == 3


@every_call
def test_a_body_of_another_version_is_not_continued(object_server: Any, call: Callable[..., Any]) -> None:
    object_server.put("bucket/a", DATA)
    object_server.add_fault("drop", after=4_000, times=1)
    object_server.add_fault("replace", data=DATA[::-1], skip=1, times=1)
    with pytest.raises(ObjectChangedError, match="'a' changed"):
        call(object_server.aiohttp_store("bucket"), "get", "a")


def test_a_body_without_etag_and_date_is_not_continued(object_server: Any) -> None:
    object_server.put("bucket/a", DATA)
    object_server.add_fault("no_etag")
    object_server.add_fault("no_last_modified")
    object_server.add_fault("drop", after=4_000)
    with pytest.raises(IncompleteReadError):
        object_server.aiohttp_store("bucket").get("a").buffer()
    assert len(object_server.log()) == 1


# Pages instead of data


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/xml"])
@every_call
def test_a_page_where_data_was_before_is_an_error(server: WebServer, kind: str, call: Callable[..., Any]) -> None:
    get = server.handler
    store = AiohttpStore(server.url)
    assert call(store, "get", "a.nc") == DATA
    server.handler = serve_bytes(b"<html>Please log in</html>", headers={"Content-Type": kind})
    with pytest.raises(obspec.exceptions.UnauthenticatedError, match=f"'{kind}'.*renew the credentials") as caught:
        call(store, "get_range", "a.nc", start=0, end=5)
    assert isinstance(caught.value, aiohttp.ClientResponseError)
    assert call(store, "get", "page.html") == b"<html>Please log in</html>"
    server.handler = get
    assert call(store, "get", "page.html") == DATA


@every_call
def test_an_error_in_xml_is_an_error(server: WebServer, call: Callable[..., Any]) -> None:
    body = b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>'
    server.handler = serve_bytes(body, headers={"Content-Type": "application/xml"}, ranges=False)
    with pytest.raises(aiohttp.ClientResponseError, match="AccessDenied"):
        call(AiohttpStore(server.url), "get", "a.nc")
    assert call(AiohttpStore(server.url), "get", "error.xml") == body  # an object of that kind
    server.handler = serve_bytes(b"<gml/>", headers={"Content-Type": "text/xml"})
    assert call(AiohttpStore(server.url), "get", "features") == b"<gml/>"
