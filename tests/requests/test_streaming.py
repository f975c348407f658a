"""Reading in sequence: one response at a time, longer and longer, left where reads jump, resumed where it is cut."""

from __future__ import annotations

import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest
from obstore.store import LocalStore

from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.readers import BufferedStoreReader
from obspec_utils.wrappers import RequestTrace, SplittingReadableStore, TracingReadableStore
from tests.servers import random_bytes
from tests.servers.fixtures import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Remote

MIB = 1 << 20
# The first piece, the first step in two parts; from there on it is clear where this goes: streams.
STEPS = [(0, 1), (1, 2), (2, 3), (3, 7), (7, 23), (23, 87), (87, 151), (151, 160)]
# What a connection may hold ahead of the reader, in the buffers of two kernels and an HTTP client, is less than that.
BUFFERS = 16 * MIB


def read_to(file: Any, stop: int, content: bytes, piece: int = 70_000) -> None:
    """Read in sequence, and check each piece."""
    while (start := file.tell()) < stop:
        assert file.read(min(piece, stop - start)) == content[start : min(start + piece, stop)]


def ranges(remote: Remote) -> list[tuple[float, float]]:
    """Return the ranges asked for, in MiB."""
    return [(start / MIB, stop / MIB) for start, stop in remote.ranges()]


def last(remote: Remote) -> Any:
    return max(remote.log(), key=lambda request: request.begin)


def put(remote: Remote, size: int) -> bytes:
    """Store an object no two pieces of which are alike where they could be taken for each other."""
    content = (random_bytes(MIB + 1009, seed=1) * (size // MIB))[:size]
    remote.server.put("bucket/object", content)
    return content


@pytest.fixture
def content(remote: Remote) -> bytes:
    return put(remote, 64 * MIB)


def test_reads_in_sequence_are_one_response_at_a_time_each_four_times_as_long(remote: Remote) -> None:
    content = put(remote, 160 * MIB)
    file = BufferedStoreReader(remote.store, "object")
    read_to(file, 3 * MIB, content)
    remote.server.clear()
    read_to(file, 160 * MIB, content)
    assert file.read(1) == b""
    assert ranges(remote) == STEPS[3:]
    assert remote.server.most_in_flight("bucket/object") == 1
    assert sum(request.sent for request in remote.log()) == 157 * MIB


@pytest.mark.parametrize("piece", [1000, MIB, 4 * MIB])
def test_the_length_of_reads_does_not_matter_up_to_four_buffers(remote: Remote, content: bytes, piece: int) -> None:
    file = BufferedStoreReader(remote.store, "object")
    read_to(file, 3 * MIB, content, min(piece, MIB))
    remote.server.clear()
    read_to(file, 20 * MIB, content, piece)
    assert remote.server.most_in_flight("bucket/object") == 1
    found = remote.ranges()
    assert [stop for _, stop in found[:-1]] == [start for start, _ in found[1:]], "nothing is asked for twice"


def test_a_longer_read_leaves_the_response_and_is_fetched_in_parallel(remote: Remote, content: bytes) -> None:
    file = BufferedStoreReader(remote.store, "object")
    read_to(file, 24 * MIB, content)
    remote.server.clear()
    assert file.read(30 * MIB) == content[24 * MIB : 54 * MIB]
    assert len(remote.log()) == 18


def test_a_short_skip_reads_on_in_the_same_response(remote: Remote, content: bytes) -> None:
    file = BufferedStoreReader(remote.store, "object")
    read_to(file, 24 * MIB, content)
    count = len(remote.log())
    for _ in range(20):
        file.seek(file.tell() + 250_000)
        start = file.tell()
        assert file.read(1000) == content[start : start + 1000]
    assert len(remote.log()) == count


def test_a_jump_leaves_the_response_whose_connection_is_closed_and_streams_anew_from_there(
    remote: Remote, content: bytes
) -> None:
    file = BufferedStoreReader(remote.store, "object")
    read_to(file, 24 * MIB, content)
    assert ranges(remote) == [*STEPS[:5], (23, 64)]
    file.seek(50 * MIB)
    assert file.read(10) == content[50 * MIB : 50 * MIB + 10]
    wait_until(lambda: all(request.end is not None for request in remote.log()))
    left = remote.log()[5]
    assert (left.start, left.stop) == (23 * MIB, 64 * MIB)
    assert left.sent < BUFFERS
    remote.server.clear()
    block = 1 / 16
    read_to(file, 57 * MIB, content)
    # As from the start of an object: what goes on once is fetched, what goes on twice is streamed, and starts short.
    assert ranges(remote) == [
        (50 + block, 51 + block),
        (51 + block, 52 + block),
        (52 + block, 56 + block),
        (56 + block, 64),
    ]


def test_what_was_read_before_a_jump_is_kept(remote: Remote, content: bytes) -> None:
    file = BufferedStoreReader(remote.store, "object")
    read_to(file, 8 * MIB, content)
    count = len(remote.log())
    for start in (0, 3 * MIB, 7 * MIB):
        file.seek(start)
        assert file.read(1000) == content[start : start + 1000]
    file.seek(8 * MIB)
    read_to(file, 22 * MIB, content)
    assert len(remote.log()) == count, "the response is still there to go on with"


def test_a_jump_and_a_long_read_never_have_more_than_eighteen_requests_in_flight(
    remote: Remote, content: bytes
) -> None:
    file = BufferedStoreReader(remote.store, "object")
    read_to(file, 24 * MIB, content)
    assert last(remote).stop == 64 * MIB
    # Long enough for the server to see that the other connection was closed.
    remote.server.configure(latency=0.1, gather=18)
    file.seek(28 * MIB)
    assert file.read(36 * MIB) == content[28 * MIB :]
    assert remote.server.most_in_flight("bucket/object") == 18


@pytest.mark.parametrize("after", [0, 5 * MIB])
def test_a_response_that_is_cut_is_resumed(remote: Remote, content: bytes, after: int) -> None:
    remote.server.add_fault("drop", "bucket/object", covers=20 * MIB, after=after, times=1)
    file = BufferedStoreReader(remote.store, "object")
    read_to(file, 23 * MIB, content)
    log = remote.log()
    cut = log[4]
    assert (cut.start, cut.stop, cut.sent) == (7 * MIB, 23 * MIB, after)
    # It goes on in streams that grow anew; of a response that never began, in parts side by side before.
    assert len(log) == (7 if after else 11)
    resumed = min(request.start for request in log[5:])
    # Of what had come in, the client may drop the last piece, of 4 blocks, together with the connection.
    assert 7 * MIB <= resumed <= 7 * MIB + after
    assert resumed >= 7 * MIB + after - MIB // 4
    assert sum(request.sent for request in log[:4]) == 7 * MIB


def test_a_response_cut_again_and_again_still_gives_all_bytes(remote: Remote) -> None:
    content = put(remote, 48 * MIB)
    for place in (6, 10, 30):
        remote.server.add_fault("drop", "bucket/object", covers=place * MIB, after=2 * MIB, times=1)
    file = BufferedStoreReader(remote.store, "object")
    read_to(file, 48 * MIB, content)
    assert file.read() == b""
    assert len([request for request in remote.log() if request.sent < request.stop - request.start]) == 3


def test_an_object_replaced_between_two_responses_is_an_error(remote: Remote, content: bytes) -> None:
    remote.server.add_fault("replace", "bucket/object", skip=4, times=1, data=bytes(64 * MIB))
    file = BufferedStoreReader(remote.store, "object")
    read_to(file, 7 * MIB, content)
    for _ in range(2):
        with pytest.raises(ObjectChangedError, match="'object' changed"):
            file.read(1000)
    assert file.tell() == 7 * MIB
    file.seek(6 * MIB)
    assert file.read(1000) == content[6 * MIB : 6 * MIB + 1000], "what was read of the old version is still whole"


def test_an_object_replaced_while_a_response_arrives_is_read_to_the_response_s_end(
    remote: Remote, content: bytes
) -> None:
    file = BufferedStoreReader(remote.store, "object")
    read_to(file, 8 * MIB, content)
    assert last(remote).stop == 23 * MIB
    remote.server.put("bucket/object", bytes(64 * MIB))
    read_to(file, 23 * MIB, content)
    with pytest.raises(ObjectChangedError, match="'object' changed"):
        file.read(1000)


def test_a_server_that_begins_to_ignore_ranges_is_asked_once_for_a_stream(remote: Remote) -> None:
    content = put(remote, 8 * MIB)
    file = BufferedStoreReader(remote.store, "object")
    read_to(file, 3 * MIB, content)
    remote.server.clear()
    remote.server.add_fault("ignore_range")
    read_to(file, 8 * MIB, content)
    asked = [request.range_header for request in remote.log()]
    assert asked.count(f"bytes={3 * MIB}-{7 * MIB - 1}") == 1


def test_of_a_store_that_does_not_stream_every_byte_is_asked_for_once(tmp_path: Path) -> None:
    content = bytes(range(256)) * (40 * MIB // 256)
    (tmp_path / "object").write_bytes(content)
    asked = []

    class Local(LocalStore):
        def get(self, path: str, *, options: Any = None) -> Any:
            asked.append(options["range"])
            return super().get(path, options=options)

    Local.__name__ = "LocalStore"
    file = BufferedStoreReader(Local(tmp_path), "object")
    read_to(file, len(content), content)
    asked.sort()
    assert [start for start, _ in asked] == [0, *(stop for _, stop in asked[:-1])]


def test_streams_come_through_wrappers(remote: Remote, content: bytes) -> None:
    trace = RequestTrace()
    store = TracingReadableStore(SplittingReadableStore(remote.store), trace)
    file = BufferedStoreReader(store, "object")
    read_to(file, 20 * MIB, content)
    traced = sorted((record.start / MIB, record.end / MIB) for record in trace.requests)
    assert traced == STEPS[:5]


def test_a_reader_pickled_in_the_middle_of_a_response_goes_on_in_one_of_its_own(remote: Remote, content: bytes) -> None:
    file = BufferedStoreReader(remote.store, "object")
    read_to(file, 25 * MIB, content)
    remote.server.clear()
    copy = pickle.loads(pickle.dumps(file))
    assert remote.log() == []
    read_to(copy, 26 * MIB, content)
    assert ranges(remote)[0] == (25, 26)
    count = len(remote.log())
    read_to(file, 26 * MIB, content)
    assert len(remote.log()) == count


def test_closing_in_the_middle_of_a_response_closes_its_connection(remote: Remote, content: bytes) -> None:
    file = BufferedStoreReader(remote.store, "object")
    read_to(file, 24 * MIB, content)
    file.close()
    wait_until(lambda: all(request.end is not None for request in remote.log()))
    assert last(remote).stop == 64 * MIB
    assert last(remote).sent < BUFFERS
    assert file._strategy._stream is None


@pytest.mark.parametrize("most", [None, 1, 3])
def test_no_thread_stays_behind_after_a_read(remote: Remote, content: bytes, most: int | None) -> None:
    before = set(threading.enumerate())  # among them those in which caches are called for tasks, which stay
    file = BufferedStoreReader(remote.store, "object", max_concurrent_requests=most)
    for start, length in ((0, 10), (MIB, 10), (3 * MIB, 10), (4 * MIB, 5 * MIB), (20 * MIB, 30 * MIB)):
        file.seek(start)
        assert file.read(length) == content[start : start + length]
        assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("most", [1, 2, 5, 40])
def test_with_several_requests_allowed_it_reads_ahead_in_batches_of_them(
    remote: Remote, content: bytes, most: int
) -> None:
    remote.server.configure(latency=0.1, gather=1)
    file = BufferedStoreReader(remote.store, "object", max_concurrent_requests=most)
    read_to(file, 64 * MIB, content, MIB // 2)
    assert sum(request.sent for request in remote.log()) == 64 * MIB
    found = remote.ranges()
    assert [stop for _, stop in found] == [*(start for start, _ in found[1:]), 64 * MIB]
    # A step is 32 buffers at the most, and no part is shorter than one.
    assert remote.server.most_in_flight("bucket/object") == min(most, 32)


def test_a_server_without_ranges_is_asked_for_the_whole_object_once_in_half_of_the_memory(remote: Remote) -> None:
    content = put(remote, 24 * MIB)
    remote.server.add_fault("ignore_range")
    file = BufferedStoreReader(remote.store, "object", buffer_size=MIB // 4)  # keeps 16 MiB
    read_to(file, 24 * MIB, content)
    assert sum(request.sent == 24 * MIB for request in remote.log()) == 1
    # The server may take note of a body's end only after the next request has come; 18 of them would be at once.
    assert remote.server.most_in_flight("bucket/object") <= 2


def test_sparse_reads_are_not_streamed_twice(remote: Remote) -> None:
    content = put(remote, 16 * MIB)
    file = BufferedStoreReader(remote.store, "object", buffer_size=64 << 10)
    for start in [*range(0, 16 * MIB, 16 << 10)] * 2:
        file.seek(start)
        assert file.read(100) == content[start : start + 100]
    # The first time it can't be known that most of it is not wanted. The second time, only what is wanted is fetched.
    assert sum(request.sent for request in remote.log()) <= 24 * MIB
