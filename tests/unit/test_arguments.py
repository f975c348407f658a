"""Arguments of the wrong kind are refused at once: in one line, with the value, and what to give instead."""

from __future__ import annotations

from datetime import timedelta
from pathlib import PurePosixPath
from unittest.mock import Mock

import fsspec
import numpy as np
import pytest
from obstore.store import MemoryStore

from obspec_utils import ObjectStoreRegistry, glob, glob_async, glob_objects, glob_objects_async
from obspec_utils.caches import DiskCache, MemoryCache, RedisCache
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
    CoalescingReadableStore,
    RequestTrace,
    SplittingReadableStore,
    TracingReadableStore,
)
from tests.contracts._stores import HeadAndRange, HeadAndRanges, OnlyGet, OnlyRange

READERS = [EagerStoreReader, ParallelStoreReader, BlockStoreReader, BufferedStoreReader, open_reader]
WRAPPERS = {
    "caching": CachingReadableStore,
    "coalescing": CoalescingReadableStore,
    "splitting": SplittingReadableStore,
    "tracing": lambda store: TracingReadableStore(store, RequestTrace()),
}
GLOBS = [glob, glob_objects, glob_async, glob_objects_async]
TAKE_A_STORE = {
    **{reader.__name__: lambda store, reader=reader: reader(store, "a.nc") for reader in READERS},
    **WRAPPERS,
    **{function.__name__: lambda store, function=function: function(store, "*.nc") for function in GLOBS},
}


class Bare:
    """Neither a store nor anything else."""

    def __repr__(self):
        return "Bare()"


class Files(fsspec.AbstractFileSystem):
    protocol = "files"
    cachable = False

    def __repr__(self):
        return "Files()"


NO_STORES = {
    "str": ("s3://bucket", r"^store must be a store, got 's3://bucket': pass obstore\.store\.from_url"),
    "path": (PurePosixPath("data"), r"^store must be a store, got PurePosixPath\('data'\): pass obstore\.store\."),
    "fsspec": (Files(), r"^store must be an obspec store such as one of obstore\.store, got an fsspec .*, Files\(\)$"),
    "dict": ({"a": 1}, r"^store must be an obspec store such as one of obstore\.store, got \{'a': 1\}, which has n"),
    "registry": (ObjectStoreRegistry(), r"^store must be an obspec store .*, got ObjectStoreRegistry\(\{\}\), which"),
    "object": (
        Bare(),
        r"^store must be an obspec store such as one of obstore\.store, got Bare\(\), which has neither",
    ),
    "None": (None, r"^store must be an obspec store such as one of obstore\.store, got None, which has neither"),
}
NO_PATHS = {
    "path": (PurePosixPath("a/b.nc"), TypeError, r"^path must be a str such as 'a/b\.nc', got PurePosixPath\('a/b.nc'"),
    "bytes": (b"a.nc", TypeError, r"^path must be a str such as 'a/b\.nc', got b'a\.nc'$"),
    "None": (None, TypeError, r"^path must be a str such as 'a/b\.nc', got None$"),
    "s3": (
        "s3://b/a.nc",
        ValueError,
        r"^path must be relative to the store, .*, got the URL 's3://b/a\.nc': leave out",
    ),
    "https": ("HTTPS://h/a.nc", ValueError, r"^path must be relative to the store, .*, got the URL 'HTTPS://h/a\.nc'"),
    "file": ("file:///a.nc", ValueError, r"^path must be relative to the store, .*, got the URL 'file:///a\.nc'"),
}


def refused(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("taking", TAKE_A_STORE)
@pytest.mark.parametrize("given", NO_STORES)
def test_what_is_no_store_is_refused(taking, given):
    value, message = NO_STORES[given]
    refused(lambda: TAKE_A_STORE[taking](value), TypeError, message)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("given", NO_PATHS)
def test_what_is_no_path_is_refused(reader, given):
    value, error, message = NO_PATHS[given]
    refused(lambda: reader(MemoryStore(), value), error, message)


@pytest.mark.parametrize("function", [*READERS, *GLOBS])
def test_swapped_arguments_are_told(function):
    message = r"^store and path are swapped, got 'a\.nc' as store: pass the store first$"
    refused(lambda: function("a.nc", MemoryStore()), TypeError, message)


@pytest.mark.parametrize("store", [OnlyGet, OnlyRange, HeadAndRange, HeadAndRanges])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_any_method_of_a_store_makes_one(store, wrapper):
    wrapped = WRAPPERS[wrapper](store({"a.nc": b"0123456789"}))
    assert ParallelStoreReader(wrapped, "a.nc").path == "a.nc"


def test_a_store_whose_methods_are_made_when_they_are_asked_for_is_one():
    class Lazy:
        def __getattr__(self, name):
            if name.startswith("_"):
                raise AttributeError(name)
            return getattr(store, name)

    store = OnlyGet({"a.nc": b"0123456789"})
    assert open_reader(CachingReadableStore(Lazy()), "a.nc").read() == b"0123456789"
    ParallelStoreReader(Mock(), "a.nc")


@pytest.mark.parametrize("path", ["a/s3://b", "a:b/c", "C:/a", "http:/a", "://a", "2://a", ""])
def test_a_key_that_only_resembles_a_url_is_one(path):
    store = OnlyGet({path: b"0123456789"})
    for reader in READERS:
        assert reader(store, path).read() == b"0123456789"


NO_PATTERNS = {
    "path": (PurePosixPath("*.nc"), TypeError, r"^pattern must be a str such as 'data/\*\.nc', got PurePosixPath\("),
    "s3": (
        "s3://b/*.nc",
        ValueError,
        r"^pattern must be relative to the store, .*, got the URL 's3://b/\*\.nc': leave",
    ),
    "https": ("https://h/a", ValueError, r"^pattern must be relative to the store, .*, got the URL 'https://h/a'"),
}


@pytest.mark.parametrize("function", GLOBS)
@pytest.mark.parametrize("given", NO_PATTERNS)
@pytest.mark.parametrize("wrap", [lambda store: store, CachingReadableStore])
def test_what_is_no_pattern_is_refused_before_anything_is_iterated(function, given, wrap):
    value, error, message = NO_PATTERNS[given]
    refused(lambda: function(wrap(MemoryStore()), value), error, message)


@pytest.mark.parametrize(
    ("function", "method"),
    [(glob, "list"), (glob_objects, "list"), (glob_async, "list_async"), (glob_objects_async, "list_async")],
)
@pytest.mark.parametrize("wrap", [lambda store: store, CachingReadableStore])
def test_a_store_that_cannot_list_is_refused(function, method, wrap):
    message = rf"^HeadAndRange can't be searched for 'a/\*\.nc': it has no {method}\(\)$"
    refused(lambda: function(wrap(HeadAndRange({})), "a/*.nc"), TypeError, message)
    refused(lambda: function(wrap(OnlyGet({})), "a.nc"), TypeError, rf"^OnlyGet can't .* 'a\.nc': it has no {method}\(")


async def test_a_store_that_has_only_head_is_searched_for_one_path():
    store = HeadAndRange({"a.nc": b"x"})
    assert list(glob(store, "a.nc")) == [path async for path in glob_async(store, "a.nc")] == ["a.nc"]
    assert list(glob(store, "b.nc")) == []


WRONG_OPTIONS = {
    "a folder": ({"cache": "/tmp/c"}, TypeError, r"^cache must be a cache such as DiskCache\('.*, got '/tmp/c'$"),
    "a path": (
        {"cache": PurePosixPath("c")},
        TypeError,
        r"^cache must be a cache such as .*, got PurePosixPath\('c'\)$",
    ),
    "a number": ({"cache": 5}, TypeError, r"^cache must be a cache such as .*, got 5$"),
    "folders": ({"cache": ["/tmp/c"]}, TypeError, r"^A cache must have the methods get, put, .*, got '/tmp/c'$"),
    "a class": ({"cache": MemoryCache}, TypeError, r"^A cache must have the methods .*, got <class '.*MemoryCache'>$"),
    "age as text": ({"max_age": "60"}, TypeError, r"^max_age must be a number of seconds, a timedelta .*, got '60'$"),
    "age as list": ({"max_age": [60]}, TypeError, r"^max_age must be a number of seconds, a timedelta .*, got \[60\]$"),
    "size as text": (
        {"max_size": "1 GB"},
        TypeError,
        r"^max_size must be a whole number such as .*, got '1 GB', a str$",
    ),
    "block size": (
        {"block_size": [1]},
        TypeError,
        r"^block_size must be a whole number such as .*, got \[1\], a list$",
    ),
    "namespace": ({"namespace": 5}, TypeError, r"^namespace must be a str such as 'my-bucket', got 5$"),
}


@pytest.mark.parametrize("given", WRONG_OPTIONS)
def test_an_option_of_a_cache_of_another_kind_is_refused(given):
    options, error, message = WRONG_OPTIONS[given]
    refused(lambda: CachingReadableStore(MemoryStore(), **options), error, message)


@pytest.mark.parametrize("max_age", [0, 60, 0.5, np.float32(5), np.int64(5), timedelta(hours=1), True])
def test_a_max_age_of_any_number_is_taken(max_age):
    CachingReadableStore(MemoryStore(), max_age=max_age)


NUMBERS = [
    (EagerStoreReader, "request_size"),
    (EagerStoreReader, "file_size"),
    (EagerStoreReader, "max_concurrent_requests"),
    (ParallelStoreReader, "chunk_size"),
    (ParallelStoreReader, "max_cached_chunks"),
    (BlockStoreReader, "block_size"),
    (BlockStoreReader, "max_cached_blocks"),
    (BufferedStoreReader, "buffer_size"),
    (BufferedStoreReader, "max_concurrent_requests"),
    (open_reader, "memory"),
]


@pytest.mark.parametrize(("reader", "name"), NUMBERS)
def test_a_size_as_text_is_refused(reader, name):
    message = rf"^{name} must be a whole number such as 1048576, got '12 MiB', a str$"
    refused(lambda: reader(MemoryStore(), "a.nc", **{name: "12 MiB"}), TypeError, message)


@pytest.mark.parametrize("name", ["request_size", "max_concurrent_requests"])
def test_a_splitting_store_refuses_a_size_as_text(name):
    message = rf"^{name} must be a whole number such as 1048576, got '12', a str$"
    refused(lambda: SplittingReadableStore(MemoryStore(), **{name: "12"}), TypeError, message)


@pytest.mark.parametrize("name", ["max_gap", "max_request_size"])
def test_a_coalescing_store_refuses_a_size_as_text(name):
    message = rf"^{name} must be a whole number such as 1048576, got '12', a str$"
    refused(lambda: CoalescingReadableStore(MemoryStore(), **{name: "12"}), TypeError, message)


def test_a_coalescing_store_refuses_a_negative_gap():
    message = r"^max_gap must be at least 0, got -1$"
    refused(lambda: CoalescingReadableStore(MemoryStore(), max_gap=-1), ValueError, message)


def test_a_tracing_store_refuses_what_it_cannot_record_in_or_call():
    message = r"^trace must be a RequestTrace, got \[\]$"
    refused(lambda: TracingReadableStore(MemoryStore(), []), TypeError, message)
    refused(lambda: TracingReadableStore(RequestTrace(), MemoryStore()), TypeError, r"got <RequestTrace of 0 requests")
    message = r"^on_request must be a function of one record, or None, got 5$"
    refused(lambda: TracingReadableStore(MemoryStore(), RequestTrace(), on_request=5), TypeError, message)


@pytest.mark.parametrize("option", ["ttl", "timeout"])
def test_a_redis_cache_refuses_a_time_as_text(option):
    message = rf"^{option} must be a positive number of seconds, got '60'$"
    refused(lambda: RedisCache("redis://localhost", **{option: "60"}), TypeError, message)


def test_a_redis_cache_refuses_a_prefix_that_is_no_text():
    message = r"^prefix must be a str such as 'my-project:', got 5$"
    refused(lambda: RedisCache("redis://localhost", prefix=5), TypeError, message)


NO_SETS_OF_PATHS = {
    "one path": ("a.nc", TypeError, r"^paths must be an iterable of str, such as \['a\.nc'\], got 'a\.nc'$"),
    "a pathlib path": (
        PurePosixPath("a"),
        TypeError,
        r"^paths must be an iterable of str, .*, got PurePosixPath\('a'\)$",
    ),
    "None": (None, TypeError, r"^paths must be an iterable of str, .*, got None$"),
    "pathlib paths": ([PurePosixPath("a")], TypeError, r"^path must be a str such as 'a/b\.nc', got PurePosixPath\("),
    "URLs": (["s3://b/a"], ValueError, r"^path must be relative to the store, .*, got the URL 's3://b/a'"),
}


@pytest.mark.parametrize("given", NO_SETS_OF_PATHS)
async def test_paths_to_prefetch_that_are_none_are_refused(given):
    value, error, message = NO_SETS_OF_PATHS[given]
    store = CachingReadableStore(MemoryStore())
    refused(lambda: store.prefetch(value), error, message)
    with pytest.raises(error, match=message):
        await store.prefetch_async(value)


@pytest.mark.parametrize("path", [PurePosixPath("a"), b"a", None, 5])
async def test_a_caching_store_refuses_a_path_that_is_no_text(path):
    store = CachingReadableStore(MemoryStore())
    for call in (store.get, store.head, lambda path: store.get_range(path, start=0, end=1)):
        refused(lambda call=call: call(path), TypeError, r"^path must be a str such as 'a/b\.nc', got ")
    with pytest.raises(TypeError, match=r"^path must be a str"):
        await store.get_async(path)


def test_the_registry_refuses_what_is_no_url_and_what_is_no_store():
    registry = ObjectStoreRegistry()
    for call in (registry.resolve, get_url_key, lambda url: registry.register(url, MemoryStore())):
        message = r"^url must be a str such as 's3://bucket/key', got PurePosixPath\('/a'\)$"
        refused(lambda call=call: call(PurePosixPath("/a")), TypeError, message)
    message = r"^store must be a store such as one of obstore\.store, got 's3://b'$"
    refused(lambda: registry.register("s3://b", "s3://b"), TypeError, message)
    refused(lambda: registry.register(MemoryStore(), "s3://b"), TypeError, r"^url must be a str such as 's3://bucket/k")
    message = r"^stores must be a dict such as \{'s3://bucket': store\}, got 's3://b'$"
    refused(lambda: ObjectStoreRegistry("s3://b"), TypeError, message)
    assert registry.map == {}


@pytest.mark.parametrize("make", [CachingReadableStore, CoalescingReadableStore, SplittingReadableStore])
def test_a_class_is_no_store(make):
    with pytest.raises(TypeError, match=r"store must be a store, got the class MemoryStore: pass an object of it"):
        make(MemoryStore)


@pytest.mark.parametrize("directory", ["s3://bucket/cache", "redis://:SECRET@host/0"])
def test_a_url_is_no_directory_of_a_disk_cache(directory):
    with pytest.raises(ValueError, match="directory must be the path of a local folder") as raised:
        DiskCache(directory, 10**6)
    assert "SECRET" not in str(raised.value)


def test_a_size_larger_than_any_object_is_refused():
    with pytest.raises(ValueError, match=f"chunk_size must be at most {2**63 - 1}, got {2**70}"):
        ParallelStoreReader(MemoryStore(), "a", chunk_size=2**70)
