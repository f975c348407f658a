"""A missing object is FileNotFoundError from every reader of every store: in one line, with the path and the store."""

from __future__ import annotations

import asyncio
import errno
import io
import pickle

import pytest

from obspec_utils.readers import (
    BlockStoreReader,
    BufferedStoreReader,
    EagerStoreReader,
    ParallelStoreReader,
    open_reader,
)
from obspec_utils.wrappers import (
    CachingReadableStore,
    CoalescingReadableStore,
    RequestTrace,
    SplittingReadableStore,
    TracingReadableStore,
)
from tests.contracts._stores import OnlyGet

pytestmark = pytest.mark.timeout(60)

FIRST_READS = {
    "EagerStoreReader": EagerStoreReader,
    "open_reader": open_reader,
    **{
        f"{reader.__name__} by {name}": lambda store, path, reader=reader, read=read: read(reader(store, path))
        for reader in (ParallelStoreReader, BlockStoreReader, BufferedStoreReader)
        for name, read in {
            "read": lambda file: file.read(1),
            "readinto": lambda file: file.readinto(bytearray(1)),
            "readline": lambda file: file.readline(),
            "seek": lambda file: file.seek(0, io.SEEK_END),
            "size": lambda file: file.size,
        }.items()
    },
}
WRAPPERS = {
    "none": lambda store: store,
    "caching": CachingReadableStore,
    "caching blocks": lambda store: CachingReadableStore(store, block_size=4096),
    "coalescing": CoalescingReadableStore,
    "splitting": SplittingReadableStore,
    "tracing": lambda store: TracingReadableStore(store, RequestTrace()),
}
NAMES = {
    "local": "LocalStore(",
    "memory": "MemoryStore",
    "s3-moto": "S3Store(",
    "s3-own": "S3Store(",
    "http-own": "HTTPStore(",
    "aiohttp": "AiohttpStore(",
    "azure": "AzureStore(",
    "gcs": "GCSStore(",
}


def check(error: FileNotFoundError, kind: str, path: str) -> None:
    told = str(error)
    assert (error.errno, error.filename) == (errno.ENOENT, path)
    assert told.startswith(f"[Errno {errno.ENOENT}] No such object in {NAMES[kind]}")
    assert told.endswith(f": {path!r}")
    assert "\n" not in told
    assert len(told) < 200
    if kind != "aiohttp":
        assert "Debug source" in str(error.__cause__), "what obstore has to tell is the cause"


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_missing_object_is_told_in_one_line(opened_store, wrapper):
    store = WRAPPERS[wrapper](opened_store.store)
    for read in FIRST_READS.values():
        with pytest.raises(FileNotFoundError) as caught:
            read(store, "folder/a.nc")
        check(caught.value, opened_store.kind, "folder/a.nc")


@pytest.mark.parametrize("store_kind", ["local", "memory", "s3-own", "http-own", "aiohttp"])
async def test_so_it_is_in_a_running_event_loop_and_in_its_threads(opened_store):
    for wrap in WRAPPERS.values():
        store = wrap(opened_store.store)
        with pytest.raises(FileNotFoundError) as caught:
            open_reader(store, "a.nc")
        check(caught.value, opened_store.kind, "a.nc")
        with pytest.raises(FileNotFoundError) as caught:
            await asyncio.to_thread(open_reader, store, "a.nc")
        check(caught.value, opened_store.kind, "a.nc")


@pytest.mark.parametrize("store_kind", ["local"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_path_through_a_file_is_a_missing_object(opened_store, wrapper):
    opened_store.seed("a.nc", b"x")
    for read in FIRST_READS.values():
        with pytest.raises(FileNotFoundError) as caught:
            read(WRAPPERS[wrapper](opened_store.store), "a.nc/b.nc")
        check(caught.value, "local", "a.nc/b.nc")


@pytest.mark.parametrize("store_kind", ["local", "s3-own", "http-own", "aiohttp"])
@pytest.mark.parametrize(
    "make",
    [
        lambda store: ParallelStoreReader(store, "a.nc", 4096, 4),
        lambda store: BufferedStoreReader(store, "a.nc", 4096),
        lambda store: open_reader(store, "a.nc", memory=65_536),
    ],
)
def test_an_object_that_goes_while_it_is_read_is_a_missing_one(opened_store, make):
    opened_store.seed("a.nc", bytes(1 << 20))
    file = make(opened_store.store)
    file.read(1)
    opened_store.writer.delete("a.nc")
    file.seek(500_000)
    with pytest.raises(FileNotFoundError) as caught:
        file.read(100_000)
    check(caught.value, opened_store.kind, "a.nc")


@pytest.mark.parametrize("store_kind", ["local", "s3-own", "aiohttp"])
def test_so_is_one_that_went_before_an_unpickled_reader_loads_it(opened_store):
    opened_store.seed("a.nc", b"x")
    file = pickle.loads(pickle.dumps(EagerStoreReader(opened_store.store, "a.nc")))
    opened_store.writer.delete("a.nc")
    with pytest.raises(FileNotFoundError) as caught:
        file.read()
    check(caught.value, opened_store.kind, "a.nc")


def test_an_error_that_tells_its_file_stays_as_it_is():
    class Files(OnlyGet):
        def get(self, path, *, options=None):
            raise own

    own = FileNotFoundError(errno.ENOENT, "gone", "/data/a.nc")
    for read in FIRST_READS.values():
        with pytest.raises(FileNotFoundError) as caught:
            read(Files({}), "a.nc")
        assert caught.value is own


@pytest.mark.parametrize("store_kind", ["local", "memory", "s3-own", "http-own"])
@pytest.mark.parametrize("wrapper", ["caching", "splitting", "tracing"])
async def test_a_wrapper_passes_the_error_of_its_store_on(opened_store, wrapper):
    wrapped = WRAPPERS[wrapper](opened_store.store)
    with pytest.raises(FileNotFoundError, match="Debug source"):
        wrapped.get("a.nc")
    with pytest.raises(FileNotFoundError, match="Debug source"):
        await wrapped.get_async("a.nc")
