"""Readers of a version other than the current one: S3's version ids."""

from __future__ import annotations

import asyncio
import copy
import pickle
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from obspec.exceptions import NotSupportedError
from obstore.store import S3Store

from obspec_utils.readers import (
    BlockStoreReader,
    BufferedStoreReader,
    EagerStoreReader,
    ParallelStoreReader,
    open_reader,
    open_reader_async,
)
from obspec_utils.wrappers import CachingReadableStore, RequestTrace, SplittingReadableStore, TracingReadableStore
from tests.servers import random_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers import ObjectServer
    from tests.servers.stores import OpenedStore

KIB = 1 << 10
SIZE = 1 << 20
OLD, NEW, NEWEST = (bytes(random_bytes(size, size)) for size in (SIZE, SIZE + 1000, SIZE - 1000))


def opened_async(store: Any, path: str, **options: Any) -> Any:
    return asyncio.run(open_reader_async(store, path, **options))


# With chunks this small, all of them send several requests.
READERS: dict[str, Callable[..., Any]] = {
    "eager": partial(EagerStoreReader, request_size=100 * KIB),
    "parallel": partial(ParallelStoreReader, chunk_size=64 * KIB),
    "without read-ahead": partial(ParallelStoreReader, chunk_size=64 * KIB, read_ahead=None),
    "with metadata": partial(ParallelStoreReader, chunk_size=64 * KIB, read_ahead="metadata"),
    "block": partial(BlockStoreReader, block_size=64 * KIB),
    "buffered": partial(BufferedStoreReader, buffer_size=32 * KIB),
    "buffered in parallel": partial(BufferedStoreReader, buffer_size=32 * KIB, max_concurrent_requests=4),
    "open, whole": partial(open_reader, memory=2 * SIZE),
    "open, in blocks": partial(open_reader, memory=512 * KIB),
    "opened_async": partial(opened_async, memory=512 * KIB),
}
versioned = pytest.mark.parametrize("store_kind", ["s3-own", "s3-moto"])


@pytest.fixture(params=READERS)
def make(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return READERS[request.param]


def put(opened: OpenedStore, data: bytes) -> str:
    opened.seed("a.bin", data)
    version = opened.store.head("a.bin")["version"]
    assert version is not None
    return version


def read_in_steps(file: Any) -> bytes:
    return b"".join(iter(lambda: file.read(48 * KIB), b""))


@versioned
def test_a_version_is_read_whatever_is_put_later(opened_store: OpenedStore, make: Callable[..., Any]) -> None:
    version = put(opened_store, OLD)
    put(opened_store, NEW)
    with make(opened_store.store, "a.bin", version=version) as file, make(opened_store.store, "a.bin") as current:
        assert file.size == SIZE
        assert current.read(10) == NEW[:10]
        assert file.read(10) == OLD[:10]
        put(opened_store, NEWEST)
        assert file.read(10) + read_in_steps(file) == OLD[10:]
        assert (file.seek(-5, 2), file.read()) == (SIZE - 5, OLD[-5:])
    opened_store.store.delete("a.bin")
    assert make(opened_store.store, "a.bin", version=version).read() == OLD
    with pytest.raises(FileNotFoundError, match="No such object in S3Store"):
        make(opened_store.store, "a.bin").read()


@pytest.mark.parametrize("store_kind", ["s3-own"])
def test_each_request_names_the_version(
    opened_store: OpenedStore, make: Callable[..., Any], object_server: ObjectServer
) -> None:
    version = put(opened_store, OLD)
    put(opened_store, NEW)
    object_server.clear()
    file = make(opened_store.store, "a.bin", version=version)
    assert file.read(48 * KIB) + read_in_steps(file) == OLD
    log = object_server.log()
    assert {request.version for request in log} == {version}
    assert len(log) > 1
    assert sum(request.sent for request in log) == SIZE


@versioned
def test_an_unknown_version_is_not_found(opened_store: OpenedStore, make: Callable[..., Any]) -> None:
    put(opened_store, OLD)
    with pytest.raises(FileNotFoundError, match=r"No such version 'unknown' in S3Store.*: 'a\.bin'"):
        make(opened_store.store, "a.bin", version="unknown").read()


@pytest.mark.parametrize("store_kind", ["memory", "local", "http-own", "gcs"])
def test_a_store_that_ignores_it_is_an_error(opened_store: OpenedStore, make: Callable[..., Any]) -> None:
    opened_store.seed("a.bin", OLD)
    expected = r"^the store returned version None of 'a\.bin' in place of 'v1': it ignores version="
    with pytest.raises(NotSupportedError, match=expected):
        make(opened_store.store, "a.bin", version="v1").read()


class Another(S3Store):
    """A service that returns the current version, whatever is requested."""

    def get(self, path: str, *, options: Any = None) -> Any:
        return super().get(path, options={name: value for name, value in options.items() if name != "version"})


@pytest.mark.parametrize("store_kind", ["s3-own"])
def test_another_version_is_an_error(
    opened_store: OpenedStore, make: Callable[..., Any], object_server: ObjectServer
) -> None:
    version, new = put(opened_store, OLD), put(opened_store, NEW)
    store = Another(
        opened_store.bucket,
        endpoint=object_server.url,
        region="us-east-1",
        skip_signature=True,
        client_options={"allow_http": True},
    )
    with pytest.raises(NotSupportedError, match=f"returned version '{new}' of 'a.bin' in place of '{version}'"):
        make(store, "a.bin", version=version).read()


class Ranges:
    """A store without `get`, the only method with options."""

    def __init__(self, store: Any) -> None:
        self.get_range = store.get_range
        self.head = store.head


@pytest.mark.parametrize("store_kind", ["s3-own"])
def test_a_store_without_get_is_an_error(opened_store: OpenedStore, make: Callable[..., Any]) -> None:
    version = put(opened_store, OLD)
    with pytest.raises(TypeError, match=r"^Can't read 'a\.bin' with version=: Ranges has no get\(\)"):
        make(Ranges(opened_store.store), "a.bin", version=version).read()


@versioned
@pytest.mark.parametrize("duplicate", [copy.copy, lambda file: pickle.loads(pickle.dumps(file))])
def test_copies_read_the_same_version(
    opened_store: OpenedStore, make: Callable[..., Any], duplicate: Callable[[Any], Any]
) -> None:
    version = put(opened_store, OLD)
    put(opened_store, NEW)
    file = make(opened_store.store, "a.bin", version=version)
    before = duplicate(file)  # some have sent no request yet
    assert file.read(10) == before.read(10) == OLD[:10]
    after = duplicate(duplicate(file))
    assert read_in_steps(before) == read_in_steps(after) == OLD[10:]


@versioned
def test_through_wrappers_it_passes_uncached(opened_store: OpenedStore, make: Callable[..., Any]) -> None:
    version = put(opened_store, OLD)
    put(opened_store, NEW)
    trace = RequestTrace()
    traced = TracingReadableStore(SplittingReadableStore(opened_store.store, request_size=100 * KIB), trace)
    store = CachingReadableStore(traced, block_size=64 * KIB)
    assert make(store, "a.bin").read() == NEW
    assert make(store, "a.bin", version=version).read() == OLD
    assert make(store, "a.bin").read() == NEW
    assert store.cache_size == len(NEW)


@versioned
def test_a_splitting_store_fetches_all_parts_of_the_version(opened_store: OpenedStore) -> None:
    version = put(opened_store, OLD)
    put(opened_store, NEW)
    store = SplittingReadableStore(opened_store.store, request_size=100 * KIB)
    assert bytes(store.get("a.bin", options={"version": version}).buffer()) == OLD
