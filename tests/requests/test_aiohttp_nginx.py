"""AiohttpStore over nginx, which most servers of files are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import obspec.exceptions
import pytest

from obspec_utils.readers import EagerStoreReader, ParallelStoreReader
from obspec_utils.stores import AiohttpStore
from obspec_utils.wrappers import CachingReadableStore
from tests.servers import ServerUnavailable, random_bytes
from tests.servers.fixtures import skip_or_fail
from tests.servers.nginx_server import NginxServer

from ._web import CALLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.timeout(60), pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)]

DATA = random_bytes(3_000_000, seed=6)
PATH = "ordner/größe 100%#1?.nc"


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxServer]:
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "ordner").mkdir()
    (folder / PATH).write_bytes(DATA)
    (folder / "empty").write_bytes(b"")
    try:
        server = NginxServer.start(folder)
    except ServerUnavailable as reason:
        skip_or_fail(reason)
        raise
    with server:
        yield server


def check_ranges(store: AiohttpStore, call: Callable[..., Any]) -> None:
    assert call(store, "get_range", PATH, start=7, end=99) == DATA[7:99]
    assert call(store, "get_ranges", PATH, starts=[0, 2_999_999], lengths=[5, 50]) == [DATA[:5], DATA[-1:]]
    assert call(store, "get", PATH, options={"range": {"suffix": 9}}) == DATA[-9:]
    assert call(store, "head", PATH)["size"] == len(DATA)
    assert call(store, "get", PATH) == DATA


@pytest.mark.parametrize("place", ["plain", "nohead", "moved"])
def test_files(nginx: NginxServer, call: Callable[..., Any], place: str) -> None:
    store = AiohttpStore(f"{nginx.url}/{place}")
    check_ranges(store, call)
    assert ParallelStoreReader(store, PATH, chunk_size=100_000).read() == DATA
    assert bytes(CachingReadableStore(store, block_size=1 << 16).get_range(PATH, start=5, end=9)) == DATA[5:9]
    with pytest.raises(FileNotFoundError):
        call(store, "get", "missing")
    assert (call(store, "get", "empty"), call(store, "head", "empty")["size"]) == (b"", 0)


def test_conditions(nginx: NginxServer, call: Callable[..., Any]) -> None:
    store = AiohttpStore(f"{nginx.url}/plain")
    meta = call(store, "head", PATH)
    assert call(store, "get", PATH, options={"if_match": meta["e_tag"]}) == DATA
    with pytest.raises(obspec.exceptions.NotModifiedError):
        call(store, "get", PATH, options={"if_none_match": meta["e_tag"]})
    with pytest.raises(obspec.exceptions.NotModifiedError):
        call(store, "get", PATH, options={"if_modified_since": meta["last_modified"]})
    with pytest.raises(obspec.exceptions.PreconditionError):
        call(store, "get", PATH, options={"if_match": '"other"'})


@pytest.mark.filterwarnings("ignore:.*ignores ranges")
@pytest.mark.parametrize("place", ["whole", "chunked"])
def test_files_without_ranges_or_a_length(nginx: NginxServer, call: Callable[..., Any], place: str) -> None:
    store = AiohttpStore(f"{nginx.url}/{place}")
    check_ranges(store, call)
    assert EagerStoreReader(store, PATH).read() == DATA


def test_a_password(nginx: NginxServer, call: Callable[..., Any]) -> None:
    with pytest.raises(obspec.exceptions.UnauthenticatedError) as caught:
        call(AiohttpStore(f"{nginx.url}/secret"), "get", PATH)
    assert isinstance(caught.value, aiohttp.ClientResponseError)
    check_ranges(AiohttpStore(nginx.url.replace("//", "//user:p%40ss@") + "/secret"), call)


def test_a_server_that_limits_requests(
    nginx: NginxServer, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # with the delays of retries
    store = AiohttpStore(f"{nginx.url}/busy")
    starts = [0, 10, 20, 30]
    found = call(store, "get_ranges", PATH, starts=starts, lengths=[5] * 4)
    assert found == [DATA[start : start + 5] for start in starts]
