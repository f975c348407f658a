"""Parts of large objects in a cache: which requests are made for them, counted at the server."""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

from .conftest import MIB

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._ways import Async, Sync
    from .conftest import Remote

KIB = 1024
BLOCK = 64 * KIB
SIZE = 20 * BLOCK + 1000
THREADS = 8


def blocks(*numbers: int) -> list[tuple[int, int]]:
    return [(number * BLOCK, (number + 1) * BLOCK) for number in numbers]


def test_one_byte_moves_one_block(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    at = 7 * BLOCK + 5
    assert call.get_range(store, "object", at, at + 1) == content[at : at + 1]
    assert remote.ranges() == blocks(7)
    assert store.cache_size == BLOCK
    assert store.cached_paths == ["object"]
    assert call.get_range(store, "object", 7 * BLOCK, 8 * BLOCK) == content[7 * BLOCK : 8 * BLOCK]
    assert store.head("object")["size"] == SIZE
    assert len(remote.log()) == 1


def test_only_missing_runs_are_fetched_neighbours_as_one(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    for number in (3, 8, 9):
        call.get_range(store, "object", number * BLOCK, number * BLOCK + 1)
    remote.server.clear()
    assert call.get_range(store, "object", BLOCK + 7, 12 * BLOCK + 7) == content[BLOCK + 7 : 12 * BLOCK + 7]
    assert remote.ranges() == [(BLOCK, 3 * BLOCK), (4 * BLOCK, 8 * BLOCK), (10 * BLOCK, 13 * BLOCK)]
    assert call.get(store, "object") == content
    assert remote.ranges() == sorted(
        [(BLOCK, 3 * BLOCK), (4 * BLOCK, 8 * BLOCK), (10 * BLOCK, 13 * BLOCK), (0, BLOCK), (13 * BLOCK, SIZE)]
    )


def test_runs_are_fetched_side_by_side(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    for number in range(1, 18, 2):
        call.get_range(store, "object", number * BLOCK, number * BLOCK + 1)
    remote.server.clear()
    remote.server.configure(latency=0.1, gather=10)
    assert call.get_range(store, "object", 0, 19 * BLOCK) == content[: 19 * BLOCK]
    assert remote.ranges() == blocks(*range(0, 19, 2))
    assert remote.server.most_in_flight() == 10


def test_long_runs_are_cut_between_blocks(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", 8 * MIB + 5)
    below = SplittingReadableStore(remote.store, request_size=MIB + 100, max_concurrent_requests=4)
    store = CachingReadableStore(below, block_size=BLOCK)
    remote.server.configure(latency=0.1, gather=4)
    assert call.get(store, "object") == content
    asked = remote.ranges()
    assert [start for start, _ in asked[1:]] == [stop for _, stop in asked[:-1]]
    assert (asked[0][0], asked[-1][1]) == (0, len(content))
    assert all(start % BLOCK == 0 for start, _ in asked)
    assert len(asked) == 8
    assert remote.server.most_in_flight() == 4


def test_blocks_larger_than_a_request_are_fetched_in_parts(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", 4 * MIB)
    below = SplittingReadableStore(remote.store, request_size=MIB // 2, max_concurrent_requests=18)
    store = CachingReadableStore(below, block_size=2 * MIB)
    remote.server.configure(latency=0.1, gather=1)
    assert call.get_range(store, "object", 3 * MIB, 3 * MIB + 1) == content[3 * MIB : 3 * MIB + 1]
    assert len(remote.log()) <= 4
    assert remote.ranges()[0][0] == 2 * MIB
    assert store.cache_size == 2 * MIB


def test_several_ranges_are_one_fetch(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    starts, ends = [5 * BLOCK + 1, 100, 5 * BLOCK], [6 * BLOCK + 1, 200, 5 * BLOCK + 10]
    expected = [content[start:end] for start, end in zip(starts, ends, strict=True)]
    assert call.get_ranges(store, "object", starts, ends) == expected
    assert remote.ranges() == [(0, BLOCK), (5 * BLOCK, 7 * BLOCK)]
    assert call.get_ranges(store, "object", starts, ends) == expected
    assert len(remote.log()) == 2


@pytest.mark.parametrize("length", [1, 1000, 1001, BLOCK, 3 * BLOCK, SIZE, 2 * SIZE])
def test_the_last_bytes_are_one_request(remote: Remote, call: Sync | Async, length: int) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    assert call.get(store, "object", range={"suffix": length}) == content[-length:]
    assert len(remote.log()) == 1
    last = SIZE // BLOCK
    first = max(0, SIZE - length) // BLOCK
    assert call.get_range(store, "object", first * BLOCK, SIZE) == content[first * BLOCK :]
    assert len(remote.log()) == 1
    assert store.cache_size == SIZE - first * BLOCK
    assert store.cache_info().misses == last - first + 1


def test_one_budget_over_all_objects(remote: Remote, call: Sync | Async) -> None:
    contents = {path: remote.put(path, SIZE, seed) for seed, path in enumerate("abc")}
    store = CachingReadableStore(remote.store, 4 * BLOCK, block_size=BLOCK)
    rng = random.Random(1)
    for _ in range(60):
        path, start = rng.choice("abc"), rng.randrange(SIZE)
        stop = min(SIZE, start + rng.randrange(1, 2 * BLOCK))
        assert call.get_range(store, path, start, stop) == contents[path][start:stop]
        assert store.cache_size <= 4 * BLOCK
    assert store.cache_info().evictions > 20


def test_what_is_larger_than_the_cache_passes_through(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, 4 * BLOCK, block_size=BLOCK)
    call.get_range(store, "object", 0, 1)
    remote.server.clear()
    assert call.get(store, "object") == content
    assert call.get_range(store, "object", 5, 5 * BLOCK) == content[5 : 5 * BLOCK]
    assert [(request.start, request.stop) for request in remote.log()] == [(None, None), (5, 5 * BLOCK)]
    assert call.get_range(store, "object", 0, 10) == content[:10]  # not flushed
    assert len(remote.log()) == 2


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1])
def test_objects_of_odd_sizes(remote: Remote, call: Sync | Async, size: int) -> None:
    content = remote.put("object", size)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    assert call.get(store, "object") == content
    asked = len(remote.log())
    assert call.get(store, "object") == content
    assert call.get(store, "object", range={"offset": 0}) == content if size else True
    assert len(remote.log()) == asked
    assert asked <= 2


def test_auto_keeps_small_objects_whole(remote: Remote, call: Sync | Async) -> None:
    small, large = remote.put("small", 3 * MIB + 5), remote.put("large", 20 * MIB, seed=2)
    remote.server.clear()
    store = CachingReadableStore(remote.store, block_size="auto")
    assert call.get_range(store, "small", 2 * MIB, 2 * MIB + 5) == small[2 * MIB : 2 * MIB + 5]
    assert remote.ranges() == [(0, 2 * MIB), (2 * MIB, 3 * MIB), (3 * MIB, 3 * MIB + 5)]
    assert call.get(store, "small") == small
    assert store.cache_size == len(small)
    remote.server.clear()
    assert call.get_range(store, "large", 9 * MIB, 9 * MIB + 5) == large[9 * MIB : 9 * MIB + 5]
    assert remote.ranges() == [(9 * MIB, 10 * MIB)]


def _at_once(ask: Callable[[int], bytes]) -> list[bytes]:
    barrier = threading.Barrier(THREADS)

    def run(number: int) -> bytes:
        barrier.wait(10)
        return ask(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def test_threads_fetch_each_block_once(remote: Remote) -> None:
    content = remote.put("object", SIZE)
    remote.server.configure(latency=0.1, gather=1)
    store = CachingReadableStore(remote.store, block_size=BLOCK, read_ahead=False)
    spans = [(number * BLOCK, (number + 4) * BLOCK) for number in range(THREADS)]
    answers = _at_once(lambda number: bytes(store.get_range("object", start=spans[number][0], end=spans[number][1])))
    assert answers == [content[start:stop] for start, stop in spans]
    assert sum(stop - start for start, stop in remote.ranges()) == 11 * BLOCK
    info = store.cache_info()
    assert (info.misses, info.bytes_fetched) == (11, 11 * BLOCK)
    assert info.hits + info.joined + info.misses == 4 * THREADS


async def test_tasks_fetch_each_block_once(remote: Remote) -> None:
    content = remote.put("object", SIZE)
    remote.server.configure(latency=0.1, gather=1)
    store = CachingReadableStore(remote.store, block_size=BLOCK, read_ahead=False)
    spans = [(number * BLOCK, (number + 4) * BLOCK) for number in range(THREADS)]
    answers = await asyncio.gather(*(store.get_range_async("object", start=start, end=stop) for start, stop in spans))
    assert [bytes(answer) for answer in answers] == [content[start:stop] for start, stop in spans]
    assert sum(stop - start for start, stop in remote.ranges()) == 11 * BLOCK


def test_threads_that_ask_for_the_same_block_share_one_request(remote: Remote) -> None:
    content = remote.put("object", SIZE)
    remote.server.configure(latency=0.1, gather=1)
    for _ in range(5):
        remote.server.clear()
        store = CachingReadableStore(remote.store, block_size=BLOCK)
        assert _at_once(lambda _: bytes(store.get_range("object", start=5, end=50))) == [content[5:50]] * THREADS  # noqa: B023
        assert remote.ranges() == blocks(0)


def test_a_large_object_streams_through_within_windows(remote: Remote) -> None:
    content = remote.put("object", 6 * MIB)
    store = CachingReadableStore(remote.store, 7 * MIB, block_size=BLOCK)
    result = store.get("object")
    assert len(remote.log()) == 1
    chunks = iter(result)
    first = bytes(next(chunks))
    assert max(stop for _, stop in remote.ranges()) <= 3.5 * MIB
    assert first + b"".join(map(bytes, chunks)) == content
    asked = len(remote.log())
    assert sum(stop - start for start, stop in remote.ranges()) == len(content)
    assert bytes(result.buffer()) == content
    assert b"".join(map(bytes, result)) == content
    assert bytes(store.get("object").buffer()) == content
    assert len(remote.log()) == asked
    assert store.cache_size == len(content)
