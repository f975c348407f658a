"""Progress: who is called, in which thread, with which numbers, and what an error of the callback does."""

from __future__ import annotations

import asyncio
import copy
import gc
import io
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from obstore.store import LocalStore, MemoryStore

from obspec_utils._io.concurrency import limiter
from obspec_utils._io.progress import Progress
from obspec_utils.readers import EagerStoreReader, open_reader, open_reader_async
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore
from tests.unit._arriving import CONTENT, PART, WAIT, ArrivingStore
from tests.unit.test_interrupts import HeldStore, ctrl_c, interrupted, is_soon  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZE = len(CONTENT)
BAR = True


class Updates:
    """A callback that remembers its calls, and where they came from; the first partial one lets the rest arrive."""

    def __init__(self, store: ArrivingStore, error: BaseException | None = None) -> None:
        self.store = store
        self.error = error
        self.calls: list[tuple[int, int | None]] = []
        self.threads: set[int] = set()
        self.tasks: set[object] = set()

    def __call__(self, done: int, total: int | None) -> None:
        self.calls.append((done, total))
        self.threads.add(threading.get_ident())
        try:
            self.tasks.add(asyncio.current_task())
        except RuntimeError:
            self.tasks.add(None)
        if 0 < done < SIZE:
            if self.error is not None:
                raise self.error
            self.store.reported.set()


async def in_parts(store: Any, updates: Any) -> None:
    result = await SplittingReadableStore(store, PART, progress=updates).get_async("o")
    assert await result.buffer_async() == CONTENT


async def iterated(store: Any, updates: Any) -> None:
    result = await SplittingReadableStore(store, PART, 10, progress=updates).get_async("o")
    assert b"".join([bytes(chunk) async for chunk in result]) == CONTENT


async def opened(store: Any, updates: Any) -> None:
    assert (await open_reader_async(store, "o", progress=updates)).read() == CONTENT


async def prefetched(store: Any, updates: Any) -> None:
    assert await CachingReadableStore(store).prefetch_async(["o"], progress=updates) == {}


SYNC: dict[str, Callable[[Any, Any], object]] = {
    "EagerStoreReader": lambda store, updates: EagerStoreReader(store, "o", PART, progress=updates),
    "open_reader": lambda store, updates: open_reader(store, "o", progress=updates),
    "buffer": lambda store, updates: SplittingReadableStore(store, PART, progress=updates).get("o").buffer(),
    "one part": lambda store, updates: SplittingReadableStore(store, progress=updates).get("o").buffer(),
    "iteration": lambda store, updates: list(SplittingReadableStore(store, PART, 10, progress=updates).get("o")),
    "prefetch": lambda store, updates: CachingReadableStore(store).prefetch(["o"], progress=updates),
    "prefetch blocks": lambda store, updates: CachingReadableStore(store, block_size=PART).prefetch(
        ["o"], progress=updates
    ),
    "prefetch parts": lambda store, updates: CachingReadableStore(SplittingReadableStore(store, PART)).prefetch(
        ["o"], progress=updates
    ),
}
ASYNC: dict[str, Callable[[Any, Any], Any]] = {
    "buffer_async": in_parts,
    "async iteration": iterated,
    "open_reader_async": opened,
    "prefetch_async": prefetched,
}


def run(name: str, store: Any, updates: Any) -> list[object]:
    """Load the object; return the tasks that may call back."""
    if name in SYNC:
        SYNC[name](store, updates)
        return [None]

    async def main() -> list[object]:
        try:
            await ASYNC[name](store, updates)
        finally:
            assert asyncio.all_tasks() == {asyncio.current_task()}
        return [asyncio.current_task()]

    return asyncio.run(main())


def check_calls(calls: list[tuple[int, int | None]], total: int = SIZE) -> None:
    assert calls == sorted(calls, key=lambda call: call[0])
    assert calls[-1] == (total, total)
    assert len(set(calls)) == len(calls)
    assert {known for _, known in calls} <= {total, None}


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


# What is shown.


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def calls() -> list[tuple[int, int | None]]:
    return []


@pytest.fixture
def progress(clock: Clock, calls: list[Any]) -> Progress:
    return Progress(lambda *call: calls.append(call), lambda: calls.append("closed"), 1, clock)


def test_there_are_at_most_ten_updates_a_second_but_the_last_is_never_late(
    progress: Progress, clock: Clock, calls: list[Any]
) -> None:
    counter = progress.counter(1000)
    for _ in range(999):
        counter.add(1)
        clock.now += 0.002
        progress.update()
    assert 18 <= len(calls) <= 20
    counter.add(1)
    progress.end()
    assert calls[-2:] == [(1000, 1000), "closed"]


def test_a_load_that_ends_early_is_not_closed(progress: Progress, clock: Clock, calls: list[Any]) -> None:
    counter = progress.counter(100)
    counter.add(50)
    progress.update()
    counter.add(10)
    progress.end()
    assert calls == [(50, 100)]
    clock.now += 1
    progress.end()
    assert calls == [(50, 100), (60, 100)]


def test_bytes_that_are_requested_again_do_not_count_twice(progress: Progress, clock: Clock, calls: list[Any]) -> None:
    counter = progress.counter(100)
    for change in (60, -60, 30, 70):
        counter.add(change)
        clock.now += 1
        progress.update()
    counter.restart(0)
    counter.add(100)
    progress.end()
    assert calls == [(60, 100), (100, 100), "closed"]


def test_the_total_of_several_objects_is_known_when_all_sizes_are(clock: Clock, calls: list[Any]) -> None:
    progress = Progress(lambda *call: calls.append(call), lambda: None, 3, clock)

    def update() -> None:
        clock.now += 1
        progress.update()

    first, second = progress.counter(), progress.counter()
    update()
    first.size = 100
    first.add(40)
    update()
    second.settled = 70  # was cached
    update()
    third = progress.counter(30)
    third.add(10)
    update()
    third.settled = 0  # failed
    update()
    first.settled = 100
    progress.end()
    assert calls == [(40, None), (110, None), (120, 200), (120, 170), (170, 170)]


def test_bytes_of_an_object_that_failed_stay_counted(clock: Clock, calls: list[Any]) -> None:
    progress = Progress(lambda *call: calls.append(call), lambda: None, 1, clock)
    counter = progress.counter(100)
    counter.add(40)
    progress.update()
    counter.settled = 0
    progress.end()
    assert calls == [(40, 100), (40, 40)]


def test_a_callback_that_is_running_is_not_called_again(progress: Progress, clock: Clock) -> None:
    counter = progress.counter(100)

    def show(done: int, total: int | None) -> None:
        calls.append((done, total))
        counter.add(10)
        clock.now += 1
        progress.update()

    calls: list[Any] = []
    progress._show = show
    counter.add(10)
    progress.update()
    assert calls == [(10, 100)]


def test_prefetch_of_cached_missing_and_no_objects() -> None:
    store = ArrivingStore(streams=False)
    cached = CachingReadableStore(store)  # type: ignore[arg-type]
    for paths, total in ((["o", "missing"], SIZE), (["o", "empty"], SIZE), ([], 0)):
        calls: list[Any] = []
        failed = cached.prefetch(paths, progress=lambda *call, calls=calls: calls.append(call))
        assert set(failed) == {"missing"} & set(paths)
        check_calls(calls, total)


# The argument.


class FsspecLike:
    """An object with the two methods of an fsspec Callback that are needed."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.value = 0

    def set_size(self, size: int) -> None:
        self.sizes.append(size)

    def relative_update(self, inc: int = 1) -> None:
        assert inc > 0
        self.value += inc


@pytest.mark.parametrize("name", [*SYNC, *ASYNC])
def test_a_callback_of_fsspec(name: str) -> None:
    from fsspec.callbacks import Callback

    seen: list[Any] = []
    callback = Callback(hooks={"seen": lambda size, value: seen.append((size, value))})
    run(name, ArrivingStore(streams=False), callback)
    assert (callback.size, callback.value) == (SIZE, SIZE)
    assert seen[-1] == (SIZE, SIZE)
    alike = FsspecLike()
    run(name, ArrivingStore(streams=False), alike)
    assert (alike.sizes, alike.value) == ([SIZE], SIZE)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("name", [*SYNC, *ASYNC])
def test_a_bar_in_a_terminal(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, terminal = ArrivingStore(), Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    write = terminal.write

    def arrived(text: str) -> int:
        store.reported.set()
        return write(text)

    monkeypatch.setattr(terminal, "write", arrived)
    run(name, store, BAR)
    lines = terminal.getvalue().split("\r")
    assert lines[-1].startswith("prefetch: 100%" if "prefetch" in name else "o: 100%")
    assert "100k/100k" in lines[-1]
    assert lines[-1].endswith("\n")
    assert {type(thread).__name__ for thread in threading.enumerate()}.isdisjoint({"TMonitor"})
    assert len(lines) > 2


def test_a_bar_is_closed_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    class Broken(ArrivingStore):
        def get(self, path: str, *, options: Any = None) -> Any:
            if self.requests:
                assert is_soon(lambda: "o:" in terminal.getvalue())
                raise ZeroDivisionError
            return super().get(path, options=options)

    store = Broken(streams=False)
    with pytest.raises(ZeroDivisionError):
        EagerStoreReader(store, "o", PART, None, 1, progress=True)  # type: ignore[arg-type]
    assert terminal.getvalue().endswith("\n")


def test_nothing_is_shown_or_needed_where_nobody_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    for stderr in (sys.stderr, None):
        monkeypatch.setattr(sys, "stderr", stderr)
        monkeypatch.delitem(sys.modules, "IPython", raising=False)
        for name in (*SYNC, *ASYNC):
            run(name, ArrivingStore(streams=False), BAR)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kernel", [True, False])
def test_the_kernel_of_a_notebook_shows_bars(kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    shell = SimpleNamespace(kernel=None) if kernel else SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    EagerStoreReader(ArrivingStore(streams=False), "o", progress=True)  # type: ignore[arg-type]
    assert ("100%" in stderr.getvalue()) == kernel


def test_a_missing_tqdm_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(sys, "stderr", Terminal())
    store = ArrivingStore()
    with pytest.raises(
        ModuleNotFoundError, match=r"^progress=True needs tqdm: pip install 'obspec-utils\[progress\]'$"
    ):
        EagerStoreReader(store, "o", progress=True)  # type: ignore[arg-type]
    assert store.requests == []


@pytest.mark.parametrize("value", [5, "o", 0, [], Updates, "secret_key=SECRET"])
@pytest.mark.parametrize("name", [*SYNC, *ASYNC])
def test_other_values_are_refused(name: str, value: Any) -> None:
    store = ArrivingStore()
    message = r"^progress must be True, an fsspec Callback, a function of \(bytes_done, bytes_total\), or None, got .*$"
    with pytest.raises(TypeError, match=message) as caught:
        run(name, store, value)
    assert "SECRET" not in str(caught.value)
    assert store.requests == []


def named(done: int, total: int | None) -> None:
    """A function that can be pickled."""


@pytest.mark.parametrize("make", [EagerStoreReader, open_reader, None])
def test_pickles_drop_what_cannot_be_pickled(make: Any, tmp_path: Path) -> None:
    local = LocalStore(tmp_path)
    local.put("o", CONTENT)

    def setting(progress: Any) -> Any:
        made = SplittingReadableStore(local, progress=progress) if make is None else make(local, "o", progress=progress)
        for copied in (copy.copy(made), copy.deepcopy(made)):
            assert repr(_setting(copied)) == repr(progress)
        again = pickle.loads(pickle.dumps(made))
        if make is not None:
            assert again.read() == CONTENT
        assert repr(_setting(pickle.loads(pickle.dumps(again)))) == repr(_setting(again))
        return _setting(again)

    assert setting(lambda *_: None) is None
    assert setting(SimpleNamespace(set_size=print, relative_update=lambda _: None)) is None
    assert setting(named)._value is named
    assert setting(BAR)._value is True
    assert setting(None) is None


def _setting(made: Any) -> Any:
    return made._progress if isinstance(made, SplittingReadableStore) else made._strategy._progress
