"""Interrupts and races at the worst place: collection comes back, flights land, threads end."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from obspec_utils._io import gc_pause
from obspec_utils._io.concurrency import gather, gather_async
from obspec_utils._io.gc_pause import gc_paused
from obspec_utils._io.single_flight import SingleFlight

WAIT = 10


def test_collection_is_on_after_any_interleaving_of_pauses() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:

        def pause() -> None:
            for _ in range(5000):
                with gc_paused():
                    assert not gc.isenabled()

        with ThreadPoolExecutor(4) as pool:
            for future in [pool.submit(pause) for _ in range(4)]:
                future.result(60)
    finally:
        sys.setswitchinterval(interval)
    assert gc.isenabled()


def test_a_pause_that_was_never_left_ends_with_its_context_manager() -> None:
    pause = gc_paused()
    pause.__enter__()  # as when Ctrl-C hits before __exit__ begins
    assert not gc.isenabled()
    del pause
    assert gc.isenabled()
    with gc_paused():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_interrupt_on_the_way_into_a_pause_leaves_collection_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupting:
        def __enter__(self) -> None:
            raise KeyboardInterrupt

        def __exit__(self, *_: object) -> None:
            raise AssertionError

    lock = gc_pause._state.lock

    def acquire() -> None:
        with gc_paused():
            raise AssertionError

    monkeypatch.setattr(gc_pause._state, "lock", Interrupting())
    try:
        acquire()
    except KeyboardInterrupt:
        monkeypatch.setattr(gc_pause._state, "lock", lock)  # only once: what mends it needs the lock
    assert gc.isenabled()
    with gc_paused():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_pause_that_another_thread_ends_lets_its_own_pause_again() -> None:
    pauses = [gc_paused()]
    pauses[0].__enter__()
    thread = threading.Thread(target=pauses.clear)  # as where a traceback that leads to it goes there
    thread.start()
    thread.join(WAIT)
    assert gc.isenabled()
    with gc_paused():
        assert not gc.isenabled()
    assert gc.isenabled()


@pytest.mark.parametrize("hit", ["before the lead", "keeping"])
def test_an_interrupt_at_any_place_leaves_no_flight(monkeypatch: pytest.MonkeyPatch, hit: str) -> None:
    in_flight: SingleFlight[str] = SingleFlight()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    keep: Any = interrupt if hit == "keeping" else (lambda *_: None)
    with monkeypatch.context() as patch:
        if hit == "before the lead":
            patch.setattr(in_flight, "_run_claimed", interrupt)
        with pytest.raises(KeyboardInterrupt):
            in_flight.run("key", lambda: "value", find=lambda _: None, keep=keep)
    assert in_flight._futures == {}
    assert gc.isenabled()
    assert in_flight.run("key", lambda: "value", find=lambda _: None, keep=lambda *_: None) == "value"


async def test_a_result_that_can_t_be_kept_fails_the_task_and_leaves_no_flight() -> None:
    in_flight: SingleFlight[str] = SingleFlight()

    async def fetch() -> str:
        return "value"

    def refuse(*_: object) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        await in_flight.run_async("key", fetch, find=lambda _: None, keep=refuse)
    assert in_flight._futures == {}


def test_no_thread_outlives_a_call_that_is_interrupted() -> None:
    release = threading.Event()

    def job(number: int) -> int:
        if threading.current_thread() is threading.main_thread():
            threading.Timer(0.05, release.set).start()
            raise KeyboardInterrupt
        release.wait(WAIT)
        return number

    with pytest.raises(KeyboardInterrupt):
        gather(job, 20, 4)
    assert not [thread for thread in threading.enumerate() if thread.name == "obspec-utils-part"]


def test_where_no_threads_can_be_had_the_caller_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert gather(lambda number: number, 10, 4) == list(range(10))


async def test_a_job_that_is_cancelled_from_within_cancels_the_whole() -> None:
    async def cancelled() -> int:
        raise asyncio.CancelledError

    async def done() -> int:
        return 1

    with pytest.raises(asyncio.CancelledError):
        await gather_async(lambda number: [done, cancelled, done][number](), 3, 2)
