"""Parts are requests of their own: as many in flight as allowed, counted by the server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from obspec_utils.readers import BufferedStoreReader, EagerStoreReader, ParallelStoreReader
from obspec_utils.wrappers import CachingReadableStore, RequestTrace, SplittingReadableStore, TracingReadableStore

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from .conftest import Remote

MIB = 1 << 20
SIZE = 36 * MIB


@pytest.fixture
def content(remote: Remote) -> bytes:
    content = remote.put("object", SIZE)
    # Long enough that all requests of a batch are there before the first of them is answered.
    remote.server.configure(latency=0.1, gather=17)
    return content


def run(read: Coroutine[object, object, bytes]) -> bytes:
    """Run as asyncio.run does, which formats a result it returns: seconds for one of this size."""
    results: list[bytes] = []

    async def keep() -> None:
        results.append(await read)

    asyncio.run(keep())
    return results[0]


def eager(remote: Remote) -> bytes:
    return EagerStoreReader(remote.store, "object", request_size=2 * MIB).read()


def splitting_buffer(remote: Remote) -> bytes:
    return bytes(SplittingReadableStore(remote.store, request_size=2 * MIB).get("object").buffer())


def splitting_iterated(remote: Remote) -> bytes:
    return b"".join(SplittingReadableStore(remote.store, request_size=2 * MIB).get("object"))


def splitting_async(remote: Remote) -> bytes:
    async def read() -> bytes:
        result = await SplittingReadableStore(remote.store, request_size=2 * MIB).get_async("object")
        return bytes(await result.buffer_async())

    return run(read())


def splitting_async_iterated(remote: Remote) -> bytes:
    async def read() -> bytes:
        result = await SplittingReadableStore(remote.store, request_size=2 * MIB).get_async("object")
        return b"".join([chunk async for chunk in result])

    return run(read())


def caching_over_splitting(remote: Remote) -> bytes:
    store = CachingReadableStore(SplittingReadableStore(remote.store, request_size=2 * MIB))
    return bytes(store.get_range("object", start=0, end=SIZE))


def eager_over_tracing(remote: Remote) -> bytes:
    store = TracingReadableStore(remote.store, RequestTrace())
    return EagerStoreReader(store, "object", request_size=2 * MIB).read()


WAYS = [
    eager,
    splitting_buffer,
    splitting_iterated,
    splitting_async,
    splitting_async_iterated,
    caching_over_splitting,
    eager_over_tracing,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_whole_object_is_18_requests_17_at_once(
    remote: Remote, content: bytes, way: Callable[[Remote], bytes]
) -> None:
    assert way(remote) == content
    log = remote.log()
    assert [request.method for request in log] == ["GET"] * 18
    # The first part's headers tell the size; its body is sent while the other parts are on their way, so it may be
    # through already when they arrive.
    assert 17 <= remote.server.most_in_flight("bucket/object") <= 18
    assert sum(request.sent for request in log) == SIZE


@pytest.mark.parametrize("most", [1, 2, 5, 10])
@pytest.mark.parametrize("kind", ["eager", "splitting", "splitting async"])
def test_never_more_than_max_concurrent_requests(remote: Remote, kind: str, most: int) -> None:
    content = remote.put("object", 2 * MIB)
    remote.server.configure(latency=0.02, gather=most)
    store = SplittingReadableStore(remote.store, request_size=100_000, max_concurrent_requests=most)
    if kind == "eager":
        args = {"request_size": 100_000, "max_concurrent_requests": most}
        assert EagerStoreReader(remote.store, "object", **args).read() == content
    elif kind == "splitting":
        assert store.get("object").buffer() == content
    else:

        async def read() -> bytes:
            return bytes(await (await store.get_async("object")).buffer_async())

        assert asyncio.run(read()) == content
    assert remote.server.most_in_flight("bucket/object") == most
    assert sum(request.sent for request in remote.log()) == 2 * MIB


def test_a_long_read_of_the_other_readers_is_parallel_too(remote: Remote) -> None:
    size = 60 * MIB
    content = remote.put("object", size)
    remote.server.configure(latency=0.1, gather=18)
    for reader in (ParallelStoreReader(remote.store, "object"), BufferedStoreReader(remote.store, "object")):
        remote.server.clear()
        assert reader.read() == content
        assert remote.ranges()[0] == (0, 12 * MIB)
        assert len(remote.log()) == 19
        assert remote.server.most_in_flight("bucket/object") == 18
        assert sum(request.sent for request in remote.log()) == size


def test_the_first_chunk_of_an_iterated_result_does_not_wait_for_ten_gigabytes(remote: Remote) -> None:
    remote.put("object", 10 * MIB)
    result = SplittingReadableStore(remote.store, request_size=100_000, max_concurrent_requests=4).get("object")
    assert len(remote.log()) == 1
    next(iter(result))
    assert len(remote.log()) == 4
