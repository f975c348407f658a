from __future__ import annotations

import io

import pytest
from obstore.store import AzureStore, GCSStore, HTTPStore, LocalStore, MemoryStore, S3Store

from obspec_utils import protocols, typing
from obspec_utils.protocols import ReadableFile, ReadableStore
from obspec_utils.readers import BlockStoreReader, BufferedStoreReader, EagerStoreReader, ParallelStoreReader
from obspec_utils.wrappers import CachingReadableStore, RequestTrace, SplittingReadableStore, TracingReadableStore

METHODS = [
    "get", "get_async", "get_range", "get_range_async", "get_ranges", "get_ranges_async", "head", "head_async",
]  # fmt: skip


@pytest.mark.parametrize(
    "make",
    [
        MemoryStore,
        LocalStore,
        lambda: S3Store("b", skip_signature=True),
        lambda: GCSStore("b", skip_signature=True),
        lambda: AzureStore("c", account_name="a", skip_signature=True),
        lambda: HTTPStore("https://host.org"),
        lambda: CachingReadableStore(MemoryStore()),
        lambda: SplittingReadableStore(MemoryStore()),
        lambda: TracingReadableStore(MemoryStore(), RequestTrace()),
    ],
)
def test_readable_stores(make):
    assert isinstance(make(), ReadableStore)


@pytest.mark.parametrize("missing", METHODS)
def test_every_method_is_needed_to_be_a_store(missing):
    methods = {name: lambda self: None for name in METHODS if name != missing}
    assert not isinstance(type("Store", (), methods)(), ReadableStore)
    assert isinstance(type("Store", (), {**methods, missing: lambda self: None})(), ReadableStore)


def test_readable_files(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    store = LocalStore(tmp_path)
    with (tmp_path / "a").open("rb") as file:
        assert isinstance(file, ReadableFile)
    for reader in (EagerStoreReader, ParallelStoreReader, BlockStoreReader, BufferedStoreReader):
        with reader(store, "a") as opened:
            assert isinstance(opened, ReadableFile)
    assert isinstance(io.BytesIO(), ReadableFile)
    assert not isinstance(store, ReadableFile)


@pytest.mark.parametrize("missing", ["read", "seek", "tell"])
def test_every_method_is_needed_to_be_a_file(missing):
    methods = {name: lambda self: None for name in ("read", "seek", "tell") if name != missing}
    assert not isinstance(type("File", (), methods)(), ReadableFile)


def test_names():
    assert typing.Url is str
    assert typing.Path is str
    assert sorted(typing.__all__) == ["Path", "Url"]
    assert sorted(protocols.__all__) == ["ReadableFile", "ReadableStore"]
