"""Progress: which numbers are shown, and how: by functions, callbacks of fsspec and bars."""

from __future__ import annotations

import copy
import io
import pickle
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from obstore.store import LocalStore

from obspec_utils._io.progress import Progress
from obspec_utils.readers import EagerStoreReader, open_reader
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore
from tests.unit._arriving import ASYNC, CONTENT, SIZE, SYNC, ArrivingStore, Updates, check_calls, run
from tests.unit.test_progress_bar import Terminal

if TYPE_CHECKING:
    from pathlib import Path

BAR = True

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


def test_loads_that_end_one_after_the_other_are_shown_ten_times_a_second(
    progress: Progress, clock: Clock, calls: list[Any]
) -> None:
    """A body that is streamed is loaded batch by batch."""
    counter = progress.counter(1000)
    for _ in range(999):
        counter.add(1)
        clock.now += 0.002
        progress.end()
    assert 18 <= len(calls) <= 20
    counter.add(1)
    progress.end()
    assert calls[-2:] == [(1000, 1000), "closed"]


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
        ModuleNotFoundError, match=r'^progress=True needs tqdm: pip install "obspec-utils\[progress\]"$'
    ):
        EagerStoreReader(store, "o", progress=True)  # type: ignore[arg-type]
    assert store.requests == []


async def never_awaited(_: int, __: int | None) -> None:
    """Show nothing."""


@pytest.mark.parametrize("value", [5, "o", 0, [], Updates, "secret_key=SECRET", never_awaited])
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
