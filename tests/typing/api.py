"""The public interface as type checkers see it: checked by mypy and pyright, never run."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, assert_type

from obstore.store import HTTPStore, MemoryStore, S3Store

from obspec_utils import ObjectStoreRegistry, glob, glob_async, glob_objects
from obspec_utils.caches import Cache, DiskCache, MemoryCache, RedisCache
from obspec_utils.readers import BlockStoreReader, BufferedStoreReader, EagerStoreReader, ParallelStoreReader
from obspec_utils.wrappers import (
    CacheInfo,
    CachingReadableStore,
    RequestRecord,
    RequestTrace,
    SplittingReadableStore,
    TracingReadableStore,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from obspec import Get, ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils.protocols import ReadableFile, ReadableStore


def readers_over_native_stores_and_wrappers(store: S3Store) -> None:
    for source in (store, CachingReadableStore(store), SplittingReadableStore(store)):
        file: ReadableFile = EagerStoreReader(source, "path", request_size=1, max_concurrent_requests=1)
        assert_type(file.read(1), bytes)
    assert_type(ParallelStoreReader(store, "path", chunk_size=1, max_cached_chunks=1).seek(0), int)
    assert_type(BlockStoreReader(store, "path", block_size=1, max_cached_blocks=1).size, int)
    assert_type(BufferedStoreReader(store, "path", buffer_size=1).readinto(bytearray(1)), int)


def the_least_a_reader_needs(store: Get) -> bytes:
    return EagerStoreReader(store, "path").read(None)


def readers_are_factories() -> list[Callable[[S3Store, str], ReadableFile]]:
    return [EagerStoreReader, ParallelStoreReader, BlockStoreReader, BufferedStoreReader]


def wrappers_stack(store: HTTPStore) -> ReadableStore:
    trace = RequestTrace()

    def on_request(record: RequestRecord) -> None:
        assert_type(record.length, int)

    traced = TracingReadableStore(store, trace, on_request=on_request)
    cached = CachingReadableStore(SplittingReadableStore(traced, request_size=1), max_size=1)
    with cached as entered:
        assert_type(entered, CachingReadableStore)
        assert_type(entered.cached_paths, list[str])
    assert_type(trace.total_bytes, int)
    return cached


class CacheOfOnesOwn:
    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    def put(self, key: str, value: Buffer) -> None:
        self.values[key] = bytes(value)

    def delete(self, key: str) -> None:
        self.values.pop(key, None)

    def clear(self) -> None:
        self.values.clear()


def caches_of_all_kinds(store: S3Store) -> CachingReadableStore:
    caches: list[Cache] = [MemoryCache(1), DiskCache("directory", 1), RedisCache("redis://host"), CacheOfOnesOwn()]
    for block_size in (None, 1, "auto"):
        cached = CachingReadableStore(store, cache=caches, block_size=block_size, max_age=timedelta(1), namespace="n")
        assert_type(cached.cache_info(), CacheInfo)
        assert_type(cached.prefetch(["path"]), dict[str, Exception])
    return CachingReadableStore(store, 1, cache=None, max_age=0.5)


def registries_know_their_store(store: MemoryStore) -> None:
    registry = ObjectStoreRegistry({"memory://a": store})
    assert_type(registry.resolve("memory://a/b"), tuple[MemoryStore, str])


def globs(store: MemoryStore) -> tuple[Iterator[str], Iterator[ObjectMeta], AsyncIterator[str]]:
    return glob(store, "*"), glob_objects(store, "*"), glob_async(store, "*")
