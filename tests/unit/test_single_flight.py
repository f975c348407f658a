"""Single flight: one fetch for all who ask meanwhile, whoever fails, is cancelled or dies."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.unit._flights import WAIT, Board, Interrupt, joined, until, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fetcher() -> Board:
    return Board()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16, thread_name_prefix="waiter") as pool:
        yield pool


def test_threads_that_ask_meanwhile_share_one_fetch(fetcher: Board, pool: ThreadPoolExecutor) -> None:
    futures = [pool.submit(fetcher.run, "key", fetcher.fetch) for _ in range(16)]
    wait_for(lambda: joined(fetcher) == 15)
    fetcher.release.set()
    assert [future.result(WAIT) for future in futures] == ["value"] * 16
    assert fetcher.fetches == ["value"]
    assert fetcher.kept == {"key": "value"}


def test_different_keys_are_fetched_side_by_side(fetcher: Board, pool: ThreadPoolExecutor) -> None:
    barrier = threading.Barrier(8)

    def fetch() -> str:
        barrier.wait(WAIT)  # passes only if all eight are inside at once
        return "value"

    futures = [pool.submit(fetcher.run, key, fetch) for key in range(8)]
    assert [future.result(WAIT) for future in futures] == ["value"] * 8


def test_what_was_kept_meanwhile_is_found_not_fetched(fetcher: Board) -> None:
    fetcher.kept["key"] = "kept"
    assert fetcher.run("key", fetcher.fetch) == "kept"
    assert fetcher.fetches == []


def test_a_failure_fails_the_waiters_once_and_leaves_nothing(fetcher: Board, pool: ThreadPoolExecutor) -> None:
    def fail() -> str:
        fetcher.fetch()
        raise FileNotFoundError("key")

    futures = [pool.submit(fetcher.run, "key", fail) for _ in range(8)]
    wait_for(lambda: joined(fetcher) == 7)
    fetcher.release.set()
    assert [type(future.exception(WAIT)) for future in futures] == [FileNotFoundError] * 8
    assert fetcher.fetches == ["value"]
    assert fetcher.kept == {}
    assert fetcher.run("key", fetcher.fetch) == "value"


def test_an_interrupted_leader_hands_over_to_a_waiter(fetcher: Board, pool: ThreadPoolExecutor) -> None:
    def interrupted() -> str:
        fetcher.fetch("interrupted")
        raise Interrupt

    leader = pool.submit(fetcher.run, "key", interrupted)
    assert fetcher.started.wait(WAIT)
    waiters = [pool.submit(fetcher.run, "key", fetcher.fetch) for _ in range(4)]
    wait_for(lambda: joined(fetcher) == 4)
    fetcher.release.set()
    assert isinstance(leader.exception(WAIT), Interrupt)
    assert [waiter.result(WAIT) for waiter in waiters] == ["value"] * 4
    assert fetcher.fetches == ["interrupted", "value"]


@pytest.mark.parametrize("forgotten", ["key", None])
def test_what_is_forgotten_is_neither_kept_nor_joined(
    fetcher: Board, pool: ThreadPoolExecutor, forgotten: str | None
) -> None:
    old = pool.submit(fetcher.run, "key", lambda: fetcher.fetch("old"))
    assert fetcher.started.wait(WAIT)
    fetcher.in_flight.invalidate(None if forgotten is None else [forgotten])
    assert fetcher.run("key", lambda: "new") == "new"
    fetcher.release.set()
    assert old.result(WAIT) == "old"
    assert fetcher.kept == {"key": "new"}


async def test_tasks_share_one_fetch(fetcher: Board) -> None:
    async def fetch() -> str:
        fetcher.fetches.append("value")
        await until(fetcher.release)
        return "value"

    tasks = [asyncio.create_task(fetcher.run_async("key", fetch)) for _ in range(16)]
    await asyncio.sleep(0.01)
    fetcher.release.set()
    assert await asyncio.gather(*tasks) == ["value"] * 16
    assert fetcher.fetches == ["value"]
    assert fetcher.kept == {"key": "value"}


async def test_tasks_join_a_flight_led_by_a_thread(fetcher: Board, pool: ThreadPoolExecutor) -> None:
    leader = pool.submit(fetcher.run, "key", fetcher.fetch)
    await until(fetcher.started)

    async def fetch() -> str:
        pytest.fail("a task fetched what a thread was fetching")

    tasks = [asyncio.create_task(fetcher.run_async("key", fetch)) for _ in range(4)]
    await asyncio.sleep(0.01)
    tasks[0].cancel()
    fetcher.release.set()
    assert await asyncio.gather(*tasks[1:]) == ["value"] * 3
    assert leader.result(WAIT) == "value"
    assert tasks[0].cancelled()


async def test_tasks_take_over_from_an_interrupted_thread(fetcher: Board, pool: ThreadPoolExecutor) -> None:
    def interrupted() -> str:
        fetcher.fetch("interrupted")
        raise Interrupt

    leader = pool.submit(fetcher.run, "key", interrupted)
    await until(fetcher.started)

    async def fetch() -> str:
        return "by a task"

    task = asyncio.create_task(fetcher.run_async("key", fetch))
    await asyncio.sleep(0.01)
    fetcher.release.set()
    assert await task == "by a task"
    assert isinstance(leader.exception(WAIT), Interrupt)


async def test_a_thread_never_waits_for_a_task(fetcher: Board) -> None:
    async def never() -> str:
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(fetcher.run_async("key", never))
    await asyncio.sleep(0.01)
    # On the very thread of the loop that leads: waiting would hang at once.
    fetcher.release.set()
    assert fetcher.run("key", fetcher.fetch) == "value"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_failed_task_fails_its_waiters_and_leaves_nothing(fetcher: Board) -> None:
    async def fail() -> str:
        await asyncio.sleep(0.01)
        raise FileNotFoundError("key")

    tasks = [asyncio.create_task(fetcher.run_async("key", fail)) for _ in range(4)]
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [FileNotFoundError] * 4
    assert fetcher.in_flight._claims == {}


async def test_a_failure_nobody_waits_for_is_not_reported_as_lost(fetcher: Board) -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    async def fail() -> str:
        raise FileNotFoundError("key")

    with pytest.raises(FileNotFoundError):
        await fetcher.run_async("key", fail)
    gc.collect()
    await asyncio.sleep(0)
    assert reported == []


async def test_a_cancelled_leader_hands_over_to_a_waiter(fetcher: Board) -> None:
    async def fetch() -> str:
        fetcher.fetches.append("value")
        await until(fetcher.release)
        return "value"

    leader, *waiters = [asyncio.create_task(fetcher.run_async("key", fetch)) for _ in range(4)]
    await asyncio.sleep(0.01)
    leader.cancel()
    await asyncio.sleep(0.01)
    fetcher.release.set()
    assert await asyncio.gather(*waiters) == ["value"] * 3
    assert leader.cancelled()
    assert fetcher.fetches == ["value"] * 2


async def test_a_cancelled_waiter_disturbs_nobody(fetcher: Board) -> None:
    async def fetch() -> str:
        await until(fetcher.release)
        return "value"

    leader, waiter, other = [asyncio.create_task(fetcher.run_async("key", fetch)) for _ in range(3)]
    await asyncio.sleep(0.01)
    waiter.cancel()
    await asyncio.sleep(0.01)
    fetcher.release.set()
    assert await asyncio.gather(leader, other) == ["value"] * 2
    assert waiter.cancelled()


async def test_what_is_forgotten_is_not_kept_by_a_task(fetcher: Board) -> None:
    async def fetch() -> str:
        await until(fetcher.release)
        return "old"

    task = asyncio.create_task(fetcher.run_async("key", fetch))
    await asyncio.sleep(0.01)
    fetcher.in_flight.invalidate(["key"])
    fetcher.release.set()
    assert await task == "old"
    assert fetcher.kept == {}


def test_each_loop_leads_its_own_flight(fetcher: Board, pool: ThreadPoolExecutor) -> None:
    barrier = threading.Barrier(3)

    async def fetch() -> str:
        fetcher.fetches.append("value")
        await asyncio.to_thread(barrier.wait, WAIT)  # passes only if all three are inside at once
        return "value"

    futures = [pool.submit(asyncio.run, fetcher.run_async("key", fetch)) for _ in range(3)]
    assert [future.result(WAIT) for future in futures] == ["value"] * 3
    assert fetcher.fetches == ["value"] * 3


def test_a_loop_that_dies_leaves_nothing_behind(fetcher: Board) -> None:
    async def never() -> str:
        await asyncio.Event().wait()
        raise AssertionError

    loop = asyncio.new_event_loop()
    task = loop.create_task(fetcher.run_async("key", never))
    loop.run_until_complete(asyncio.sleep(0.01))
    task._log_destroy_pending = False  # type: ignore[attr-defined] # this is what the test is about
    loop.close()
    del loop, task
    gc.collect()
    assert fetcher.in_flight._claims == {}

    async def fetch() -> str:
        return "value"

    assert asyncio.run(fetcher.run_async("key", fetch)) == "value"


def test_flights_inherited_by_a_forked_child_are_reset(fetcher: Board, pool: ThreadPoolExecutor) -> None:
    leader = pool.submit(fetcher.run, "key", fetcher.fetch)
    assert fetcher.started.wait(WAIT)
    fetcher.in_flight._lock.acquire()  # as if held by a thread the child does not have
    inherited = fetcher.in_flight._lock
    fetcher.in_flight._reset_after_fork()
    fetcher.release.set()
    assert fetcher.run("key", lambda: "child's own") == "child's own"
    inherited.release()
    assert leader.result(WAIT) == "value"


def test_a_loop_may_come_while_flights_are_forgotten(fetcher: Board, pool: ThreadPoolExecutor) -> None:
    async def value() -> str:
        return "value"

    def run_loops(number: int) -> None:
        key = f"key {number}"
        for _ in range(300):
            loop = asyncio.new_event_loop()
            loops.append(loop)
            loop.run_until_complete(fetcher.run_async(key, value))
            loop.close()
            fetcher.kept.pop(key, None)  # what was forgotten before it landed is not kept

    loops: list[asyncio.AbstractEventLoop] = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        running = [pool.submit(run_loops, number) for number in range(2)]
        while not all(future.done() for future in running):
            fetcher.in_flight.invalidate()
    finally:
        sys.setswitchinterval(interval)
    assert [future.result() for future in running] == [None, None]
    assert fetcher.in_flight._claims == {}
