from __future__ import annotations

import pickle
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import AzureStore, GCSStore, HTTPStore, LocalStore, MemoryStore, S3Store

from obspec_utils.registry import ObjectStoreRegistry, PathEntry, UrlKey, get_url_key, path_segments
from obspec_utils.wrappers import CachingReadableStore, RequestTrace, SplittingReadableStore, TracingReadableStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Forwarding:
    """A wrapper as small as one can be."""

    def __init__(self, store: object) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._store, name)


WRAPPERS: list[Callable[[object], object]] = [
    lambda store: store,
    Forwarding,
    CachingReadableStore,
    lambda store: TracingReadableStore(store, RequestTrace()),
    lambda store: CachingReadableStore(SplittingReadableStore(Forwarding(store))),
]


def s3(bucket: str, **options: object) -> S3Store:
    return S3Store(bucket, region="us-east-1", skip_signature=True, client_options={"allow_http": True}, **options)


def azure(container: str, account: str = "acc", **options: object) -> AzureStore:
    return AzureStore(container, account_name=account, skip_signature=True, **options)


AWS = "https://s3.us-east-1.amazonaws.com"
BLOB = "https://acc.blob.core.windows.net"
MINIO = "http://127.0.0.1:9000"
AZURITE = "http://127.0.0.1:10000"
GOOGLE = "https://storage.googleapis.com"
ABFSS = "abfss://cont@acc.dfs.core.windows.net"

# Where a store is registered, the store, and what is added to that URL: the path in the store.
CASES = [
    # A store at the root of its bucket keeps the whole path, wherever it is registered.
    ("s3://b/x", MemoryStore, {"": "x", "/": "x/", "/y": "x/y"}),
    ("s3://b", MemoryStore, {"": "", "/": "", "/x/y/": "x/y/", "//x//y": "x//y"}),
    ("S3://b", lambda: s3("b"), {"/x/y": "x/y", "/b/k": "b/k"}),
    # The prefix is taken off, in whole segments, where it is there.
    ("s3://b/x", lambda: s3("b", prefix="x"), {"": "", "/": "", "/y": "y", "//y": "y", "/x/y/": "x/y/"}),
    ("s3://b", lambda: s3("b", prefix="/data/"), {"/data": "", "/data/x": "x", "/data2/x": "data2/x", "/x": "x"}),
    ("s3://b/x", lambda: s3("b", prefix="x/z/"), {"/z/y": "y", "/y": "x/y"}),
    ("gs://gb/q", lambda: GCSStore("gb", skip_signature=True, prefix="q"), {"/k": "k"}),
    # Outside http(s) and file, every character stands for itself.
    ("s3://b", MemoryStore, {f"/{key}": key for key in ("a#1.nc", "a?1.nc", "a;1.nc", "a\n1.nc", "a%20b é.nc")}),
    ("s3://b/a?b", MemoryStore, {"/c": "a?b/c"}),
    # HTTP: the path of the store's own URL; queries and fragments can't be sent.
    ("https://h.com", lambda: HTTPStore("https://h.com"), {
        "/a/b/": "a/b/", "/a?sig=1#top": "a", "?sig=1": "", "/%C3%A9%3F%23%2520": "é?#%20", "/%FF.nc": "%FF.nc"}),
    ("https://h.com", lambda: HTTPStore("https://h.com/a b/"), {"/a%20b/c": "c", "/a%20b2/c": "a b2/c"}),
    ("https://h.com/p/q", lambda: HTTPStore("https://h.com/p/q"), {"": "", "/a": "a"}),
    ("s3://b", lambda: HTTPStore("https://b.s3.amazonaws.com/p"), {"/p/k": "k"}),
    (f"{GOOGLE}/gb", lambda: HTTPStore(f"{GOOGLE}/gb"), {"/k": "k"}),
    # Path-style URLs of a bucket, registered with the bucket or only the host.
    (f"{AWS}/bkt", lambda: s3("bkt"), {"/k": "k"}),
    (AWS, lambda: s3("bkt"), {"/bkt/k%20k": "k k", "/bkt/bkt/k": "bkt/k", "/bkt2/k": "bkt2/k"}),
    (f"{AWS}/bkt/data", lambda: s3("bkt", prefix="data"), {"/k/": "k/"}),
    (MINIO, lambda: s3("bkt", endpoint=MINIO), {"/bkt/k": "k"}),
    (f"{MINIO}/bkt", lambda: s3("bkt", endpoint=f"{MINIO}/"), {"/k": "k"}),
    ("https://gate.org/s3", lambda: s3("bkt", endpoint="https://gate.org/s3"), {"/bkt/k": "k"}),
    ("https://bkt.org", lambda: s3("bkt", endpoint="https://bkt.org"), {"/bkt/k": "k"}),
    (GOOGLE, lambda: GCSStore("gb", skip_signature=True), {"/gb/k": "k"}),
    # Virtual-hosted: the bucket is in the host, so not in the path.
    ("https://bkt.s3.us-east-1.amazonaws.com", lambda: s3("bkt"), {"/k": "k", "/bkt/k": "bkt/k"}),
    ("https://bkt.s3.amazonaws.com", lambda: s3("bkt", prefix="p"), {"/p/k": "k"}),
    ("https://b.org", lambda: s3("b", endpoint="https://b.org", virtual_hosted_style_request=True), {"/b/k": "b/k"}),
    ("https://data.org:8443", lambda: s3("data.org"), {"/data.org/k": "data.org/k"}),
    # Azure: the account is in the host and the container in the path, except in an emulator.
    (f"{BLOB}/cont", lambda: azure("cont"), {"/k": "k"}),
    (BLOB, lambda: azure("cont", prefix="p"), {"/cont/p/k": "k"}),
    (BLOB, lambda: azure("acc"), {"/acc/acc/k": "acc/k"}),
    (AZURITE, lambda: azure("cont"), {"/acc/cont/k": "k", "/cont/k": "k"}),
    (f"{AZURITE}/acc", lambda: azure("cont", endpoint=f"{AZURITE}/acc"), {"/cont/k": "k"}),
    ("az://cont", lambda: azure("cont"), {"/cont/k": "cont/k"}),
    (ABFSS, lambda: azure("cont", prefix="p"), {"/p/k": "k"}),
    # Registered under another name than its own, or not telling names of its own.
    ("s3://alias", lambda: s3("b", prefix="x"), {"/y": "y"}),
    ("https://h", lambda: SimpleNamespace(config={"bucket": 1}, prefix=1, url="x", get=None), {"/x/y": "x/y"}),
]  # fmt: skip


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize(("registered", "make", "paths"), CASES)
def test_the_path_is_relative_to_the_store(registered, make, paths, wrap):
    store = wrap(make())
    registry = ObjectStoreRegistry({registered: store})
    for added, path in paths.items():
        assert registry.resolve(registered + added) == (store, path)


def test_the_longest_of_nested_urls_wins_and_register_replaces():
    bucket, folder, deep, host, new = (MemoryStore() for _ in range(5))
    registry = ObjectStoreRegistry({"s3://b/x/y/z": deep, "s3://b": bucket, "s3://b/x": folder, "https://b": host})
    assert registry.resolve("s3://b/x/y/z/k") == (deep, "x/y/z/k")
    assert registry.resolve("s3://b/x/y/zz") == (folder, "x/y/zz")
    assert registry.resolve("s3://b/xx") == (bucket, "xx")
    assert registry.resolve("https://b/x") == (host, "x")
    registry.register("s3://b/x/", new)
    assert registry.resolve("s3://b/x/k") == (new, "x/k")
    assert list(registry.map[UrlKey("s3", "b")].iter_stores()) == [bucket, new, deep]


def read(registry: ObjectStoreRegistry, url: str) -> str:
    store, path = registry.resolve(url)
    return bytes(store.get(path).bytes()).decode()


def test_local_stores(tmp_path, monkeypatch):
    folder = tmp_path / "a b"
    for name in ("x y.nc", "x%20y.nc", "x#1?.nc", "é.nc"):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    relative = LocalStore("a b")
    for store in (LocalStore(), LocalStore(folder), LocalStore(str(folder)), relative, Forwarding(relative)):
        for registered in ("file://", "file:///", folder.as_uri(), f"file://{folder}/"):
            registry = ObjectStoreRegistry({registered: store})
            for file in folder.iterdir():
                assert read(registry, file.as_uri()) == file.name
    registry = ObjectStoreRegistry({"file://": LocalStore(folder)})
    assert registry.resolve(f"file://{folder}/a.nc")[1] == "a.nc"
    assert registry.resolve(f"file://{folder}2/a.nc")[1] == f"{folder}2/a.nc".lstrip("/")


class Handler(BaseHTTPRequestHandler):
    """Answers with the path it was asked for."""

    def do_GET(self) -> None:
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["a%20b.nc", "%C3%A9.nc", "a%23b%3Fc.nc", "a%2520b.nc", "a+b.nc", "a/b.nc"])
def test_an_encoded_http_url_is_requested_as_it_is(server, path):
    for registered, root in [("", ""), ("/p%20q", ""), ("/p q", "/p q"), ("", "/p%20q"), ("/p%20q", "/p%20q")]:
        store = HTTPStore(server + root, client_options={"allow_http": True})
        registry = ObjectStoreRegistry({server + registered: store})
        assert read(registry, f"{server}/p%20q/{path}?sig=1") == f"/p%20q/{path}"


@pytest.mark.parametrize("key", ["a%20b.nc", "a b.nc", "é.nc", "a#b?c.nc"])
def test_an_s3_url_is_a_key_and_an_https_url_is_encoded(server, key):
    store = s3("bkt", endpoint=server)
    registry = ObjectStoreRegistry({"s3://bkt": store, f"{server}/bkt": store})
    assert read(registry, f"s3://bkt/{key}") == f"/bkt/{quote(key)}"
    assert read(registry, f"{server}/bkt/{quote(key)}") == f"/bkt/{quote(key)}"


@pytest.mark.parametrize("url", ["", "b/x", "/b/x", "//b/x", "://b", "1s://b"])
def test_a_url_needs_a_scheme(url):
    registry = ObjectStoreRegistry({"s3://b": MemoryStore()})
    for call in (get_url_key, registry.resolve, lambda url: registry.register(url, MemoryStore())):
        with pytest.raises(ValueError, match=f"^Urls are expected to contain a scheme .*`{url}`"):
            call(url)


@pytest.mark.parametrize("url", ["s3://c/x", "s3://b", "s3://b/xx/y", "s3://B/x", "gs://b/x", "s3:/b/x"])
def test_a_url_without_a_store(url):
    registry = ObjectStoreRegistry({"s3://b/x": MemoryStore()})
    with pytest.raises(ValueError, match=f"^Could not find an ObjectStore matching the url `{url}`.*register"):
        registry.resolve(url)


def test_errors_and_repr_keep_secrets():
    store = s3("b", access_key_id="AKIA", secret_access_key="hush", prefix="x")
    registry = ObjectStoreRegistry({"s3://b/x": store, "https://me:hush@h.com/p?sig=hush": MemoryStore()})
    assert repr(registry) == "ObjectStoreRegistry({'s3://b/x': S3Store, 'https://***@h.com/p': MemoryStore})"
    with pytest.raises(ValueError, match="Could not find") as caught:
        registry.resolve("https://me:hush@other.com/a.nc?X-Amz-Signature=hush")
    assert "https://***@other.com/a.nc?..." in str(caught.value)


def test_url_keys_and_segments():
    assert get_url_key("S3://Bucket/x") == UrlKey(scheme="s3", netloc="Bucket")
    assert get_url_key("https://h.com:443?x") == ("https", "h.com:443")
    assert get_url_key("file:///a") == get_url_key("file:/a") == ("file", "")
    assert list(path_segments("/a//b/")) == ["a", "b"]


def test_lookup_returns_the_depth():
    inner = MemoryStore()
    entry = ObjectStoreRegistry({"s3://b/x/y": inner}).map[UrlKey("s3", "b")]
    assert (entry.store, entry.children["x"].children["y"].store) == (None, inner)
    assert entry.lookup("/x//y/z") == (inner, 2)
    assert entry.lookup("x") is None
    assert PathEntry().lookup("x") is None


class Session:
    def __init__(self, events: list[str], name: str, fail: str = "") -> None:
        self.events, self.name, self.fail = events, name, fail

    async def __aenter__(self) -> Self:
        if self.fail:
            raise OSError(self.fail)
        self.events.append(f"enter {self.name}")
        return self

    async def __aexit__(self, kind: object, *rest: object) -> None:
        self.events.append(f"exit {self.name} {getattr(kind, '__name__', None)}")


async def test_stores_are_entered_once_and_exited():
    events: list[str] = []
    a, b = Session(events, "a"), Session(events, "b")
    stores = {"https://a": a, "https://a2": a, "https://b": Forwarding(b), "s3://b": MemoryStore()}
    registry = ObjectStoreRegistry(stores)
    async with registry as entered:
        assert entered is registry
        assert events == ["enter a", "enter b"]
    assert events[2:] == ["exit b None", "exit a None"]
    with pytest.raises(KeyError):
        async with registry:
            raise KeyError
    assert events[-2:] == ["exit b KeyError", "exit a KeyError"]


async def test_a_store_that_fails_to_enter_exits_the_others():
    events: list[str] = []
    registry = ObjectStoreRegistry({"x://a": Session(events, "a"), "x://b": Session(events, "b", fail="down")})
    with pytest.raises(OSError, match="down"):
        await registry.__aenter__()
    assert events == ["enter a", "exit a OSError"]


async def test_pickles_if_its_stores_do(tmp_path: Path):
    registry = ObjectStoreRegistry({"s3://b/x": s3("b", prefix="x"), "file://": LocalStore(tmp_path)})
    async with registry:
        copy = pickle.loads(pickle.dumps(registry))
    assert repr(copy) == repr(registry)
    assert copy.resolve("s3://b/x/k")[1] == "k"
    with pytest.raises(TypeError):
        pickle.dumps(ObjectStoreRegistry({"s3://b": MemoryStore()}))


SEGMENTS = st.lists(st.sampled_from(["a", "b", "ab", "a.b", "é", "a%20b", "?", "#"]), max_size=4).map(tuple)


@given(st.sets(SEGMENTS, min_size=1, max_size=8), SEGMENTS, st.booleans(), st.sampled_from(WRAPPERS))
def test_resolve_agrees_with_trying_every_prefix(registered, wanted, prefixed, wrap):
    def url(segments: tuple[str, ...]) -> str:
        return "/".join(("s3://b", *segments))

    stores = {
        segments: wrap(s3("b", prefix="/".join(segments)) if prefixed else MemoryStore()) for segments in registered
    }
    registry = ObjectStoreRegistry({url(segments): store for segments, store in stores.items()})
    matching = [segments for segments in registered if wanted[: len(segments)] == segments]
    if not matching:
        with pytest.raises(ValueError, match="Could not find"):
            registry.resolve(url(wanted))
        return
    longest = max(matching, key=len)
    store, path = registry.resolve(url(wanted))
    assert store is stores[longest]
    assert path == "/".join(wanted[len(longest) :] if prefixed else wanted)
