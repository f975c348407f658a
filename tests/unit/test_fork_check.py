"""What tells a process, before it forks, that obstore runs threads. The forks themselves are integration tests."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from obstore.store import LocalStore, MemoryStore

from obspec_utils._io import fork
from obspec_utils._io.fork import check_fork, check_fork_of_wrapped
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def unused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process that has read nothing, on a system that lists no threads."""
    monkeypatch.setattr(fork, "_TASKS", tmp_path / "missing")
    monkeypatch.setattr(fork, "_used", False)


def test_a_store_that_is_used_counts(unused: None, tmp_path: Path) -> None:
    assert not fork._runtime_threads()
    check_fork(object())
    check_fork(LocalStore(tmp_path), using=False)
    assert not fork._runtime_threads()
    check_fork(MemoryStore())
    assert fork._runtime_threads()


def test_looking_at_a_wrapper_s_methods_is_no_use(unused: None, tmp_path: Path) -> None:
    store = CachingReadableStore(SplittingReadableStore(LocalStore(tmp_path)))
    assert hasattr(store, "put")
    assert not fork._runtime_threads()


def test_a_native_store_is_refused_through_whatever_wraps_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fork, "_forked_after_io", True)
    with pytest.raises(RuntimeError, match=r"LocalStore can't be used .*\('spawn'\) or 'forkserver'"):
        check_fork_of_wrapped(CachingReadableStore(SplittingReadableStore(LocalStore(tmp_path))))
    with pytest.raises(RuntimeError, match=r"MemoryStore can't be used"):
        check_fork_of_wrapped(CachingReadableStore(MemoryStore()))
    check_fork(object())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lists a process's threads")
@pytest.mark.parametrize(("code", "expected"), [("", "False"), ("MemoryStore().put('a', b'')", "True")])
def test_on_linux_the_threads_themselves_tell(code: str, expected: str) -> None:
    # In a process of its own: this one has used obstore already. No read through the library, so names alone decide.
    imports = "from obstore.store import MemoryStore; from obspec_utils._io import fork"
    busy = "fork._NAMED_AFTER = 60"  # on a busy machine a thread may not get to name itself for long
    program = f"{imports}\n{busy}\n{code}\nprint(fork._runtime_threads())"
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        assert done.stdout.strip() == expected


def test_a_thread_that_ended_meanwhile_has_no_name_and_is_not_new(tmp_path: Path) -> None:
    assert fork._thread_name(tmp_path) == ""
    assert not fork._is_new(tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lists a process's threads")
@pytest.mark.parametrize("given", ["tokio-rt-worker", "tokio-runtime-w"])
def test_an_unnamed_thread_is_waited_for_only_while_it_is_new(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str
) -> None:
    monkeypatch.setattr(fork, "_used", False)
    monkeypatch.setattr(fork, "_TASKS", tmp_path)
    name = (fork.Path("/proc/self/comm")).read_text()
    now = int(fork.time.clock_gettime(fork.time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
    for native_id, started in ((fork.threading.get_native_id(), 0), (1_000_000_000, now + 10**6)):
        task = tmp_path / str(native_id)
        task.mkdir()
        (task / "comm").write_text(name)
        (task / "stat").write_text(f"1 (a) b) {' '.join(['0'] * 19)} {started} 0")
    waited: list[float] = []

    def settle(seconds: float) -> None:
        waited.append(seconds)
        (tmp_path / "1000000000" / "comm").write_text(f"{given}\n")

    monkeypatch.setattr(fork.time, "sleep", settle)
    assert fork._runtime_threads()
    assert len(waited) == 1
