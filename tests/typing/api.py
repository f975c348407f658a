"""The public interface as type checkers see it: checked by mypy and pyright, never run."""

from __future__ import annotations

import copy
import pickle
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol, assert_type

import obspec
import zarr.storage
from obspec import ListResult, ObjectMeta, PutResult
from obstore.store import HTTPStore, MemoryStore, S3Store

from obspec_utils import ObjectStoreRegistry, glob, glob_async, glob_objects, glob_objects_async
from obspec_utils.caches import Cache, DiskCache, MemoryCache, RedisCache
from obspec_utils.fsspec import ObspecFileSystem, register
from obspec_utils.readers import (
    BlockStoreReader,
    BufferedStoreReader,
    EagerStoreReader,
    ParallelStoreReader,
    ReaderStats,
    open_reader,
    open_reader_async,
)
from obspec_utils.stores import AiohttpGetResult, AiohttpGetResultAsync, AiohttpStore
from obspec_utils.wrappers import (
    CacheInfo,
    CachingReadableStore,
    CoalescingReadableStore,
    RequestRecord,
    RequestTrace,
    SplittingReadableStore,
    TracingReadableStore,
)
from obspec_utils.zarr import ObspecStore

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp
    from obspec import Get
    from typing_extensions import Buffer

    from obspec_utils.protocols import ReadableFile, ReadableStore


def zarr_stores(store: S3Store, http: AiohttpStore) -> zarr.storage.StoreLike:
    for source in (store, http, MemoryStore(), CachingReadableStore(store), CoalescingReadableStore(http)):
        found = zarr.open_group(ObspecStore(source), mode="r")
    assert_type(found, zarr.Group)
    return ObspecStore(store).with_read_only(read_only=True)


def readers_over_native_stores_and_wrappers(store: S3Store, http: HTTPStore, memory: MemoryStore) -> None:
    trace = RequestTrace()
    coalescing = CoalescingReadableStore(store, max_gap=0, max_request_size=1)
    wrappers = (
        CachingReadableStore(store),
        coalescing,
        SplittingReadableStore(http),
        TracingReadableStore(memory, trace),
    )
    for source in (store, http, memory, *wrappers):
        file: ReadableFile = EagerStoreReader(source, "path", request_size=1, max_concurrent_requests=1)
        assert_type(file.read(1), bytes)
        assert_type(open_reader(source, "path", memory=1).read(1), bytes)
        assert_type(ParallelStoreReader(source, "path", chunk_size=1, max_cached_chunks=1).seek(0), int)
        assert_type(BlockStoreReader(source, "path", block_size=1, max_cached_blocks=1).size, int)
        assert_type(BufferedStoreReader(source, "path", buffer_size=1).readinto(bytearray(1)), int)


def filesystems(store: S3Store, memory: MemoryStore) -> None:
    for source in (store, memory, CachingReadableStore(store), ObjectStoreRegistry({"s3://bucket": store})):
        ObspecFileSystem(source, reader=EagerStoreReader, asynchronous=True).open("path").read()
    ObspecFileSystem(AiohttpStore("https://example.com"))
    ObspecFileSystem("s3://bucket")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    register("s3")
    register("s3", S3Store)


async def a_store_over_http(session: aiohttp.ClientSession) -> AiohttpGetResultAsync:
    store: ReadableStore = AiohttpStore("https://example.com", headers={"A": "b"}, timeout=None, session=session)
    assert_type(open_reader(store, "path").read(1), bytes)
    own = AiohttpStore("https://example.com")
    assert_type(own.get("path", options={"range": (0, 1)}), AiohttpGetResult)
    assert_type(own.get("path").buffer(), bytes)
    assert_type(own.get_ranges("path", starts=[0], lengths=[1]), list[bytes])
    assert_type(own.head("path"), ObjectMeta)
    sync_result: obspec.GetResult = own.get("path")
    async with own as entered:
        assert_type(entered, AiohttpStore)
        async_result: obspec.GetResultAsync = await own.get_async("path")
        assert_type([chunk async for chunk in await own.get_async("path")], list[bytes])
        del sync_result, async_result
    wrapped = CachingReadableStore(own)
    assert_type(wrapped.head("path"), ObjectMeta)
    return await own.get_async("path")


def readers_read_ahead(store: S3Store) -> list[Callable[[S3Store, str], ReadableFile]]:
    for read_ahead in ("auto", "metadata", "pattern", None):
        stats = open_reader(store, "path", read_ahead=read_ahead).stats()
        assert_type(stats, ReaderStats)
        assert_type(ParallelStoreReader(store, "path", read_ahead=read_ahead).stats().bytes_wasted, int)
        assert_type(BlockStoreReader(store, "path", read_ahead=read_ahead).stats().requests, int)
    assert_type(EagerStoreReader(store, "path").stats(), ReaderStats)
    assert_type(BufferedStoreReader(store, "path").stats(), ReaderStats)
    return [partial(open_reader, read_ahead="metadata"), partial(BlockStoreReader, read_ahead=None)]


async def which_version_is_read(store: S3Store) -> None:
    for check_version in ("auto", "etag", "date", "size"):
        EagerStoreReader(store, "path", check_version=check_version, version="id")
        ParallelStoreReader(store, "path", check_version=check_version, version="id")
        BlockStoreReader(store, "path", check_version=check_version, version="id")
        BufferedStoreReader(store, "path", check_version=check_version, version="id")
        open_reader(store, "path", check_version=check_version, version=None)
        await open_reader_async(store, "path", check_version=check_version, version=store.head("path")["version"])
        CachingReadableStore(SplittingReadableStore(store, check_version=check_version), check_version=check_version)


class CountingCallback:
    def set_size(self, size: int) -> None: ...

    def relative_update(self, inc: int = 1) -> None: ...


def show_progress(bytes_done: int, bytes_total: int | None) -> None: ...


async def progress_is_shown(store: S3Store) -> None:
    for progress in (True, False, None, show_progress, CountingCallback()):
        EagerStoreReader(store, "path", progress=progress)
        open_reader(store, "path", progress=progress)
        await open_reader_async(store, "path", progress=progress)
        cached = CachingReadableStore(SplittingReadableStore(store, progress=progress))
        assert_type(cached.prefetch(["path"], progress=progress), dict[str, Exception])
        assert_type(await cached.prefetch_async(["path"], progress=progress), dict[str, Exception])


def the_least_a_reader_needs(store: Get) -> bytes:
    return EagerStoreReader(store, "path").read(None)


def readers_are_factories() -> list[Callable[[S3Store, str], ReadableFile]]:
    return [EagerStoreReader, ParallelStoreReader, BlockStoreReader, BufferedStoreReader, open_reader]


def wrappers_stack(store: HTTPStore) -> ReadableStore:
    trace = RequestTrace()

    def on_request(record: RequestRecord) -> None:
        assert_type(record.length, int)
        assert_type(record.error, str | None)
        assert_type(RequestTrace([record], max_records=10).dropped, int)

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
    return CachingReadableStore(store, 1, cache=None, max_age=0.5, read_ahead=False)


async def registries_know_their_store(store: MemoryStore, cached: CachingReadableStore) -> None:
    registry = ObjectStoreRegistry({"memory://a": store})
    assert_type(registry, ObjectStoreRegistry[MemoryStore])
    assert_type(registry.resolve("memory://a/b"), tuple[MemoryStore, str])
    registry.register("memory://b", store)
    async with registry as entered:
        assert_type(entered, ObjectStoreRegistry[MemoryStore])
    wrapped = ObjectStoreRegistry({"s3://a": cached})
    found, path = wrapped.resolve("s3://a/b")
    assert_type(found.cached_paths, list[str])
    with open_reader(found, path) as file:
        assert_type(file.read(), bytes)
    anything: ObjectStoreRegistry[ReadableStore] = ObjectStoreRegistry()
    anything.register("s3://a", cached)
    anything.register("memory://a", store)
    assert_type(anything.resolve("s3://a/b")[0].head("b"), ObjectMeta)


def copies_and_pickles_are_of_the_same_type(store: S3Store) -> None:
    cached = CachingReadableStore(store)
    assert_type(copy.copy(cached), CachingReadableStore)
    reader = ParallelStoreReader(cached, "path")
    assert_type(copy.copy(reader), ParallelStoreReader)
    pickle.dumps((cached, reader))


def globs(store: MemoryStore) -> tuple[Iterator[str], Iterator[ObjectMeta], AsyncIterator[str]]:
    return glob(store, "*"), glob_objects(store, "*"), glob_async(store, "*")


class AnyStore(
    obspec.List,
    obspec.ListAsync,
    obspec.ListWithDelimiter,
    obspec.ListWithDelimiterAsync,
    obspec.Put,
    obspec.PutAsync,
    obspec.Delete,
    obspec.DeleteAsync,
    obspec.Copy,
    obspec.CopyAsync,
    obspec.Rename,
    obspec.RenameAsync,
    obspec.Get,
    obspec.Head,
    Protocol,
): ...


async def wrappers_forward_what_obspec_names(store: S3Store) -> None:
    trace = RequestTrace()
    for wrapper in (
        CachingReadableStore(store),
        CoalescingReadableStore(store),
        SplittingReadableStore(store),
        TracingReadableStore(store, trace),
    ):
        assert_type(glob(wrapper, "*"), Iterator[str])
        assert_type(glob_objects(wrapper, "*"), Iterator[ObjectMeta])
        assert_type(glob_async(wrapper, "*"), AsyncIterator[str])
        assert_type(glob_objects_async(wrapper, "*"), AsyncIterator[ObjectMeta])
        assert_type(wrapper.list("folder"), Iterator[Sequence[ObjectMeta]])
        assert_type(wrapper.list_async("folder", offset="a"), AsyncIterator[Sequence[ObjectMeta]])
        assert_type(wrapper.list_with_delimiter(), ListResult[Sequence[ObjectMeta]])
        assert_type(await wrapper.list_with_delimiter_async(), ListResult[Sequence[ObjectMeta]])
        assert_type(wrapper.put("path", b""), PutResult)
        assert_type(await wrapper.put_async("path", b"", mode="create"), PutResult)
        wrapper.delete(["path"])
        await wrapper.delete_async("path")
        wrapper.copy("path", "other")
        await wrapper.copy_async("path", "other", overwrite=False)
        wrapper.rename("path", "other")
        await wrapper.rename_async("path", "other")
        everything: AnyStore = wrapper
        assert_type(everything.head("path"), ObjectMeta)
