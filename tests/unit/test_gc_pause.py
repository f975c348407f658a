"""The pause of garbage collection: counted, over after every pause, and over soon after what nobody could end."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from obspec_utils._io import gc_pause
from obspec_utils._io.gc_pause import call_after_pause, current_scope, inherit_scope, is_paused, paused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAIT = 10


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    thresholds = gc.get_threshold()
    gc.enable()
    yield
    gc.set_threshold(*thresholds)
    gc.enable()


def in_thread(function: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(function).result(WAIT)


def in_main(function: Callable[[], object]) -> None:
    function()


# A thread of its own, and the main thread: KeyboardInterrupt is only raised there, so that its pauses are others.
each_thread = pytest.mark.parametrize("run", [in_main, in_thread])


@contextmanager
def paused_elsewhere() -> Iterator[None]:
    """Hold a pause in another thread."""
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        leave.wait(WAIT)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(paused, hold)
        assert entered.wait(WAIT)
        try:
            yield
        finally:
            leave.set()
            holding.result(WAIT)


def until(condition: Callable[[], object], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    return bool(condition())


@each_thread
def test_collection_is_off_inside_and_on_again_after(run: Callable[[Callable[[], object]], None]) -> None:
    def nested() -> None:
        assert not gc.isenabled()
        paused(lambda: None)
        assert is_paused()
        assert not gc.isenabled()

    run(lambda: paused(nested))
    assert not is_paused()
    assert gc.isenabled()


@each_thread
def test_collection_stays_off_if_it_was_off(run: Callable[[Callable[[], object]], None]) -> None:
    gc.disable()
    run(lambda: paused(lambda: None))
    time.sleep(3 * gc_pause.COLLECTION_INTERVAL)
    assert not gc.isenabled()


@each_thread
def test_collection_comes_back_after_an_error(run: Callable[[Callable[[], object]], None]) -> None:
    with pytest.raises(ZeroDivisionError):
        run(lambda: paused(lambda: 1 / 0))
    assert gc.isenabled()


@each_thread
def test_the_last_of_overlapping_pauses_turns_collection_on(run: Callable[[Callable[[], object]], None]) -> None:
    with paused_elsewhere():
        run(lambda: paused(lambda: None))
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_pause_of_the_main_thread_outlasts_those_of_others() -> None:
    def overlap() -> None:
        in_thread(lambda: paused(lambda: None))
        assert not gc.isenabled()

    paused(overlap)
    assert gc.isenabled()


def test_collection_is_on_after_any_interleaving_of_pauses() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def is_off() -> bool:
        return not gc.isenabled()

    def pause() -> bool:
        return all(paused(is_off) for _ in range(5000))

    try:
        with ThreadPoolExecutor(4) as pool:
            pausing = [pool.submit(pause) for _ in range(4)]
            assert pause()
            assert all(future.result(60) for future in pausing)
    finally:
        sys.setswitchinterval(interval)
    assert gc.isenabled()


def test_what_the_main_thread_could_not_turn_on_again_is_on_soon() -> None:
    state = gc_pause._state
    with state.main:
        state.turn_off()  # as where Ctrl-C hits right after it, and again in what would turn it on
    assert not gc.isenabled()
    assert until(gc.isenabled, 0.2)


def test_collections_that_are_due_run_during_a_long_pause() -> None:
    def collections() -> int:
        return sum(stats["collections"] for stats in gc.get_stats())

    with paused_elsewhere():
        gc.set_threshold(100, 10, 10)
        before = collections()
        kept = [[] for _ in range(500)]
        assert until(lambda: collections() > before, WAIT)
        assert not gc.isenabled()
    assert len(kept) == 500


def test_full_collections_take_little_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def full_collections() -> int:
        return gc.get_stats()[2]["collections"]

    gc.disable()
    monkeypatch.setattr(gc_pause._state, "turned_off", [True])
    monkeypatch.setattr(gc_pause._state, "full_collection_after", 0.0)
    before = full_collections()
    for _ in range(2):
        gc.set_threshold(1, 1, 1)
        for generation in (0, 0, 0, 1, 1, 1):
            gc.collect(generation)
        kept = [[] for _ in range(10)]
        gc_pause.collect_due()
        assert len(kept) == 10
    assert full_collections() == before + 1
    assert gc_pause._state.full_collection_after > time.monotonic()


def test_nothing_is_collected_during_a_pause_where_collection_was_off() -> None:
    gc.disable()
    with paused_elsewhere():
        gc.set_threshold(100, 10, 10)
        kept = [[] for _ in range(500)]
        time.sleep(3 * gc_pause.COLLECTION_INTERVAL)
        assert gc.get_count()[0] > 100
    assert len(kept) == 500


def test_no_thread_looks_on_when_nobody_pauses() -> None:
    paused(lambda: None)
    assert until(lambda: not gc_pause._state.is_watched, 1)


def test_callbacks_wait_for_the_end_of_the_outermost_pause() -> None:
    seen: list[bool] = []

    def note() -> None:
        seen.append(gc.isenabled())

    def nested() -> None:
        paused(call_after_pause, note)
        assert seen == []

    in_thread(lambda: paused(nested))
    assert seen == [True]
    call_after_pause(note)
    assert seen == [True, True]


def test_callbacks_of_threads_that_help_run_in_the_thread_that_asked() -> None:
    seen: list[int] = []

    def ask() -> None:
        scope = current_scope()

        def help_out() -> None:
            inherit_scope(scope)
            call_after_pause(lambda: seen.append(threading.get_ident()))

        in_thread(help_out)
        assert seen == []

    def pause() -> None:
        paused(ask)
        assert seen == [threading.get_ident()]

    in_thread(pause)


def test_every_callback_runs_though_one_fails_and_the_first_error_is_raised() -> None:
    seen: list[int] = []

    def fail(error: Exception) -> None:
        raise error

    def ask() -> None:
        call_after_pause(lambda: fail(LookupError("first")))
        call_after_pause(lambda: fail(KeyError("second")))
        call_after_pause(lambda: seen.append(1))

    with pytest.raises(LookupError, match="first"):
        in_thread(lambda: paused(ask))
    assert seen == [1]
    assert gc.isenabled()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@each_thread
def test_collection_is_on_in_a_child_forked_during_a_pause(run: Callable[[Callable[[], object]], None]) -> None:
    def fork() -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there are threads is the point
            child = os.fork()
        if not child:
            is_on = gc.isenabled()
            paused(lambda: None)
            os._exit(not (is_on and gc.isenabled()))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    codes: list[int] = []
    with paused_elsewhere():
        run(lambda: codes.append(fork()))
        run(lambda: codes.append(paused(fork)))
    assert codes == [0, 0]
