"""Every message, repr, warning and trace hides the credentials of the stores, URLs, paths and caches it tells of."""

from __future__ import annotations

import asyncio
import pickle

import pytest
from obstore.store import HTTPStore, MemoryStore

from obspec_utils import ObjectStoreRegistry, glob
from obspec_utils._version import Version
from obspec_utils.caches import MemoryCache, RedisCache
from obspec_utils.exceptions import IncompleteReadError, ObjectChangedError
from obspec_utils.readers import (
    BlockStoreReader,
    BufferedStoreReader,
    EagerStoreReader,
    ParallelStoreReader,
    open_reader,
)
from obspec_utils.registry import get_url_key
from obspec_utils.wrappers import (
    CachingReadableStore,
    RequestTrace,
    SplittingReadableStore,
    TracingReadableStore,
)
from tests.contracts._stores import HeadAndRange, OnlyGet
from tests.unit._tiers import DictCache

URL = "https://user:pa/SECRET@host/?sig=SECRET"
SIGNED = "a.nc?X-Amz-Signature=SECRET"


class Secretive(OnlyGet):
    """A store of objects in memory whose repr tells too much."""

    def __repr__(self):
        return f"Secretive({URL!r}, token='SECRET')"


class SecretiveCache(DictCache):
    def __repr__(self):
        return f"SecretiveCache({URL!r})"

    def get(self, key):
        raise OSError(f"cannot reach {URL}: down")


@pytest.fixture
def store():
    return Secretive({"a.nc": b"0123456789", SIGNED: b"0123456789"})


@pytest.mark.parametrize("reader", [EagerStoreReader, ParallelStoreReader, BlockStoreReader, BufferedStoreReader])
def test_a_reader(store, reader):
    file = reader(store, "a.nc")
    assert repr(file).startswith(f"<{reader.__name__} 'a.nc' of Secretive('https://***@host/?...', token=***), ")
    file.close()
    with pytest.raises(ValueError, match=r"closed file: <.*Secretive") as caught:
        file.read()
    assert "SECRET" not in str(caught.value)


def test_a_reader_of_an_http_store():
    store = HTTPStore("https://user:SECRET@host/?sig=SECRET")
    assert repr(ParallelStoreReader(store, "a.nc")) == (
        "<ParallelStoreReader 'a.nc' of HTTPStore(\"https://***@host/?...\"), position 0>"
    )


@pytest.mark.parametrize(
    "wrap",
    [CachingReadableStore, SplittingReadableStore, lambda store: TracingReadableStore(store, RequestTrace())],
)
def test_a_wrapper(store, wrap):
    assert "Secretive('https://***@host/?...', token=***)" in repr(wrap(wrap(store)))


def test_a_missing_object():
    with pytest.raises(FileNotFoundError) as caught:
        open_reader(Secretive({}), SIGNED)
    assert str(caught.value).endswith("No such object in Secretive('https://***@host/?...', token=***): 'a.nc?...'")


def test_a_wrong_argument():
    class Neither:
        def __repr__(self):
            return URL

    for call in (
        lambda: open_reader(URL, "a.nc"),
        lambda: open_reader(Neither(), "a.nc"),
        lambda: open_reader({"secret_key": "SECRET"}, "a.nc"),
        lambda: open_reader(MemoryStore(), URL),
        lambda: glob(MemoryStore(), URL),
        lambda: glob(OnlyGet({}), f"*/{SIGNED}"),
        lambda: CachingReadableStore(URL),
        lambda: CachingReadableStore(MemoryStore(), cache=URL),
        lambda: CachingReadableStore(MemoryStore(), cache=[Neither()]),
        lambda: CachingReadableStore(MemoryStore(), max_age=URL),
        lambda: CachingReadableStore(MemoryStore(), max_size=URL),
        lambda: TracingReadableStore(MemoryStore(), URL),
        lambda: CachingReadableStore(MemoryStore()).prefetch(URL),
        lambda: CachingReadableStore(MemoryStore()).prefetch([URL]),
        lambda: ObjectStoreRegistry({"s3://b": URL}),
        lambda: ObjectStoreRegistry(URL),
        lambda: RedisCache("redis://localhost", ttl=URL),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        assert "SECRET" not in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "host/a.nc?X-Amz-Signature=SECRET",
        "//user:SECRET@host/a.nc",
        "user:SECRET@host/a.nc",
        "https://user:pa/SECRET@host/a.nc",
        "https://user:SECRET/pa@host/a.nc",
        "https://user:pa@SECRET@host/a.nc?X-Amz-Signature=SECRET",
    ],
)
def test_the_registry(url):
    with pytest.raises(ValueError, match=r"host/a\.nc") as caught:
        ObjectStoreRegistry().resolve(url)
    assert "SECRET" not in str(caught.value)
    if "://" in url:
        registry = ObjectStoreRegistry({url: MemoryStore()})
        assert "SECRET" not in repr(registry) + repr(registry.map.keys()) + repr(get_url_key(url))
        assert "SECRET" not in repr(registry.map)


def test_a_trace_keeps_no_signature(store):
    trace = RequestTrace()
    traced = TracingReadableStore(store, trace)
    traced.get("a.nc")
    traced.get(SIGNED)
    assert [record.path for record in trace.requests] == ["a.nc", "a.nc?..."]
    assert "SECRET" not in repr(traced) + repr(trace) + repr(trace.requests) + repr(trace.to_dataframe())


def test_a_trace_keeps_no_secret_of_an_error():
    class Refusing(MemoryStore):
        def get_range(self, path, **_):
            raise PermissionError(f"cannot read\n{SIGNED!r} with Authorization: Bearer SECRET")

        def get(self, path, **_):
            return Breaking()

    class Breaking:
        range = (0, 10)

        def buffer(self):
            raise OSError(SIGNED)

    trace = RequestTrace()
    traced = TracingReadableStore(Refusing(), trace)
    with pytest.raises(PermissionError):
        traced.get_range("a", start=0, end=1)
    with pytest.raises(OSError, match="SECRET"):
        traced.get("a").buffer()
    assert "SECRET" not in repr(trace.requests)
    assert [record.error.split(":")[0] for record in trace.requests] == ["PermissionError", "OSError"]
    assert "\n" not in trace.requests[0].error


def test_a_path_that_is_no_text_is_for_the_store_to_refuse():
    trace = RequestTrace()
    with pytest.raises(TypeError, match="is not an instance of 'str'"):
        TracingReadableStore(MemoryStore(), trace).get(b"a")
    assert len(trace.requests) == 1


def test_the_repr_of_a_trace_does_not_grow():
    trace = RequestTrace()
    for _ in range(100):
        trace.add("a", 0, 5, 0.0)
    assert repr(trace) == "<RequestTrace of 100 requests, 500 bytes>"


def test_the_warning_of_a_cache_and_what_is_told_of_it(store):
    cached = CachingReadableStore(store, cache=[MemoryCache(), SecretiveCache()], namespace="n")
    with pytest.warns(RuntimeWarning, match=r"SecretiveCache.* can't be used.*cannot reach https") as warned:
        assert bytes(cached.get_range("a.nc", start=0, end=5)) == b"01234"
    assert "SECRET" not in str(warned[0].message)
    info = cached.cache_info()
    assert info.tiers[1].name == "SecretiveCache('https://***@host/?...')"
    assert "SECRET" not in str(info) + repr(info) + info._repr_html_()


def test_what_a_cache_was_not_filled_with():
    store = Secretive({SIGNED: bytes(100), "a?b=SECRET": bytes(100)})
    small = CachingReadableStore(store, 10)
    failed = small.prefetch([SIGNED])
    assert "was not cached" in str(failed[SIGNED])
    assert "SECRET" not in str(failed[SIGNED])
    evicting = CachingReadableStore(store, 150)
    (evicted,) = evicting.prefetch([SIGNED, "a?b=SECRET"], max_concurrent_requests=1).values()
    assert "was fetched, but" in str(evicted)
    assert "SECRET" not in str(evicted)


def test_an_object_that_changed():
    with pytest.raises(ObjectChangedError, match=r"a\.nc\?\.\.\.' changed"):
        Version(5).check(SIGNED, Version(6))


@pytest.mark.parametrize("error", [ObjectChangedError, IncompleteReadError])
def test_an_error_of_this_library_whoever_words_it(error):
    raised = error(f"no more of {URL}")
    assert str(raised) == "no more of https://***@host/?..."
    assert str(pickle.loads(pickle.dumps(raised))) == str(raised)


@pytest.mark.parametrize("store", [OnlyGet({SIGNED: bytes(10)}, cut=1), HeadAndRange({SIGNED: bytes(10)}, cut=-1)])
def test_a_body_of_another_length(store):
    with pytest.raises((IncompleteReadError, ObjectChangedError)) as caught:
        open_reader(store, SIGNED, memory=1 << 20).read()
    assert "a.nc?..." in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_a_store_that_cannot_be_read():
    class Lists:
        def list(self, prefix=None):
            return iter(())

    with pytest.raises(TypeError, match=r"Can't read 'a\.nc\?\.\.\.'"):
        open_reader(Lists(), SIGNED)


def test_a_path_that_obstore_refuses_is_shown_without_credentials():
    tracing = TracingReadableStore(MemoryStore(), RequestTrace())
    for path in (f"a//{SIGNED}", URL[len("https:") :]):
        with pytest.raises(ValueError, match="Could not parse path") as caught:
            tracing.get(path)
        assert "SECRET" not in str(caught.value)
        with pytest.raises(ValueError, match="Could not parse path") as caught:
            asyncio.run(tracing.get_async(path))
        assert "SECRET" not in str(caught.value)
