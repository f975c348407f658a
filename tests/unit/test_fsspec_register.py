"""register(): the filesystem of a URL scheme, its storage_options, and which instances fsspec shares."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Barrier

import fsspec
import pytest
from fsspec.registry import _registry
from obstore.store import HTTPStore, LocalStore, MemoryStore, S3Store

from obspec_utils.fsspec import ObspecFileSystem, register
from obspec_utils.readers import BufferedStoreReader, EagerStoreReader
from obspec_utils.wrappers import CachingReadableStore, CoalescingReadableStore, SplittingReadableStore

BUCKETS: dict[str, MemoryStore] = {}


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    """Remove what a test registers."""
    before = dict(_registry)
    BUCKETS.clear()
    yield
    _registry.clear()
    _registry.update(before)


def bucket_of(bucket, **options):
    assert options.pop("region", "here") == "here"
    if bucket not in BUCKETS:
        BUCKETS[bucket] = MemoryStore()
        BUCKETS[bucket].put("dir/a.txt", b"0123456789")
    return BUCKETS[bucket]


def store_of(fs, path="bucket/a"):
    return fs._locate(path)[0]


@dataclass
class Hiding:
    """Credentials that are not in their repr."""

    secret: str = field(repr=False)

    def __call__(self):
        return {}


class Credentials:
    """Credentials with the repr of every object."""

    def __call__(self):
        return {}


def test_urls_of_a_registered_scheme_are_read_through_its_stores():
    register("s3", bucket_of)
    with fsspec.open("s3://bucket/dir/a.txt", region="here") as file:
        assert type(file) is EagerStoreReader
        assert file.read() == b"0123456789"
    fs, path = fsspec.url_to_fs("s3://bucket/dir/a.txt")
    assert path == "bucket/dir/a.txt"
    assert fs.unstrip_protocol(path) == "s3://bucket/dir/a.txt"
    assert fs.ls("s3://bucket", detail=False) == fs.ls("bucket/", detail=False) == ["bucket/dir"]
    assert fs.find("bucket") == fs.glob("s3://bucket/**/*.txt") == ["bucket/dir/a.txt"]
    assert fs.cat_ranges(["bucket/dir/a.txt", "s3://other/dir/a.txt"], [0, 1], [1, 3]) == [b"0", b"12"]
    assert set(BUCKETS) == {"bucket", "other"}
    assert repr(fs) == "ObspecFileSystem_s3()"


@pytest.mark.parametrize("path", ["", "s3://", "/"])
def test_a_path_needs_a_bucket(path):
    register("s3", bucket_of)
    with pytest.raises(ValueError, match=r"path must have a bucket, such as s3://bucket/key, got 's3://'"):
        fsspec.filesystem("s3").ls(path)


def test_the_default_stores_are_those_of_obstore():
    register("s3")
    options = {
        "config": {"region": "eu-west-1"},
        "client_options": {"timeout": "3s"},
        "retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=3)},
        "skip_signature": True,
    }
    store = store_of(fsspec.filesystem("s3", **options))
    assert type(store) is S3Store
    assert store.config["region"] == "eu-west-1"
    assert store.config["skip_signature"] == "true"
    assert store.config["bucket"] == "bucket"
    assert store.client_options["timeout"] == "3s"
    register("https")
    assert type(store_of(fsspec.filesystem("https"), "https://host/a")) is HTTPStore
    with pytest.raises(Exception, match="'anon' is not valid for store 'S3'"):
        fsspec.filesystem("s3", anon=True).exists("s3://bucket/a")


def test_options_wrap_the_stores():
    register("s3", bucket_of)
    fs = fsspec.filesystem("s3", caching={"max_size": 1000}, splitting=True, coalescing={"max_gap": 7}, region="here")
    coalescing = store_of(fs)
    assert type(coalescing) is CoalescingReadableStore
    assert coalescing._max_gap == 7
    assert type(coalescing._store) is CachingReadableStore
    assert coalescing._store._max_size == 1000
    assert type(coalescing._store._store) is SplittingReadableStore
    assert coalescing._store._store._store is BUCKETS["bucket"]
    assert store_of(fs) is coalescing
    assert store_of(fsspec.filesystem("s3", caching=False)) is BUCKETS["bucket"]
    assert fsspec.filesystem("s3", reader=BufferedStoreReader).open("bucket/dir/a.txt").read() == b"0123456789"
    assert store_of(fsspec.filesystem("s3", caching=None)) is BUCKETS["bucket"]
    with pytest.raises(TypeError, match="caching must be True or a dict of options, got 'yes'"):
        fsspec.filesystem("s3", caching="yes")
    with pytest.raises(TypeError, match="max_sise"):
        fsspec.filesystem("s3", caching={"max_sise": 1}).exists("s3://bucket/a")


def test_as_many_stores_are_kept_as_max_cache_size_says():
    register("s3", bucket_of)
    fs = fsspec.filesystem("s3", caching=True, max_cache_size=2)
    first = store_of(fs, "a/x")
    assert store_of(fs, "b/x") is not first
    assert store_of(fs, "a/x") is first
    store_of(fs, "c/x")
    assert store_of(fs, "a/x") is not first
    with pytest.raises(ValueError, match="max_cache_size must be positive, got 0"):
        fsspec.filesystem("s3", max_cache_size=0)


def test_threads_that_need_a_bucket_at_the_same_time_get_one_store():
    threads = 8
    meeting = Barrier(threads)

    def slow(bucket):
        meeting.wait(60)
        return bucket_of(bucket)

    register("s3", slow)
    fs = fsspec.filesystem("s3", caching=True)
    with ThreadPoolExecutor(threads) as executor:
        stores = list(executor.map(store_of, [fs] * threads))
    assert all(store is stores[0] for store in stores)


def test_equal_options_share_a_filesystem_with_its_caches():
    register("s3", bucket_of)
    fs = fsspec.filesystem("s3", caching=True)
    assert fsspec.filesystem("s3", caching=True) is fs
    assert fsspec.filesystem("s3", caching=True, skip_instance_cache=True) is not fs
    assert fsspec.filesystem("s3") is not fs
    register("s3", bucket_of)
    assert fsspec.filesystem("s3", caching=True) is fs
    register("s3")
    assert fsspec.filesystem("s3", caching=True) is not fs


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (Hiding("a"), Hiding("b"), False),
        ({"nested": [Hiding("a")]}, {"nested": [Hiding("b")]}, False),
        (Credentials(), Credentials(), True),
        (Credentials, Credentials, True),
        (store_of, store_of, True),
    ],
)
def test_options_that_hide_their_values_are_never_shared(one, other, shared):
    register("s3")
    first, second = (fsspec.filesystem("s3", credential_provider=each) for each in (one, other))
    assert (first is second) == (first == second) == (one is other and shared)
    assert (fsspec.filesystem("s3", credential_provider=one) is first) == shared
    assert (first._fs_token == second._fs_token) == (first is second)


def test_options_that_are_changed_afterwards_stay_what_they_were():
    made = []
    register("s3", lambda bucket, **options: made.append(options) or bucket_of(bucket))
    options = {"client_options": {"default_headers": {"Authorization": "alice"}}}
    fs = fsspec.filesystem("s3", **options)
    options["client_options"]["default_headers"]["Authorization"] = "bob"
    assert fs.cat_file("bucket/dir/a.txt") == b"0123456789"
    assert fsspec.filesystem("s3", **options) is not fs
    assert made == [{"client_options": {"default_headers": {"Authorization": "alice"}}}]


def test_classes_of_a_notebook_with_one_name_are_never_shared():
    register("s3", bucket_of)
    one, other = (type("Reader", (EagerStoreReader,), {"__module__": "__main__"}) for _ in range(2))
    first, second = (fsspec.filesystem("s3", reader=each) for each in (one, other))
    assert first is not second
    assert type(second.open("bucket/dir/a.txt")) is other


@pytest.mark.parametrize(
    "url",
    [
        "https://account.blob.core.windows.net/container/a.nc",
        "https://s3.us-west-2.amazonaws.com/bucket/a.nc",
        "https://bucket.s3.us-west-2.amazonaws.com/a.nc",
        "http://host:8080/a.nc",
    ],
)
def test_urls_of_clouds_are_read_over_http(url):
    scheme, _, rest = url.partition("://")
    register(scheme)
    store, path = fsspec.filesystem(scheme)._locate(url)
    host, _, expected = rest.partition("/")
    assert type(store) is HTTPStore
    assert (store.url.rstrip("/"), path) == (f"{scheme}://{host}", expected)
    assert store.client_options["allow_http"] == str(scheme == "http").lower()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_url_with_a_query_is_refused_without_its_secrets(scheme):
    register(scheme)
    url = f"{scheme}://host/data/a.nc?X-Amz-Signature=s3cret"
    for call in ("cat_file", "open", "cat", "info", "exists"):
        with pytest.raises(ValueError, match="has a query, which is not sent") as raised:
            getattr(fsspec.filesystem(scheme), call)(url)
        assert "s3cret" not in str(raised.value)


def test_pickled_filesystems_need_no_registration(monkeypatch):
    register("s3", bucket_of)
    fs = fsspec.filesystem("s3", region="here")
    opened = fsspec.open("s3://bucket/dir/a.txt", "r", region="here")
    pickled, file = pickle.dumps(fs), pickle.dumps(opened)
    unshared = fsspec.filesystem("s3", region="here", skip_instance_cache=True)
    assert pickle.loads(pickle.dumps(unshared)) == unshared
    monkeypatch.delitem(_registry, "s3")
    assert pickle.loads(pickled) is fs
    type(fs).clear_instance_cache()
    copy = pickle.loads(pickled)
    assert copy is not fs
    assert copy.cat_file("s3://bucket/dir/a.txt") == b"0123456789"
    assert pickle.loads(pickled) is copy
    with pickle.loads(file) as text:
        assert text.read() == "0123456789"


def test_json_has_no_secrets_and_works_while_the_filesystem_exists():
    register("s3")
    options = {"secret_access_key": "SECRET", "access_key_id": "KEY", "region": "eu-west-1"}
    fs = fsspec.filesystem("s3", **options)
    for text in (fs.to_json(), fs.to_json(include_password=False), json.dumps(fs.to_dict()), repr(fs)):
        assert "SECRET" not in text
        assert "KEY" not in text
    copy = fsspec.AbstractFileSystem.from_json(fs.to_json())
    assert copy is fs
    assert store_of(copy).config["secret_access_key"] == "SECRET"
    asynchronous = fsspec.AbstractFileSystem.from_dict({**fs.to_dict(), "asynchronous": True})
    assert asynchronous.asynchronous
    assert asynchronous.protocol == "s3"
    assert store_of(asynchronous).config["secret_access_key"] == "SECRET"


@pytest.mark.parametrize("scheme", ["s3://", "s3://bucket", "", "S3", "file", "local", "memory", "obspec", "a b"])
def test_what_is_no_scheme_of_buckets_is_refused(scheme):
    with pytest.raises(ValueError, match=r'scheme must be one of URLs with a bucket.*such as "s3", got'):
        register(scheme, bucket_of)


def test_a_scheme_unknown_to_obstore_needs_a_factory():
    with pytest.raises(ValueError, match=r"obstore has no store for nope://bucket: pass register\('nope', factory\)"):
        register("nope")
    register("nope", bucket_of)
    assert fsspec.open("nope://bucket/dir/a.txt").open().read() == b"0123456789"


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError, match=r"scheme must be a str such as 's3', got \['s3'\]"):
        register(["s3"])
    with pytest.raises(TypeError, match="factory must be a callable"):
        register("s3", MemoryStore())
    register("s3", lambda bucket: bucket)
    with pytest.raises(TypeError, match="store must be a store, got 'bucket'"):
        fsspec.filesystem("s3").exists("s3://bucket/a")


def test_a_scheme_nobody_registered_is_an_error_of_fsspec():
    with pytest.raises(ValueError, match="Protocol not known: nope"):
        fsspec.open("nope://bucket/a")


def test_a_prefix_of_the_store_is_part_of_the_url(tmp_path):
    LocalStore(tmp_path).put("a.txt", b"0123456789")
    register("s3", lambda bucket: S3Store(bucket, prefix="data", region="here"))
    assert fsspec.filesystem("s3")._locate("s3://bucket/data/a.txt")[1] == "a.txt"


def test_it_is_a_filesystem_of_this_library():
    register("s3", bucket_of)
    assert isinstance(fsspec.filesystem("s3"), ObspecFileSystem)
    with pytest.raises(OSError, match="Read-only"):
        fsspec.open("s3://bucket/dir/a.txt", "wb").open()
