"""Progress: who is called, in which thread and task, and what an error of the callback does."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from obstore.store import LocalStore, MemoryStore

from obspec_utils._io.concurrency import limiter
from obspec_utils._io.progress import Progress
from obspec_utils.readers import EagerStoreReader, open_reader
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore
from tests.unit._arriving import ASYNC, CONTENT, PART, SIZE, SYNC, WAIT, ArrivingStore, Updates, check_calls, run
from tests.unit.test_interrupts import HeldStore, ctrl_c, interrupted, is_soon  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("name", [*SYNC, *ASYNC])
def test_the_caller_is_told_while_bytes_arrive(name: str) -> None:
    store = ArrivingStore()
    updates = Updates(store)
    tasks = run(name, store, updates)
    check_calls(updates.calls)
    assert any(0 < done < SIZE for done, _ in updates.calls)
    assert updates.threads == {threading.get_ident()}
    assert list(updates.tasks) == tasks


@pytest.mark.parametrize("name", SYNC)
def test_other_threads_than_the_main_one_are_told_in_themselves(name: str) -> None:
    store = ArrivingStore()
    updates = Updates(store)

    def load() -> int:
        run(name, store, updates)
        return threading.get_ident()

    with ThreadPoolExecutor(1) as pool:
        thread = pool.submit(load).result()
    check_calls(updates.calls)
    assert any(0 < done < SIZE for done, _ in updates.calls)
    assert updates.threads == {thread}


@pytest.mark.parametrize("name", [*SYNC, *ASYNC])
def test_an_error_of_the_callback_ends_the_load(name: str) -> None:
    store = ArrivingStore()
    updates = Updates(store, ZeroDivisionError("of the callback"))
    with pytest.raises(ZeroDivisionError, match="of the callback"):
        run(name, store, updates)
    calls = len(updates.calls)
    store.reported.set()
    assert is_soon(lambda: not limiter.in_use)
    assert is_soon(gc.isenabled)
    assert len(updates.calls) == calls
    assert sum(0 < done < SIZE for done, _ in updates.calls) == 1
    assert store.late <= len(store.requests)  # one chunk each, which was waited for


def test_an_error_of_the_callback_sends_no_further_request() -> None:
    store = ArrivingStore()
    with pytest.raises(ZeroDivisionError):
        EagerStoreReader(store, "o", PART, None, 2, progress=Updates(store, ZeroDivisionError()))  # type: ignore[arg-type]
    store.reported.set()
    assert is_soon(lambda: not limiter.in_use)
    assert len(store.requests) == 2


def test_others_who_wait_for_the_same_fetch_get_the_bytes() -> None:
    """An error of the callback of one caller is not that of another."""
    store = ArrivingStore()
    cached = CachingReadableStore(SplittingReadableStore(store, PART))  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as pool:
        others = []

        def fail(done: int, _: int | None) -> None:
            if done and not others:
                others.append(pool.submit(lambda: bytes(cached.get_range("o", start=0, end=SIZE))))
                assert is_soon(lambda: any(claim._future for claim in cached._entries.in_flight._claims.values()))
                store.reported.set()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            cached.prefetch(["o"], progress=fail)
        assert others[0].result(WAIT) == CONTENT


def test_a_result_can_be_read_after_an_error_of_the_callback() -> None:
    store = ArrivingStore()
    updates = Updates(store, ZeroDivisionError())
    result = SplittingReadableStore(store, PART, progress=updates).get("o")  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        result.buffer()
    updates.error = None
    store.reported.set()
    assert result.buffer() == CONTENT
    check_calls(updates.calls)
    assert result._body.counters[0].arrived() == SIZE  # type: ignore[attr-defined]


def test_parts_that_are_fetched_again_after_a_failure_count_once() -> None:
    class FailsOnce(ArrivingStore):
        def get(self, path: str, *, options: Any = None) -> Any:
            if len(self.requests) == 4:
                self.requests.append((0, 0))
                raise ZeroDivisionError
            return super().get(path, options=options)

    calls: list[Any] = []
    store = SplittingReadableStore(FailsOnce(streams=False), PART, 1, progress=lambda *call: calls.append(call))  # type: ignore[arg-type]
    result = store.get("o")
    with pytest.raises(ZeroDivisionError):
        result.buffer()
    assert result.buffer() == CONTENT
    assert calls[-1] == (SIZE, SIZE)
    assert result._body.counters[0].arrived() == SIZE  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [*SYNC, *ASYNC])
def test_a_body_that_is_requested_again_counts_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counters: list[Any] = []
    of_progress = Progress.counter
    monkeypatch.setattr(Progress, "counter", lambda *args: counters.append(of_progress(*args)) or counters[-1])
    store = ArrivingStore()
    store.errors = [ConnectionError(), ConnectionError()]
    updates = Updates(store)
    run(name, store, updates)
    assert store.errors == []
    check_calls(updates.calls)
    assert [counter.arrived() for counter in counters] == [SIZE]


def test_after_ctrl_c_nothing_is_reported(ctrl_c: Callable[[], None]) -> None:  # noqa: F811 - a fixture
    store, calls = HeldStore(), []
    interrupted(store, ctrl_c, lambda: EagerStoreReader(store, "o", progress=lambda *call: calls.append(call)))  # type: ignore[arg-type]
    count = len(calls)
    store.go_on.set()
    assert is_soon(lambda: not limiter.in_use)
    assert len(calls) == count


def test_an_error_of_the_store_is_raised_and_nothing_is_reported() -> None:
    calls: list[Any] = []
    with pytest.raises(FileNotFoundError):
        open_reader(ArrivingStore(), "missing", progress=lambda *call: calls.append(call))  # type: ignore[arg-type]
    assert calls == []


@pytest.mark.parametrize("main", [True, False])
def test_below_a_cache_it_is_the_caller_of_the_cache_who_is_told(main: bool) -> None:  # noqa: FBT001
    store = ArrivingStore()
    updates = Updates(store)
    cached = CachingReadableStore(SplittingReadableStore(store, PART, progress=updates))  # type: ignore[arg-type]
    if main:
        assert cached.get_range("o", start=0, end=5) == CONTENT[:5]
        assert any(0 < done < SIZE for done, _ in updates.calls)
        assert updates.threads == {threading.get_ident()}
    else:  # the caller's thread holds what others wait for
        store.reported.set()
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(cached.get_range, "o", start=0, end=5).result() == CONTENT[:5]
        assert updates.calls == [(SIZE, SIZE)]
    check_calls(updates.calls)


@pytest.mark.parametrize("name", [*SYNC, *ASYNC])
def test_a_store_that_does_not_stream(name: str) -> None:
    store = ArrivingStore(streams=False)
    updates = Updates(store)
    run(name, store, updates)
    check_calls(updates.calls)


def test_stores_of_obstore(tmp_path: Path) -> None:
    for store in (MemoryStore(), LocalStore(tmp_path)):
        store.put("o", CONTENT)
        calls: list[Any] = []
        reader = EagerStoreReader(store, "o", PART, progress=lambda *call, calls=calls: calls.append(call))
        assert reader.read() == CONTENT
        check_calls(calls)


@pytest.mark.parametrize("load", [EagerStoreReader, open_reader])
def test_an_empty_object_is_complete(load: Any) -> None:
    calls: list[Any] = []
    load(ArrivingStore(), "empty", progress=lambda *call: calls.append(call))
    assert calls == [(0, 0)]


def test_an_object_that_is_read_on_demand_has_no_progress() -> None:
    calls: list[Any] = []
    store = ArrivingStore(streams=False)
    reader = open_reader(store, "o", memory=PART, progress=lambda *call: calls.append(call))  # type: ignore[arg-type]
    assert reader.read() == CONTENT
    assert calls == []


def test_without_progress_bodies_are_read_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """No clock, no counters, no chunks: the second half of a chunk would never arrive."""
    monkeypatch.delattr("obspec_utils._io.progress.Progress.__init__")
    monkeypatch.delattr("obspec_utils._io.progress.Counter.__init__")
    monkeypatch.setattr("tests.unit._arriving.Chunks.__iter__", None)
    for name, progress in product(("EagerStoreReader", "open_reader", "prefetch", "iteration"), (False, None)):
        SYNC[name](ArrivingStore(), progress)
