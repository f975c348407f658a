"""Bars of progress in a terminal."""

from __future__ import annotations

import io
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils._io.concurrency import limiter
from obspec_utils.readers import EagerStoreReader
from tests.unit._arriving import ASYNC, PART, SYNC, ArrivingStore, run
from tests.unit.test_interrupts import HeldStore, ctrl_c, interrupted, is_soon  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from collections.abc import Callable

BAR = True


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


def test_the_time_of_a_bar_is_that_since_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    now = time.time()
    monkeypatch.setattr("obspec_utils._progress.time", lambda: now - 3600)
    EagerStoreReader(ArrivingStore(streams=False), "o", progress=True)  # type: ignore[arg-type]
    assert "[1:0" in terminal.getvalue().split("\r")[-1]


def test_ctrl_c_closes_a_bar_at_once(ctrl_c: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811 - a fixture
    closed: list[int] = []
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr("obspec_utils._progress._Bar.close", lambda _: closed.append(threading.get_ident()))
    store = HeldStore()
    interrupted(store, ctrl_c, lambda: EagerStoreReader(store, "o", progress=True))  # type: ignore[arg-type]
    assert closed == [threading.get_ident()]
    store.go_on.set()
    assert is_soon(lambda: not limiter.in_use)
