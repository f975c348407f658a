"""What obstore says of ranges it can't serve: its texts tell these errors from outages, so they must stay the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from obstore.exceptions import GenericError, NotSupportedError
from obstore.store import AzureStore, GCSStore, HTTPStore, LocalStore, MemoryStore, S3Store

from obspec_utils._io.errors import is_condition_refused, is_range_ignored, is_range_unsupported, is_transient
from obspec_utils._io.not_found import is_list_not_found

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IGNORED = [
    (200, None, "the whole object"),
    (206, None, "no Content-Range"),
    (206, "bytes 0-9/*", "no size"),
    (206, "bytes 5-14/20", "another range"),
    (206, "bytes 0-4/20", "a part of the range"),
]


@pytest.fixture
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Serve every GET with a status, a Content-Range and ten bytes, as the test's parameters say."""
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    status, content_range, body = request.param

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
            self.send_header("ETag", '"1"')
            if content_range:
                self.send_header("Content-Range", content_range)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def store_of(kind: str, url: str) -> Any:
    options: dict[str, Any] = {"client_options": {"allow_http": True}, "retry_config": {"max_retries": 0}}
    stores: dict[str, Any] = {
        "http": lambda: HTTPStore(url, **options),
        "s3": lambda: S3Store("b", endpoint=url, region="x", skip_signature=True, **options),
        "azure": lambda: AzureStore("c", account_name="a", endpoint=url, skip_signature=True, **options),
        "gcs": lambda: GCSStore("b", base_url=url, skip_signature=True, **options),
    }
    return stores[kind]()


def error_of(kind: str, url: str) -> Exception:
    with pytest.raises((GenericError, NotSupportedError, FileNotFoundError)) as raised:
        store_of(kind, url).get("object", options={"range": (0, 10)})
    return raised.value


KINDS = ["http", "s3", "azure", "gcs"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("url", [(*it[:2], bytes(10)) for it in IGNORED], indirect=True, ids=[it[2] for it in IGNORED])
def test_a_range_that_is_not_served_as_requested_was_ignored(kind: str, url: str) -> None:
    error = error_of(kind, url)
    assert (is_range_ignored(error), is_range_unsupported(error), is_transient(error)) == (True, True, False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("url", [(416, "bytes */0", b"")], indirect=True)
def test_416_is_a_range_that_can_t_be_served(kind: str, url: str) -> None:
    error = error_of(kind, url)
    assert (is_range_ignored(error), is_range_unsupported(error), is_transient(error)) == (False, True, False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "url",
    [
        (503, None, b""),
        (400, None, b"Requested range was invalid"),
        (500, None, b"Generic S3 error: Received non-partial response when range requested"),
        (503, None, b"status code: 416 Range Not Satisfiable"),
    ],
    indirect=True,
)
def test_a_failure_is_transient_whatever_its_body_says(kind: str, url: str) -> None:
    error = error_of(kind, url)
    assert (is_range_ignored(error), is_range_unsupported(error), is_transient(error)) == (False, False, True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "url", [(400, None, b""), (501, None, b""), (500, None, b"code: 400 "), (404, None, b"")], indirect=True
)
def test_a_condition_is_refused_by_400_and_501(kind: str, url: str, request: pytest.FixtureRequest) -> None:
    status = request.node.callspec.params["url"][0]
    assert is_condition_refused(error_of(kind, url)) == (status in {400, 501})


@pytest.mark.parametrize("kind", ["s3", "azure", "gcs"])
@pytest.mark.parametrize(
    "url", [(404, None, b"NoSuchBucket"), (403, None, b"code: 404 "), (503, None, b"")], indirect=True
)
def test_the_list_of_a_missing_bucket_is_404(kind: str, url: str, request: pytest.FixtureRequest) -> None:
    status = request.node.callspec.params["url"][0]
    for listing in (lambda store: store.list().collect(), lambda store: store.list_with_delimiter("a/")):
        with pytest.raises(GenericError) as raised:
            listing(store_of(kind, url))
        assert is_list_not_found(raised.value) == (status == 404)


@pytest.mark.parametrize("status", [400, 403, 404, 501, 503])
def test_a_store_in_python_tells_the_status(status: int) -> None:
    error = ClientResponseError()
    error.status = status
    assert is_condition_refused(error) == (status in {400, 403, 501})


class ClientResponseError(Exception):
    """As aiohttp's."""

    status: int


def test_ranges_of_an_empty_object_and_past_the_end(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "ten").write_bytes(bytes(10))
    memory = MemoryStore()
    memory.put("empty", b"")
    memory.put("ten", bytes(10))
    for store in (memory, LocalStore(tmp_path)):
        for path, span in (("empty", (0, 10)), ("ten", (10, 20))):
            with pytest.raises(GenericError) as raised:
                store.get(path, options={"range": span})
            assert is_range_unsupported(raised.value)
            assert not is_range_ignored(raised.value)
            assert not is_transient(raised.value)
