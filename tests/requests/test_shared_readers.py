"""Threads that share a reader wait for the requests that bring their bytes, and get the errors of their own bytes."""

from __future__ import annotations

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils.readers import BufferedStoreReader, EagerStoreReader, ParallelStoreReader, open_reader
from tests.servers.fixtures import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .conftest import Remote

MIB = 1 << 20
SIZE = 32 * MIB
OFFSETS = [(3 * number + 2) * MIB for number in range(8)]
MAKERS: dict[str, Callable[[Any], Any]] = {
    "parallel": lambda store: ParallelStoreReader(store, "object"),
    "nothing ahead": lambda store: ParallelStoreReader(store, "object", read_ahead=None),
    "buffered": lambda store: BufferedStoreReader(store, "object"),
}


def read_at_once(file: Any, offsets: Sequence[int], length: int = 100) -> list[bytes | Exception]:
    """Read at each offset in a thread of its own; all begin at the same time."""
    barrier = threading.Barrier(len(offsets))

    def read(offset: int) -> bytes | Exception:
        barrier.wait()
        try:
            return bytes(file._read_at(offset, offset + length))  # a position would be shared
        except Exception as error:  # noqa: BLE001
            return error

    with ThreadPoolExecutor(len(offsets)) as pool:
        return list(pool.map(read, offsets))


@pytest.mark.parametrize("make", MAKERS)
def test_first_reads_of_threads_wait_for_the_first_request_only(remote: Remote, make: str) -> None:
    content = remote.put("object", SIZE)
    remote.server.configure(gather=len(OFFSETS))
    file = MAKERS[make](remote.store)
    found = read_at_once(file, OFFSETS)
    assert found == [content[offset : offset + 100] for offset in OFFSETS]
    assert remote.server.most_in_flight() >= len(OFFSETS)


@pytest.mark.parametrize("is_read", [True, False])
@pytest.mark.parametrize("make", MAKERS)
def test_an_error_is_that_of_the_thread_that_reads_there(remote: Remote, make: str, is_read: bool) -> None:  # noqa: FBT001
    content = remote.put("object", SIZE)
    remote.server.add_fault("status", status=403, covers=OFFSETS[3] + 10)
    file = MAKERS[make](remote.store)
    if is_read:
        assert file.read(8) == content[:8]
    found = read_at_once(file, OFFSETS)
    assert [number for number, each in enumerate(found) if isinstance(each, Exception)] == [3]


@pytest.mark.parametrize("status", [403, 503])
def test_an_error_of_bytes_that_are_only_read_ahead_fails_no_read(remote: Remote, status: int) -> None:
    content = remote.put("object", SIZE)
    bad = 20 * MIB + 10
    remote.server.add_fault("status", status=status, covers=bad, times=None)
    file = ParallelStoreReader(remote.store, "object", read_ahead="pattern")
    step = 64 * 1024
    for start in range(0, bad // step * step, step):
        assert file.read(step) == content[start : start + step]
    assert any(request.status == status for request in remote.log())
    with pytest.raises(Exception, match=r"403|503|[Pp]ermission"):
        file.read(step)
    file.seek(bad + step)
    assert file.read(100) == content[bad + step : bad + step + 100]


def test_threads_that_wait_for_bytes_read_ahead_get_no_error(remote: Remote) -> None:
    content = remote.put("object", SIZE)
    file = ParallelStoreReader(remote.store, "object", read_ahead="pattern")
    while not remote.log() or remote.log()[-1].stop < 4 * MIB:
        file.read(64 * 1024)
    begin = max(request.stop for request in remote.log())
    offsets = [begin, begin + MIB, begin + 2 * MIB]
    remote.server.add_fault("status", status=503, covers=begin + 3 * MIB, times=None)
    assert read_at_once(file, offsets) == [content[offset : offset + 100] for offset in offsets]


@pytest.mark.parametrize("make", [lambda store: copy.copy(EagerStoreReader(store, "object")), *MAKERS.values()])
def test_threads_that_wait_while_a_reader_is_closed_request_nothing(remote: Remote, make: Callable[[Any], Any]) -> None:
    content = remote.put("object", 4 * MIB)
    file = make(remote.store)
    if not isinstance(file, EagerStoreReader):
        file.read(8)
    remote.server.clear()
    remote.server.add_fault("stall", seconds=1, times=1)
    with ThreadPoolExecutor(9) as pool:
        reads = pool.submit(read_at_once, file, [2 * MIB] * 8)
        wait_until(lambda: remote.server.most_in_flight() > 0)
        file.close()
        found = reads.result()
    assert {str(each)[:29] for each in found if isinstance(each, ValueError)} == {"I/O operation on closed file:"}
    assert all(isinstance(each, ValueError) or each == content[2 * MIB : 2 * MIB + 100] for each in found)
    assert sum(request.sent for request in remote.log()) <= 5 * MIB


@pytest.mark.parametrize("copied", [copy.copy, lambda file: pickle.loads(pickle.dumps(file))])
@pytest.mark.parametrize("make", [*MAKERS.values(), lambda store: open_reader(store, "object", memory=16 * MIB)])
def test_a_copy_knows_that_the_server_ignores_ranges(
    remote: Remote, make: Callable[[Any], Any], copied: Callable[[Any], Any]
) -> None:
    content = remote.put("object", SIZE)
    remote.server.add_fault("ignore_range")
    file = make(remote.store)
    file.read(8)
    file = copied(file)
    remote.server.clear()
    file.seek(0)
    assert b"".join(iter(lambda: file.read(256 * 1024), b"")) == content
    assert sum(request.status == 200 for request in remote.log()) <= 3
    assert sum(request.sent for request in remote.log()) <= SIZE + 16 * MIB


def test_without_read_ahead_no_byte_in_memory_is_requested_again(remote: Remote) -> None:
    content = remote.put("object", SIZE)
    file = ParallelStoreReader(remote.store, "object", read_ahead=None)
    block = MIB // 16
    file.read(8)
    for start, stop in ((105, 106), (104, 107)):
        assert file._read_at(start * block, stop * block) == content[start * block : stop * block]
    assert remote.ranges()[1:] == [(104 * block, 105 * block), (105 * block, 106 * block), (106 * block, 107 * block)]
