"""Results: obspec's sync and async result at once, read any number of times."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING, Any, cast

import pytest
from obstore.store import LocalStore

from obspec_utils._io.buffers import BufferList
from obspec_utils._io.get_result import InMemoryBody, Result
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

if TYPE_CHECKING:
    from pathlib import Path

    from obspec import GetResult, ObjectMeta

CONTENT = bytes(range(250)) * 4


@pytest.fixture(params=["split", "cached", "cached range", "held"])
def result(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Result, bytes]:
    (tmp_path / "object").write_bytes(CONTENT)
    store = LocalStore(tmp_path)
    if request.param == "split":
        return SplittingReadableStore(store, request_size=100, max_concurrent_requests=3).get("object"), CONTENT
    if request.param == "cached":
        return cast("Result", CachingReadableStore(store).get("object")), CONTENT
    if request.param == "cached range":
        found = CachingReadableStore(store).get("object", options={"range": (100, 777)})
        return cast("Result", found), CONTENT[100:777]
    parts = BufferList([CONTENT[:333], CONTENT[333:334], CONTENT[334:]])
    return Result(cast("ObjectMeta", {}), (300, 900), {}, InMemoryBody(parts)), CONTENT[300:900]


def test_it_is_read_whole_and_in_chunks_as_often_as_one_likes(result: tuple[Result, bytes]) -> None:
    got, content = result
    protocol: GetResult = got
    assert protocol.range == got.range
    for _ in range(2):
        assert bytes(got.buffer()) == bytes(got.bytes()) == content
        assert b"".join(got) == b"".join(got.stream()) == content


async def test_the_async_twins_return_the_same(result: tuple[Result, bytes]) -> None:
    got, content = result
    for _ in range(2):
        assert bytes(await got.buffer_async()) == bytes(await got.bytes_async()) == content
        assert b"".join([chunk async for chunk in got]) == content
        assert b"".join([chunk async for chunk in got.stream()]) == content
    assert b"".join(got) == content


async def test_iteration_may_be_the_first_thing_asked_async(result: tuple[Result, bytes]) -> None:
    got, content = result
    assert b"".join([chunk async for chunk in got]) == content


@pytest.mark.parametrize("size", [1, 99, 100, 101, 250, 5000])
async def test_streamed_chunks_are_as_large_as_asked_but_for_the_last(result: tuple[Result, bytes], size: int) -> None:
    got, content = result
    chunks = list(got.stream(min_chunk_size=size))
    chunks_async = [chunk async for chunk in got.stream(size)]
    assert b"".join(chunks) == b"".join(chunks_async) == content
    assert all(len(chunk) >= size for chunk in chunks[:-1])
    assert [len(chunk) for chunk in chunks] == [len(chunk) for chunk in chunks_async]


async def test_a_stream_is_an_iterator_itself(result: tuple[Result, bytes]) -> None:
    got, content = result
    stream = got.stream(1)
    first = next(stream)
    assert bytes(first) + b"".join(stream) == content
    stream = got.stream(1)
    first = await anext(stream)
    assert bytes(first) + b"".join([chunk async for chunk in stream]) == content


def test_it_is_a_value(result: tuple[Result, bytes]) -> None:
    got, _ = result
    with pytest.raises(FrozenInstanceError):
        cast("Any", got).range = (0, 1)


def test_threads_may_consume_one_result(tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(CONTENT)
    store = SplittingReadableStore(LocalStore(tmp_path), request_size=10, max_concurrent_requests=4)
    for _ in range(20):
        got = store.get("object")
        barrier = threading.Barrier(4)

        def consume(number: int, got: Result = got, barrier: threading.Barrier = barrier) -> bytes:
            barrier.wait(10)
            return b"".join(got) if number % 2 else bytes(got.buffer())

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(consume, range(4))) == [CONTENT] * 4


async def test_tasks_may_consume_one_result(tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(CONTENT)
    store = SplittingReadableStore(LocalStore(tmp_path), request_size=10, max_concurrent_requests=4)
    got = await store.get_async("object")
    buffers = await asyncio.gather(*(got.buffer_async() for _ in range(4)))
    assert [bytes(buffer) for buffer in buffers] == [CONTENT] * 4
