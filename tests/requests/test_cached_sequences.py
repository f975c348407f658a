"""The block cache reads ahead along ranges that come in sequence, and nothing else: counted at the server."""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import pytest

from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

from ._sequences import BLOCK, SIZE, STEP, blocks, read
from .conftest import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._ways import Async, Sync
    from .conftest import Remote

WORKERS = 10


@pytest.mark.parametrize("step", [STEP, BLOCK, BLOCK // 2 + 7])
def test_ranges_in_sequence_are_fetched_in_steps_that_double(remote: Remote, call: Sync | Async, step: int) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    read(call, store, content, range(0, SIZE, step), step)
    assert remote.ranges() == blocks(0, 1, 2, 4, 8, 16, 32, 41)
    assert sum(request.sent for request in remote.log()) == SIZE
    info = store.cache_info()
    assert (info.misses, info.bytes_fetched, info.evictions) == (41, SIZE, 0)


def test_ranges_of_several_blocks_are_a_sequence_too(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    read(call, store, content, range(0, SIZE, 3 * BLOCK), 3 * BLOCK)
    assert remote.ranges() == blocks(0, 3, 6, 12, 24, 32, 41)  # the last step in two requests


def test_all_ways_to_read_ranges_continue_a_sequence(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    read(call, store, content, [5 * BLOCK])
    assert call.get(store, "object", range=(6 * BLOCK, 6 * BLOCK + 5)) == content[6 * BLOCK : 6 * BLOCK + 5]
    starts = [7 * BLOCK, 7 * BLOCK + 100]
    ends = [start + 10 for start in starts]
    assert call.get_ranges(store, "object", starts, ends) == [content[start : start + 10] for start in starts]
    assert remote.ranges() == blocks(5, 6, 7, 9)


def test_ranges_apart_continue_no_sequence(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    read(call, store, content, range(0, 8 * BLOCK, BLOCK))
    remote.server.clear()
    starts = [8 * BLOCK, 10 * BLOCK]
    ends = [start + 10 for start in starts]
    assert call.get_ranges(store, "object", starts, ends) == [content[start : start + 10] for start in starts]
    assert remote.ranges() == [*blocks(8, 9), *blocks(10, 11)]


def test_long_steps_are_requested_in_parallel(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", 20 * MIB)
    store = CachingReadableStore(remote.store, block_size=MIB)
    remote.server.configure(latency=0.05, gather=1)
    read(call, store, content, range(0, 16 * MIB, MIB))
    assert remote.ranges() == [(start, start + MIB) for start in range(0, 16 * MIB, MIB)]
    assert remote.server.most_in_flight() == 8


def test_requests_are_as_long_as_the_read(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", 20 * MIB)
    store = CachingReadableStore(remote.store, block_size=MIB)
    read(call, store, content, range(0, 12 * MIB, 3 * MIB), 3 * MIB)
    assert remote.ranges() == [(start, start + 3 * MIB) for start in range(0, 12 * MIB, 3 * MIB)]


def test_a_step_is_one_batch_of_requests(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", 16 * MIB)
    store = CachingReadableStore(SplittingReadableStore(remote.store, max_concurrent_requests=3), block_size=MIB)
    read(call, store, content, range(0, 16 * MIB, MIB))
    bounds = [0, 1, 2, 3, 4, 6, 8, 10, 13, 16]
    assert remote.ranges() == [(start * MIB, stop * MIB) for start, stop in pairwise(bounds)]


def test_the_limits_of_a_splitting_store_inside_apply(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    below = SplittingReadableStore(remote.store, request_size=2 * BLOCK, max_concurrent_requests=3)
    store = CachingReadableStore(below, block_size=BLOCK)
    remote.server.configure(latency=0.05, gather=1)
    read(call, store, content, range(0, SIZE, BLOCK))
    assert max(stop - start for start, stop in remote.ranges()) <= 3 * BLOCK
    assert sum(request.sent for request in remote.log()) == SIZE
    assert remote.server.most_in_flight() == 3


async def test_tasks_that_read_in_sequence_share_each_step(remote: Remote) -> None:
    content = remote.put("object", SIZE)
    remote.server.configure(latency=0.01)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    offsets = iter(range(0, SIZE, STEP))

    async def work() -> None:
        for start in offsets:
            stop = min(start + STEP, SIZE)
            assert bytes(await store.get_range_async("object", start=start, end=stop)) == content[start:stop]

    await asyncio.gather(*(work() for _ in range(WORKERS)))
    assert sum(request.sent for request in remote.log()) == SIZE
    assert remote.ranges() == blocks(0, 1, 2, 4, 8, 16, 32, 41)


async def test_parallel_reads_of_long_ranges_fetch_nothing_ahead_of_the_last(remote: Remote) -> None:
    content = remote.put("object", SIZE)
    remote.server.configure(latency=0.1, gather=1)
    store = CachingReadableStore(remote.store, 64 * BLOCK, block_size=BLOCK)
    ranges = [(start * BLOCK, (start + 4) * BLOCK) for start in range(0, 32, 4)]
    found = await asyncio.gather(*(store.get_range_async("object", start=start, end=end) for start, end in ranges))
    assert b"".join(map(bytes, found)) == content[: 32 * BLOCK]
    assert remote.ranges() == blocks(*range(0, 33, 4))


def test_threads_that_read_in_sequence_share_each_step(remote: Remote) -> None:
    content = remote.put("object", SIZE)
    remote.server.configure(latency=0.01)
    store = CachingReadableStore(remote.store, block_size=BLOCK)

    def fetch(start: int) -> bytes:
        return bytes(store.get_range("object", start=start, end=min(start + STEP, SIZE)))

    with ThreadPoolExecutor(WORKERS) as pool:
        assert b"".join(pool.map(fetch, range(0, SIZE, STEP))) == content
    assert sum(request.sent for request in remote.log()) == SIZE
    assert len(remote.log()) <= 12  # 7 if they keep their order


def test_several_sequences_in_turns(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", 64 * BLOCK)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    halves = [range(0, 32 * BLOCK, BLOCK), range(32 * BLOCK, 64 * BLOCK, BLOCK)]
    read(call, store, content, chain.from_iterable(zip(*halves, strict=True)))
    first, second = (0, 1, 2, 4, 8, 16), (32, 33, 34, 36, 40, 48)
    assert remote.ranges() == blocks(*first, *second, 64, end=64 * BLOCK)


@pytest.mark.parametrize("count", [4, 8, 12, 24])
def test_steps_are_shorter_if_many_sequences_share_the_cache(remote: Remote, count: int) -> None:
    content = remote.put("object", 40 * BLOCK)
    for number in range(count):
        remote.server.put(f"bucket/{number}", content)
    store = CachingReadableStore(remote.store, 64 * BLOCK, block_size=BLOCK)
    for start in range(0, len(content), BLOCK):
        for number in range(count):
            assert bytes(store.get_range(str(number), start=start, length=5)) == content[start : start + 5]
    assert sum(request.sent for request in remote.log()) == count * len(content)
    assert len(remote.log()) <= count * 30


@pytest.mark.parametrize(
    "offsets",
    [
        range(0, SIZE, 2 * BLOCK),
        range(0, SIZE, 5 * BLOCK),
        range(0, SIZE, BLOCK + BLOCK // 2),
        range(SIZE - 1000, -1, -BLOCK),
        range(SIZE - 1000, -1, -2 * BLOCK),
        [number * BLOCK for number in (7, 8, 7, 8, 3, 7, 8, 20, 3)],
    ],
    ids=["strided", "far", "half", "backwards", "strided backwards", "repeated"],
)
def test_other_reads_fetch_only_the_blocks_they_touch(
    remote: Remote, call: Sync | Async, offsets: Iterable[int]
) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    read(call, store, content, offsets, 1000)
    touched = {start // BLOCK for start in offsets} | {(start + 999) // BLOCK for start in offsets}
    assert sum(stop - start for start, stop in remote.ranges()) == sum(
        min(BLOCK, SIZE - number * BLOCK) for number in touched
    )


def test_random_reads_fetch_hardly_more_than_the_blocks_they_touch(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK // 16)
    rng = random.Random(1)
    offsets = [rng.randrange(SIZE) for _ in range(300)]
    read(call, store, content, offsets, 1)
    touched = {start * 16 // BLOCK for start in offsets}
    assert len(touched) > 200
    assert sum(request.sent for request in remote.log()) <= 1.01 * len(touched) * BLOCK // 16


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9, 17])
def test_fewer_bytes_are_read_ahead_in_vain_than_were_read(remote: Remote, call: Sync | Async, count: int) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    read(call, store, content, range(0, count * BLOCK, BLOCK))
    fetched = sum(request.sent for request in remote.log())
    assert count * BLOCK <= fetched < 2 * count * BLOCK


@pytest.mark.parametrize(
    ("max_size", "bounds"), [(32, [0, 1, 2, *range(4, 41, 4), 41]), (15, range(42)), (8, range(42))]
)
def test_a_step_takes_an_eighth_of_the_cache(
    remote: Remote, call: Sync | Async, max_size: int, bounds: Iterable[int]
) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, max_size * BLOCK, block_size=BLOCK)
    read(call, store, content, range(0, SIZE, STEP))
    assert remote.ranges() == blocks(*bounds)
    assert store.cache_size <= max_size * BLOCK


def test_a_second_pass_over_an_object_larger_than_the_cache_reads_ahead_again(
    remote: Remote, call: Sync | Async
) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, 32 * BLOCK, block_size=BLOCK)
    read(call, store, content, range(0, SIZE, STEP))
    remote.server.clear()
    read(call, store, content, range(0, SIZE, STEP))
    assert remote.ranges() == blocks(0, 1, 2, *range(4, 41, 4), 41)


@pytest.mark.parametrize("size", [2 * BLOCK + 1, 4 * BLOCK - 1, 4 * BLOCK, 4 * BLOCK + 1])
def test_nothing_past_the_end_is_requested(remote: Remote, call: Sync | Async, size: int) -> None:
    content = remote.put("object", size)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    read(call, store, content, range(0, size, STEP))
    assert remote.ranges() == blocks(0, 1, 2, *range(4, -(-size // BLOCK), 4), 99, end=size)


def test_blocks_that_are_cached_are_not_fetched_again(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, block_size=BLOCK)
    read(call, store, content, [5 * BLOCK, 7 * BLOCK])
    remote.server.clear()
    read(call, store, content, range(0, 8 * BLOCK, BLOCK))
    assert remote.ranges() == [(0, BLOCK), (BLOCK, 2 * BLOCK), *blocks(2, 4), *blocks(4, 5), *blocks(6, 7)]
