"""Memory that parts are written into: right bytes, alive as long as anybody looks, gone afterwards."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from obstore import Bytes

from obspec_utils._io import allocation
from obspec_utils._io.allocation import WriteTarget, allocate

if TYPE_CHECKING:
    from obspec_utils._io.allocation import Allocation

MIB = 1 << 20
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture(params=["array", "file", "mapping"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "array":
        monkeypatch.setattr(allocation, "_LARGE", 1 << 40)
    else:
        monkeypatch.setattr(allocation, "_LARGE", 1)
    if request.param == "mapping":
        monkeypatch.delattr(os, "memfd_create", raising=False)
    elif request.param == "file" and not hasattr(os, "memfd_create"):
        pytest.skip("no memory files here")
    return {"array": allocation._Array, "file": allocation._File, "mapping": allocation._Mapping}[request.param]


def fill(memory: Allocation, content: bytes, step: int) -> None:
    starts = range(0, len(content), step)
    with ThreadPoolExecutor(4) as pool:
        for start in starts:
            pool.submit(WriteTarget(memory, start).write, 0, content[start : start + step])


@pytest.mark.parametrize("step", [1000, 4096, 99_999])
def test_what_threads_write_side_by_side_is_read(kind: Any, step: int) -> None:
    content = os.urandom(300_001)
    memory = allocate(len(content))
    assert type(memory) is kind
    fill(memory, content, step)
    assert memory.view == content
    assert memory.view.readonly
    WriteTarget(memory, 5).write(2, b"again")
    assert bytes(memory.view[:14]) == content[:7] + b"again" + content[12:14]


def test_bytes_over_it_are_right_when_all_else_is_gone(kind: Any) -> None:
    content = os.urandom(3 * MIB)
    memory = allocate(len(content))
    assert memory.write(0, content) == len(content)
    kept = Bytes(memory.view[MIB : 2 * MIB])
    del memory
    gc.collect()
    others = [allocate(3 * MIB) for _ in range(4)]
    for other in others:
        other.write(0, bytes(3 * MIB))
    assert kept == content[MIB : 2 * MIB]


@linux
def test_it_goes_with_the_last_view_and_no_file_stays_open(kind: Any) -> None:
    def held() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), Path("/proc/self/maps").read_text().count("obspec-utils")

    gc.collect()
    before = held()
    view = Bytes(allocate(2 * MIB).view)
    assert len(view) == 2 * MIB
    del view
    assert held() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_reads_the_same(kind: Any) -> None:
    memory = allocate(MIB)
    memory.write(0, b"x" * MIB)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are threads is the point
        child = os.fork()
    if not child:
        os._exit(0 if bytes(memory.view) == b"x" * MIB else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_where_no_file_can_be_had_it_is_a_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "memfd_create", refuse, raising=False)
    memory = allocate(allocation._LARGE)
    assert isinstance(memory, allocation._Mapping)
    assert memory.write(7, b"abc") == 10
    assert bytes(memory.view[6:11]) == b"\0abc\0"


def test_nothing_is_reserved_for_nothing() -> None:
    assert bytes(allocate(0).view) == b""
