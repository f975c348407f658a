"""A cache shared by many: one GET for all who ask meanwhile, others side by side, never a wrong byte."""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from obspec_utils.wrappers import CachingReadableStore, RequestTrace, SplittingReadableStore, TracingReadableStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Remote

COUNT = 16
SIZE = 100_000


def ask_at_once(ask: Callable[[int], bytes]) -> list[bytes]:
    """Call from as many threads at the same time."""
    barrier = threading.Barrier(COUNT)

    def call(number: int) -> bytes:
        barrier.wait(10)
        return ask(number)

    with ThreadPoolExecutor(COUNT) as pool:
        return list(pool.map(call, range(COUNT)))


def ask_variously(store: CachingReadableStore, number: int) -> bytes:
    if number % 4 == 0:
        return bytes(store.get("object").buffer())
    if number % 4 == 1:
        return bytes(store.get_range("object", start=0, end=SIZE))
    if number % 4 == 2:
        return b"".join(store.get_ranges("object", starts=[0, 1000], ends=[1000, SIZE]))
    return bytes(store.get("object", options={"range": {"offset": 0}}).buffer())


async def ask_variously_async(store: CachingReadableStore, number: int) -> bytes:
    if number % 4 == 0:
        return bytes(await (await store.get_async("object")).buffer_async())
    if number % 4 == 1:
        return bytes(await store.get_range_async("object", start=0, end=SIZE))
    if number % 4 == 2:
        return b"".join(await store.get_ranges_async("object", starts=[0, 1000], ends=[1000, SIZE]))
    return bytes(await (await store.get_async("object", options={"range": (0, SIZE)})).buffer_async())


def test_threads_that_ask_for_a_cold_object_share_one_get(remote: Remote) -> None:
    content = remote.put("object", SIZE)
    remote.server.configure(latency=0.2)
    store = CachingReadableStore(remote.store)
    assert ask_at_once(lambda number: ask_variously(store, number)) == [content] * COUNT
    assert [(request.method, request.range_header) for request in remote.log()] == [("GET", None)]


async def test_tasks_that_ask_for_a_cold_object_share_one_get(remote: Remote) -> None:
    content = remote.put("object", SIZE)
    remote.server.configure(latency=0.2)
    store = CachingReadableStore(remote.store)
    answers = await asyncio.gather(*(ask_variously_async(store, number) for number in range(COUNT)))
    assert answers == [content] * COUNT
    assert len(remote.log()) == 1


def test_threads_and_two_loops_take_three_gets_at_most(remote: Remote) -> None:
    content = remote.put("object", SIZE)
    remote.server.configure(latency=0.2)
    store = CachingReadableStore(remote.store)

    async def tasks() -> list[bytes]:
        return await asyncio.gather(*(ask_variously_async(store, number) for number in range(4)))

    def ask(number: int) -> bytes:
        return asyncio.run(tasks())[number] if number < 2 else ask_variously(store, number)

    assert ask_at_once(ask) == [content] * COUNT
    assert 1 <= len(remote.log()) <= 3


def test_different_cold_objects_are_fetched_side_by_side(remote: Remote) -> None:
    contents = [remote.put(f"object{number}", SIZE, seed=number) for number in range(COUNT)]
    remote.server.configure(latency=0.1, gather=COUNT)
    store = CachingReadableStore(remote.store)
    answers = ask_at_once(lambda number: bytes(store.get(f"object{number}").buffer()))
    assert answers == contents
    assert remote.server.most_in_flight() == COUNT
    assert len(remote.log()) == COUNT


def test_a_failed_get_fails_all_who_waited_and_the_next_one_asks_again(remote: Remote) -> None:
    content = remote.put("object", SIZE)
    remote.server.configure(latency=0.2)
    remote.server.add_fault("status", status=403, times=1)
    store = CachingReadableStore(remote.store)

    def ask(_: int) -> bytes:
        with pytest.raises(Exception, match=r"(?i)403|forbidden|denied|permission"):
            store.get("object")
        return b""

    assert ask_at_once(ask) == [b""] * COUNT
    assert len(remote.log()) == 1
    assert (store.cache_size, store.cached_paths) == (0, [])
    assert store.get("object").buffer() == content


@pytest.mark.parametrize("split", [False, True])
def test_a_cache_smaller_than_the_data_serves_right_bytes_to_all(remote: Remote, split: bool) -> None:  # noqa: FBT001
    contents = {f"object{number}": remote.put(f"object{number}", 20_000, seed=number) for number in range(10)}
    below = SplittingReadableStore(remote.store, request_size=7_000) if split else remote.store
    store = CachingReadableStore(below, max_size=65_000)
    sizes: list[int] = []

    def use(seed: int) -> int:
        rng = random.Random(seed)
        right = 0
        for _ in range(100):
            path = f"object{rng.randrange(10)}"
            start = rng.randrange(20_000)
            right += store.get_range(path, start=start, length=500) == contents[path][start : start + 500]
            sizes.append(store.cache_size)
        return right

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(8))) == [100] * 8
    assert max(sizes) <= 65_000
    assert store.cache_size == 60_000


def test_an_object_larger_than_the_cache_is_served_and_remembered(remote: Remote) -> None:
    content = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store, max_size=SIZE - 1)
    assert store.get("object").buffer() == content
    assert (store.cache_size, store.cached_paths) == (0, [])
    assert len(remote.log()) == 1
    remote.server.clear()
    assert store.get_range("object", start=5, length=10) == content[5:15]
    assert remote.ranges() == [(5, 15)]


def test_callbacks_of_a_tracing_store_below_run_when_nothing_is_held(remote: Remote) -> None:
    content = remote.put("object", SIZE)
    seen: list[tuple[str, int]] = []
    store: CachingReadableStore

    def on_request(record: object) -> None:
        # Asks the cache from inside the callback: would deadlock if a flight or a lock were held.
        seen.append((threading.current_thread().name, len(bytes(store.get("object").buffer()))))

    below = TracingReadableStore(remote.store, RequestTrace(), on_request=on_request)
    store = CachingReadableStore(SplittingReadableStore(below, request_size=10_000))
    assert store.get("object").buffer() == content
    assert seen == [(threading.current_thread().name, SIZE)] * 10


@pytest.mark.parametrize("remote", ["s3"], indirect=True)
def test_a_put_during_a_fetch_keeps_the_old_bytes_from_being_kept(remote: Remote) -> None:
    old = remote.put("object", SIZE)
    store = CachingReadableStore(remote.store)
    remote.server.add_fault("stall", method="GET", seconds=0.5, after=10, times=1)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(lambda: bytes(store.get("object").buffer()))
        while not remote.log():
            pass
        store.put("object", b"new")
        assert reading.result(10) == old
    assert store.get("object").buffer() == b"new"
