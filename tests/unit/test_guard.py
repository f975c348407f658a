"""The counted pause of collection."""

from __future__ import annotations

import gc
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from obspec_utils._io.gc_pause import call_after_pause, current_pause, gc_paused, inherit_pause

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    thresholds = gc.get_threshold()
    gc.enable()
    yield
    gc.set_threshold(*thresholds)
    gc.enable()


def in_thread(target: object) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


@contextmanager
def paused_elsewhere() -> Iterator[None]:
    """Hold a pause in another thread."""
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with gc_paused():
            entered.set()
            leave.wait(10)

    thread = in_thread(hold)
    assert entered.wait(10)
    yield
    leave.set()
    thread.join(10)


def test_collection_is_off_inside_and_on_again_after() -> None:
    with gc_paused():
        assert not gc.isenabled()
        with gc_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collection_stays_off_if_it_was_off() -> None:
    gc.disable()
    with gc_paused():
        pass
    assert not gc.isenabled()


def test_collection_comes_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), gc_paused():
        1 / 0  # noqa: B018
    assert gc.isenabled()


def test_the_last_of_overlapping_pauses_turns_collection_on() -> None:
    with paused_elsewhere():
        with gc_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def collections() -> int:
    return sum(stats["collections"] for stats in gc.get_stats())


def test_a_collection_that_is_due_runs_when_a_thread_leaves_while_others_pause() -> None:
    with paused_elsewhere():
        gc.set_threshold(100, 10, 10)
        before = collections()
        with gc_paused():
            kept = [[] for _ in range(500)]
            assert gc.get_count()[0] > 100
        after, off = collections(), not gc.isenabled()
    assert len(kept) == 500
    assert after == before + 1
    assert off


def test_nothing_is_collected_on_leaving_where_collection_was_off() -> None:
    gc.disable()
    with paused_elsewhere():
        gc.set_threshold(100, 10, 10)
        before = collections()
        with gc_paused():
            kept = [[] for _ in range(500)]
        after = collections()
    assert len(kept) == 500
    assert after == before


def test_callbacks_wait_for_the_end_of_the_outermost_pause() -> None:
    seen: list[bool] = []
    call_after_pause(lambda: seen.append(gc.isenabled()))
    assert seen == [True]
    with gc_paused():
        with gc_paused():
            call_after_pause(lambda: seen.append(gc.isenabled()))
        assert seen == [True]
    assert seen == [True, True]


def test_callbacks_of_threads_that_help_run_in_the_thread_that_asked() -> None:
    seen: list[threading.Thread] = []

    with gc_paused():
        scope = current_pause()

        def help_out() -> None:
            inherit_pause(scope)
            call_after_pause(lambda: seen.append(threading.current_thread()))

        in_thread(help_out).join(10)
        assert seen == []
    assert seen == [threading.current_thread()]


def test_every_callback_runs_though_one_fails_and_the_first_error_is_raised() -> None:
    seen: list[int] = []

    def fail() -> None:
        raise LookupError("first")

    def fail_again() -> None:
        raise KeyError("second")

    with pytest.raises(LookupError, match="first"), gc_paused():
        call_after_pause(fail)
        call_after_pause(fail_again)
        call_after_pause(lambda: seen.append(1))
    assert seen == [1]
    assert gc.isenabled()
