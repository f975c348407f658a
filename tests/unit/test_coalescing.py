"""Tasks, event loops and threads that share a CoalescingReadableStore; what it keeps; stores with few methods."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import traceback
import weakref
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from obstore.store import LocalStore, MemoryStore

from obspec_utils.wrappers import CoalescingReadableStore
from tests.contracts._stores import HeadAndRange, HeadAndRanges, IgnoringOptions, OnlyGet, OnlyRange, Result, Versions
from tests.unit._flights import WAIT

CONTENT = bytes(range(200))


class Held(OnlyGet):
    """A store whose responses wait for `release`, and which counts what was cancelled."""

    def __init__(self, content: bytes = CONTENT) -> None:
        super().__init__({"object": content})
        self.sent: list[tuple[int, int]] = []
        self.cancelled: list[tuple[int, int]] = []
        self.release = asyncio.Event()

    async def get_async(self, path: str, *, options: Any = None) -> Result:
        self.sent.append(options["range"])
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.append(options["range"])
            raise
        return self.get(path, options=options)

    async def get_range_async(self, path: str, *, start: int, end: int) -> bytes:
        return (await self.get_async(path, options={"range": (start, end)})).content


def read(store: Any, start: int, end: int) -> asyncio.Task[bytes]:
    return asyncio.ensure_future(store.get_range_async("object", start=start, end=end))


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_lone_call_waits_no_more_than_one_turn() -> None:
    held = Held()
    reading = read(CoalescingReadableStore(held), 0, 10)
    await turns(1)  # the task runs
    assert held.sent == []
    await turns(2)  # the turn is planned, the task goes on
    assert held.sent == [(0, 10)]
    held.release.set()
    assert await reading == CONTENT[:10]


async def test_a_request_goes_on_for_the_callers_that_are_left_and_is_cancelled_with_the_last() -> None:
    held = Held()
    store = CoalescingReadableStore(held)
    readings = [read(store, start, start + 10) for start in (0, 10, 20, 100, 110)]
    await turns(4)
    assert held.sent == [(0, 30), (100, 120)]
    readings[0].cancel()
    readings[2].cancel()
    readings[3].cancel()
    await turns(3)
    assert held.cancelled == []
    readings[4].cancel()
    await turns(3)
    assert held.cancelled == [(100, 120)]
    held.release.set()
    assert bytes(await readings[1]) == CONTENT[10:20]
    assert [reading.cancelled() for reading in readings] == [True, False, True, True, True]


async def test_all_requests_of_a_cancelled_call_are_cancelled() -> None:
    held = Held()
    reading = asyncio.ensure_future(
        CoalescingReadableStore(held).get_ranges_async("object", starts=[0, 50, 100], ends=[10, 60, 110])
    )
    await turns(4)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await turns(3)
    assert sorted(held.cancelled) == sorted(held.sent) == [(0, 10), (50, 60), (100, 110)]


@pytest.mark.parametrize(("waited", "sent"), [(0, (10, 20)), (1, (10, 20)), (2, (0, 20))])
async def test_a_call_cancelled_before_its_request_is_sent_changes_nothing_for_others(
    waited: int, sent: tuple[int, int]
) -> None:
    held = Held()
    store = CoalescingReadableStore(held)
    readings = [read(store, start, start + 10) for start in (0, 10)]
    await turns(waited)
    readings[0].cancel()
    held.release.set()
    assert bytes(await readings[1]) == CONTENT[10:20]
    with pytest.raises(asyncio.CancelledError):
        await readings[0]
    assert held.sent == [sent]  # only a call that is cancelled after the turn takes part in its plan
    assert held.cancelled == []


async def test_the_first_failing_request_of_a_call_cancels_the_others() -> None:
    class Failing(Held):
        async def get_async(self, path: str, *, options: Any = None) -> Result:
            if options["range"][0] == 50:
                message = "broken"
                raise ConnectionError(message)
            return await super().get_async(path, options=options)

    failing = Failing()
    with pytest.raises(ConnectionError, match="broken"):
        await CoalescingReadableStore(failing).get_ranges_async("object", starts=[0, 50], ends=[10, 60])
    await turns(2)
    assert failing.cancelled == [(0, 10)]


async def test_errors_of_several_requests_of_a_call_are_not_reported_as_lost() -> None:
    class Failing(OnlyGet):
        async def get_async(self, path: str, *, options: Any = None) -> Result:
            raise ConnectionError

    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    with pytest.raises(ConnectionError):
        await CoalescingReadableStore(Failing({})).get_ranges_async("object", starts=[0, 50], ends=[10, 60])
    await turns(2)
    gc.collect()
    assert reported == []


@pytest.mark.parametrize(("length", "yields"), [(1, False), (1 << 20, True)])
async def test_copying_many_slices_leaves_other_tasks_their_turns(length: int, yields: bool) -> None:  # noqa: FBT001
    count, turns_taken = 64, 0
    store = CoalescingReadableStore(OnlyGet({"object": bytes(count * length)}))
    starts = range(0, count * length, length)
    reading = asyncio.ensure_future(store.get_ranges_async("object", starts=starts, lengths=[length] * count))
    while not reading.done():
        await asyncio.sleep(0)
        turns_taken += 1
    assert len(await reading) == count
    assert (turns_taken >= 4 + 8) == yields  # a turn for every 8 MiB


def test_event_loops_of_threads_share_a_store_and_no_request() -> None:
    store = CoalescingReadableStore(MemoryStore())
    store.put("object", CONTENT)
    barrier = Barrier(8)

    async def read_all() -> list[bytes]:
        barrier.wait(WAIT)
        found = await asyncio.gather(*(store.get_range_async("object", start=n, length=7) for n in range(100)))
        return [bytes(buffer) for buffer in found]

    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(lambda: [asyncio.run(read_all()) for _ in range(5)]) for _ in range(8)]
        expected = [CONTENT[n : n + 7] for n in range(100)]
        assert all(found == expected for run in runs for found in run.result(WAIT))


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_ends_in_the_middle_leaves_nothing(steps: int) -> None:
    """Tasks of a closed loop never end; here, they are dropped at any step."""
    held = Held()
    store = CoalescingReadableStore(held)
    loop = asyncio.new_event_loop()
    readings = [loop.create_task(store.get_range_async("object", start=n, end=n + 10)) for n in (0, 10)]
    loop.run_until_complete(turns(steps))
    loop.close()
    gone = weakref.ref(loop)
    for reading in readings:
        reading._log_destroy_pending = False  # type: ignore[attr-defined]
    held.release = asyncio.Event()
    held.release.set()

    async def read_both() -> list[bytes]:
        return [bytes(one) for one in await asyncio.gather(read(store, 0, 10), read(store, 10, 20))]

    assert asyncio.run(read_both()) == [CONTENT[:10], CONTENT[10:20]]
    del loop, readings, reading
    gc.collect()
    assert gone() is None


def test_a_loop_may_be_run_in_pieces() -> None:
    loop = asyncio.new_event_loop()
    held = Held()
    store = CoalescingReadableStore(held)
    first = loop.create_task(store.get_range_async("object", start=0, end=10))
    loop.run_until_complete(turns(1))
    second = loop.create_task(store.get_range_async("object", start=10, end=20))
    held.release.set()
    assert [bytes(loop.run_until_complete(task)) for task in (second, first)] == [CONTENT[10:20], CONTENT[:10]]
    loop.close()


class Body(bytearray):
    """A body that can be waited for to be freed."""


class Tracked(OnlyGet):
    """A store that tells whether its last body is still in memory."""

    def __init__(self, content: bytes) -> None:
        super().__init__({"object": content})

    def _body(self, path: str, start: int, stop: int) -> Any:
        body = Body(super()._body(path, start, stop))
        self.alive = weakref.ref(body)
        return body


@pytest.mark.parametrize("sync", [True, False])
async def test_a_small_slice_does_not_keep_the_whole_response(sync: bool) -> None:  # noqa: FBT001
    tracked = Tracked(CONTENT)
    store = CoalescingReadableStore(tracked)
    starts, ends = [0, 20], [20, 200]
    found = list(
        store.get_ranges("object", starts=starts, ends=ends)
        if sync
        else await store.get_ranges_async("object", starts=starts, ends=ends)
    )
    assert tracked.requests == [("object", (0, 200))]
    assert bytes(found.pop()) == CONTENT[20:]
    await turns(3)
    gc.collect()
    assert tracked.alive() is None
    assert bytes(found[0]) == CONTENT[:20]


@pytest.mark.parametrize("kind", [OnlyGet, IgnoringOptions, OnlyRange, HeadAndRange, HeadAndRanges])
@pytest.mark.parametrize("versions", [Versions(), Versions(e_tag=False, last_modified=False)], ids=str)
@pytest.mark.parametrize("size", [7, 1000])
async def test_stores_with_few_methods_are_read(kind: Any, versions: Versions, size: int) -> None:
    bare = kind({"object": CONTENT}, versions)
    store = CoalescingReadableStore(bare, max_request_size=size)
    starts, ends = [0, 10, 30, 30], [10, 20, 50, 31]
    expected = [CONTENT[start:end] for start, end in zip(starts, ends, strict=True)]
    assert [bytes(one) for one in await store.get_ranges_async("object", starts=starts, ends=ends)] == expected
    assert [bytes(one) for one in store.get_ranges("object", starts=starts, ends=ends)] == expected
    if size == 1000:
        assert len(bare.requests) == 4  # two by each


async def test_an_error_leaves_no_cycle_that_keeps_bytes() -> None:
    class Failing(Tracked):
        def _body(self, path: str, start: int, stop: int) -> Any:
            if start == 50:
                raise ConnectionError
            return super()._body(path, start, stop)

    failing = Failing(CONTENT)
    gc.disable()
    try:
        for call in (
            lambda: CoalescingReadableStore(failing).get_ranges_async("object", starts=[0, 10, 50], ends=[5, 15, 60]),
            lambda: asyncio.to_thread(
                CoalescingReadableStore(failing).get_ranges, "object", starts=[0, 10, 50], ends=[5, 15, 60]
            ),
        ):
            with pytest.raises(ConnectionError):
                await call()
            await turns(3)
            assert failing.alive() is None
    finally:
        gc.enable()


def test_copies_and_pickles_keep_the_options_and_no_event_loop(tmp_path: Any) -> None:
    bare = LocalStore(tmp_path)
    bare.put("object", CONTENT)
    store = CoalescingReadableStore(bare, max_gap=3, max_request_size=50)

    async def read_both(store: Any) -> list[bytes]:
        return [bytes(one) for one in await asyncio.gather(read(store, 0, 10), read(store, 10, 20))]

    asyncio.run(read_both(store))
    for other in (copy.copy(store), copy.deepcopy(store), pickle.loads(pickle.dumps(store))):
        assert other._options() == {"max_gap": 3, "max_request_size": 50}
        assert other._turns == {}
        assert asyncio.run(read_both(other)) == [CONTENT[:10], CONTENT[10:20]]


async def test_the_traceback_of_a_shared_error_does_not_grow_with_its_callers() -> None:
    class Failing(OnlyGet):
        async def get_async(self, path: str, *, options: Any = None) -> Result:
            raise PermissionError(path)

    store = CoalescingReadableStore(Failing({"object": CONTENT}))
    reads = [store.get_range_async("object", start=start, length=2) for start in range(0, 100, 2)]
    errors = await asyncio.gather(*reads, return_exceptions=True)
    assert all(isinstance(error, PermissionError) for error in errors)
    frames = traceback.extract_tb(errors[0].__traceback__)  # type: ignore[union-attr]
    assert len(frames) < 10
