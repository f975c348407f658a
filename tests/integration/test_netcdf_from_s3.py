"""A NetCDF4 file in an S3-compatible server, opened by xarray through every reader and wrapper."""

from __future__ import annotations

from itertools import pairwise

import pytest
import xarray as xr

from obspec_utils.readers import BlockStoreReader, BufferedStoreReader, EagerStoreReader, ParallelStoreReader
from obspec_utils.wrappers import (
    CachingReadableStore,
    RequestTrace,
    SplittingReadableStore,
    TracingReadableStore,
)
from tests.integration.readers import ALL_READERS, PIECE, READERS, SMALL_READERS

BUCKET = "weather"
PATH = "daily/climate.nc"

WRAPPINGS = {
    "bare": lambda store: store,
    "caching": CachingReadableStore,
    "splitting": lambda store: SplittingReadableStore(store, request_size=8 * PIECE),
    "caching-splitting": lambda store: CachingReadableStore(SplittingReadableStore(store, request_size=8 * PIECE)),
    "tracing": lambda store: TracingReadableStore(store, RequestTrace()),
}


@pytest.fixture
def content(files):
    return files["climate.nc"]


@pytest.fixture
def own_store(object_server, content):
    object_server.put(f"{BUCKET}/{PATH}", content)
    return object_server.s3_store(BUCKET)


@pytest.fixture
def moto_store(servers, content):
    bucket = servers.fresh_name()
    servers.moto.create_bucket(bucket)
    store = servers.moto.s3_store(bucket)
    store.put(PATH, content)
    return store


@pytest.fixture(params=["own", "moto"])
def s3_store(request):
    return request.getfixturevalue(f"{request.param}_store")


@pytest.fixture(params=WRAPPINGS)
def wrapped(request, s3_store):
    return WRAPPINGS[request.param](s3_store)


def load(reader, store):
    with reader(store, PATH) as file, xr.open_dataset(file) as opened:
        return opened.load()


def spans(log):
    assert {request.method for request in log} == {"GET"}
    return sorted((request.start or 0, (request.start or 0) + request.sent) for request in log)


def adjoin(served):
    return all(stop == start for (_, stop), (start, _) in pairwise(served))


@pytest.mark.parametrize("reader", SMALL_READERS.values(), ids=SMALL_READERS)
def test_the_data_are_those_that_were_written(wrapped, reader, dataset):
    xr.testing.assert_identical(load(reader, wrapped), dataset)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_file_smaller_than_one_request_is_one_get_and_no_head(own_store, object_server, content, reader):
    load(reader, own_store)
    assert spans(object_server.log()) == [(0, len(content))]


def test_eager_fetches_each_byte_once_in_parts_side_by_side(own_store, object_server, content):
    object_server.configure(latency=0.1, gather=7)
    load(lambda store, path: EagerStoreReader(store, path, request_size=len(content) // 8 + 1), own_store)
    served = spans(object_server.log())
    assert len(served) == 8
    assert adjoin(served)
    assert sum(stop - start for start, stop in served) == len(content)
    assert object_server.most_in_flight() == 7  # all but the first, whose headers tell how many there are


@pytest.mark.parametrize("reader", [ParallelStoreReader, BlockStoreReader], ids=["parallel", "block"])
def test_cached_chunks_are_fetched_again_only_two_at_a_time_to_save_a_request(
    own_store, object_server, content, reader
):
    load(lambda store, path: reader(store, path, PIECE, 10_000), own_store)
    served = bytearray(len(content))
    for request in object_server.log():
        start, stop = request.start, request.start + request.sent
        again = served[start:stop].split(b"\0")
        assert max(map(len, again)) <= 2 * PIECE
        served[start:stop] = b"\1" * (stop - start)


def test_a_buffered_reader_streams_a_file_without_fetching_a_byte_twice(own_store, object_server, content):
    with BufferedStoreReader(own_store, PATH, PIECE) as file:
        assert b"".join(iter(lambda: file.read(1_000), b"")) == content
    served = spans(object_server.log())
    ends = [PIECE * end for end in (0, 1, 2, 3, 7, 23)]
    assert served == [*pairwise([*ends, len(content)])]


@pytest.mark.parametrize("reader", SMALL_READERS.values(), ids=SMALL_READERS)
@pytest.mark.parametrize("wrapping", ["caching", "caching-splitting"])
def test_a_second_open_through_the_cache_sends_nothing(own_store, object_server, content, reader, wrapping):
    store = WRAPPINGS[wrapping](own_store)
    first = load(reader, store)
    served = spans(object_server.log())
    assert len(served) == (1 if wrapping == "caching" else -(-len(content) // (8 * PIECE)))
    assert adjoin(served)
    assert sum(stop - start for start, stop in served) == len(content)
    object_server.clear()
    xr.testing.assert_identical(load(reader, store), first)
    assert object_server.log() == []


def test_readers_of_all_kinds_share_one_cached_object(own_store, object_server, content):
    store = CachingReadableStore(own_store)
    for reader in ALL_READERS.values():
        load(reader, store)
    assert [request.method for request in object_server.log()] == ["GET"]
    assert store.cached_paths == [PATH]
    assert store.cache_size == len(content)


@pytest.mark.parametrize("reader", ALL_READERS.values(), ids=ALL_READERS)
def test_a_trace_tells_what_the_server_saw(own_store, object_server, reader):
    trace = RequestTrace()
    load(reader, TracingReadableStore(own_store, trace))
    log = object_server.log()
    traced = sorted((record.path, record.start, record.start + record.length) for record in trace.requests)
    assert traced == [(PATH, start, stop) for start, stop in spans(log)]
    assert {record.method for record in trace.requests} == {"get"}
    assert trace.total_requests == len(log)
    assert trace.total_bytes == sum(request.sent for request in log)


def test_a_trace_between_cache_and_store_sees_only_misses(moto_store):
    trace = RequestTrace()
    store = CachingReadableStore(TracingReadableStore(moto_store, trace))
    for reader in ALL_READERS.values():
        load(reader, store)
    assert [(record.method, record.start) for record in trace.requests] == [("get", 0)]
