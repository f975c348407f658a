"""Read-ahead by the structure of HDF5 files: requests, requests in sequence and bytes."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.readers import BlockStoreReader, ParallelStoreReader, open_reader
from tests.unit._hdf5 import RecordingFile

from ._hdf5_granules import STEPS, VARIABLES, chunked_in_steps, grouped, scattered, walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.servers import LoggedRequest

    from .conftest import Remote

pytestmark = pytest.mark.parametrize("remote", ["s3"], indirect=True)

MIB = 1 << 20
CHUNK = 40_000
MAX_IN_FLIGHT = 64


@pytest.fixture
def slow(remote: Remote) -> Remote:
    """A server slow enough that requests sent together are in flight together."""
    remote.server.configure(latency=0.03, gather=1)
    return remote


def put(remote: Remote, data: bytes) -> None:
    remote.server.put("bucket/object", data)
    remote.server.clear()


def in_sequence(log: Sequence[LoggedRequest]) -> int:
    """Return the length of the longest chain of requests of which each began after the one before had ended."""
    count, last = 0, 0.0
    for request in sorted(log, key=lambda request: request.end or 0):
        if request.begin >= last:
            count, last = count + 1, request.end or 0
    return count


def sent(log: Sequence[LoggedRequest]) -> int:
    return sum(request.sent for request in log)


def sent_twice(log: Sequence[LoggedRequest]) -> int:
    """Return how many bytes were sent more than once."""
    spans = sorted((request.start or 0, request.stop or 0) for request in log)
    seen, twice = 0, 0
    for start, stop in spans:
        twice += max(0, min(stop, seen) - start)
        seen = max(seen, stop)
    return twice


def test_a_walk_through_scattered_metadata_takes_few_rounds_and_few_bytes(slow: Remote) -> None:
    put(slow, scattered())
    with h5py.File(ParallelStoreReader(slow.store, "object")) as file:
        assert walk(file) == 150
    log = slow.log()
    assert in_sequence(log) <= 20  # 147 without read-ahead
    assert sent(log) < 3 * MIB  # 10 MB without read-ahead; 30 MB by the access pattern alone
    assert sent_twice(log) == 0
    assert slow.server.most_in_flight() <= MAX_IN_FLIGHT


def test_a_walk_through_a_thousand_datasets_in_groups_takes_few_rounds_and_few_bytes(slow: Remote) -> None:
    put(slow, grouped())
    with h5py.File(BlockStoreReader(slow.store, "object")) as file:
        assert walk(file) == 1000
    log = slow.log()
    assert in_sequence(log) <= 80  # in 64 at once, 24 for the requests alone; 1,027 without read-ahead
    assert sent(log) < 12 * MIB  # 69 MB without read-ahead; 100 MB by the access pattern alone
    assert sent_twice(log) < MIB
    assert slow.server.most_in_flight() <= MAX_IN_FLIGHT


@pytest.mark.parametrize("chunk", [1_000, 2_500, 10_000])
def test_what_is_fetched_for_a_walk_is_at_most_four_times_what_h5py_reads(remote: Remote, chunk: int) -> None:
    data = grouped(chunk)
    put(remote, data)
    local = RecordingFile(data)
    with h5py.File(local) as file:
        walk(file)
    with h5py.File(ParallelStoreReader(remote.store, "object")) as file:
        walk(file)
    assert sent(remote.log()) <= 4 * sum(stop - start for start, stop in local.reads)


def test_one_dataset_of_a_thousand_does_not_fetch_the_structure_of_all(slow: Remote) -> None:
    put(slow, grouped())
    with h5py.File(ParallelStoreReader(slow.store, "object")) as file:
        data = file["beam 07/part/dataset 31"]
        assert data.attrs["units"].startswith("units of dataset 31")
        assert (data[...] == 31).all()
    log = slow.log()
    assert len(log) <= 7 * 32 + 10  # the walk takes 1,500
    assert sent(log) < 3 * MIB
    assert in_sequence(log) <= 16


@pytest.mark.parametrize(
    ("steps", "most_requests"),
    [
        pytest.param(range(STEPS), 75, id="forward"),
        pytest.param(range(STEPS - 1, -1, -1), 75, id="reversed"),
        pytest.param(range(0, STEPS, 3), 30, id="stride"),
        pytest.param(range(STEPS - 1, -1, -4), 25, id="reversed stride"),
    ],
)
def test_chunks_of_one_variable_are_fetched_ahead_wherever_they_lie(
    slow: Remote, steps: range, most_requests: int
) -> None:
    put(slow, chunked_in_steps())
    with h5py.File(ParallelStoreReader(slow.store, "object")) as file:
        data = file["v05"]
        for step in steps:
            assert (data[step] == step * VARIABLES + 5).all()
    log = slow.log()
    assert in_sequence(log) <= 12  # as many as there are steps without read-ahead
    assert len(log) <= most_requests
    assert sent(log) <= 1.2 * CHUNK * len(steps) + MIB
    assert slow.server.most_in_flight() <= MAX_IN_FLIGHT


def test_tiny_chunks_are_fetched_by_blocks_that_hold_many(slow: Remote) -> None:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["before"] = np.zeros(3 * MIB, "u1")
        file.create_dataset("tiny", data=np.arange(200_000), chunks=(100,))  # 2,000 chunks of 800 bytes
    put(slow, content.getvalue())
    with h5py.File(ParallelStoreReader(slow.store, "object")) as file:
        assert (file["tiny"][...] == np.arange(200_000)).all()
    assert in_sequence(slow.log()) <= 8  # 24 if they were fetched one by one, in batches that grow
    assert sent_twice(slow.log()) == 0


def test_chunks_read_at_random_are_not_fetched_ahead(slow: Remote) -> None:
    put(slow, chunked_in_steps())
    steps = np.random.default_rng(1).permutation(STEPS)[:20]
    with h5py.File(ParallelStoreReader(slow.store, "object")) as file:
        for step in steps:
            assert (file["v05"][step] == step * VARIABLES + 5).all()
    assert sent(slow.log()) <= 1.2 * CHUNK * (len(steps) + 8) + MIB


@pytest.mark.parametrize("make", [scattered, grouped, chunked_in_steps])
def test_metadata_is_complete_before_the_walk(remote: Remote, make) -> None:
    put(remote, make())
    reader = ParallelStoreReader(remote.store, "object", read_ahead="metadata")
    assert remote.log()
    remote.server.clear()
    with h5py.File(reader) as file:
        walk(file)
    assert remote.log() == []


def test_a_structure_that_does_not_fit_keeps_no_others_from_being_fetched(remote: Remote) -> None:
    content = io.BytesIO()
    with h5py.File(content, "w", libver="latest") as file:
        file.attrs["large"] = np.zeros(900_000, "u1")
        for number in range(60):
            file.create_dataset(f"group {number % 5}/data {number}", data=np.zeros(10_000, "i4"), chunks=(5_000,))
    put(remote, content.getvalue())
    reader = open_reader(remote.store, "object", memory=2 * MIB, read_ahead="metadata")
    remote.server.clear()
    with h5py.File(reader) as file:
        for group in file.values():
            for data in group.values():
                assert data.id.get_num_chunks() == 2
    assert len(remote.log()) <= 1


def test_open_reader_sends_one_request_when_it_is_called(slow: Remote) -> None:
    put(slow, grouped())
    open_reader(slow.store, "object", memory=8 * MIB)
    assert len(slow.log()) == 1
    assert sent(slow.log()) <= MIB


def test_open_reader_fetches_metadata_when_it_is_called(remote: Remote) -> None:
    put(remote, grouped())
    reader = open_reader(remote.store, "object", read_ahead="metadata")
    remote.server.clear()
    with h5py.File(reader) as file:
        walk(file)
    assert remote.log() == []


def test_metadata_larger_than_the_memory_is_fetched_as_far_as_that_goes(remote: Remote) -> None:
    put(remote, grouped())
    reader = ParallelStoreReader(remote.store, "object", 1 << 16, 16, read_ahead="metadata")
    log = remote.log()
    assert sent(log) <= MIB
    assert reader.stats().bytes_kept <= MIB
    with h5py.File(reader) as file:
        assert walk(file) == 1000
    assert reader.stats().bytes_kept <= MIB


def test_without_read_ahead_only_what_is_read_is_fetched(remote: Remote) -> None:
    put(remote, scattered())
    reader = ParallelStoreReader(remote.store, "object", read_ahead=None)
    reader.seek(3 * MIB + 100)
    reader.read(10)
    reader.seek(9 * MIB + 100)
    reader.read(10)
    block = MIB // 16
    assert remote.ranges() == [(0, MIB), (3 * MIB, 3 * MIB + block), (9 * MIB, 9 * MIB + block)]


def _reads(remote: Remote, read_ahead: str) -> list[tuple[int, int]]:
    remote.server.clear()
    reader = ParallelStoreReader(remote.store, "object", 1 << 16, 32, read_ahead=read_ahead)
    size = reader.size
    for place in (0, 100, 70_000, 200_000, 300_000, 1_000_000, 999_000, 1_400_000, 300_000, 5):
        reader.seek(place % size)
        reader.read(3_000)
    return sorted((request.start or 0, request.sent) for request in remote.log())


def _like_hdf5(size: int, *, version: int = 0, sizes: int = 8, end: int = 0, root: int = 96) -> bytes:
    """Return a superblock that begins like one of HDF5, and then nothing that makes sense."""
    head = b"\x89HDF\r\n\x1a\n"
    if version == 0:
        head += bytes([0, 0, 0, 0, 0, sizes, sizes, 0]) + struct.pack("<HHI", 4, 16, 0)
        head += struct.pack("<QQQQ", 0, 2**64 - 1, end or size, 2**64 - 1) + struct.pack("<QQII16x", 0, root, 0, 0)
    else:
        head += bytes([version, sizes, sizes, 0]) + struct.pack("<QQQQI", 0, 2**64 - 1, end or size, root, 0)
    return head + np.random.default_rng(2).bytes(size - len(head))


NOT_HDF5 = {
    "another format": np.random.default_rng(1).bytes(2 * MIB),
    "zeros": bytes(2 * MIB),
}
LIKE_HDF5 = {
    "only the signature": b"\x89HDF\r\n\x1a\n" + np.random.default_rng(3).bytes(2 * MIB),
    "unknown version": _like_hdf5(2 * MIB, version=77),
    "sizes of offsets of 3": _like_hdf5(2 * MIB, sizes=3),
    "sizes of offsets of 3, version 2": _like_hdf5(2 * MIB, version=2, sizes=3),
    "sizes of offsets of 255": _like_hdf5(2 * MIB, version=3, sizes=255),
    "root outside": _like_hdf5(2 * MIB, version=2, root=1 << 50),
}


@pytest.mark.parametrize("content", [*NOT_HDF5.values(), *LIKE_HDF5.values()], ids=[*NOT_HDF5, *LIKE_HDF5])
def test_a_file_without_known_structure_is_read_as_by_the_access_pattern(remote: Remote, content: bytes) -> None:
    put(remote, content)
    expected = _reads(remote, "pattern")
    assert _reads(remote, "auto") == expected
    assert _reads(remote, "metadata") == expected


@pytest.mark.parametrize("root", [96, 1 << 19, 1 << 50])
@pytest.mark.parametrize("version", [0, 2])
def test_a_superblock_that_claims_petabytes_costs_no_more_than_the_file(
    remote: Remote, version: int, root: int
) -> None:
    content = _like_hdf5(2 * MIB, version=version, end=1 << 52, root=root)
    put(remote, content)
    for read_ahead in ("auto", "metadata"):
        remote.server.clear()
        reader = ParallelStoreReader(remote.store, "object", 1 << 16, 32, read_ahead=read_ahead)
        for place in range(0, 2 * MIB, 300_000):
            reader.seek(place)
            assert reader.read(100) == content[place : place + 100]
        assert sent(remote.log()) <= 2 * MIB + (1 << 16)


@pytest.mark.parametrize("after", [1, 3, 12])
def test_an_object_replaced_between_two_rounds_is_an_error(remote: Remote, after: int) -> None:
    content = scattered()
    put(remote, content)
    remote.server.add_fault("replace", "bucket/object", skip=after, times=1, data=content[::-1])
    with pytest.raises(ObjectChangedError, match="'object' changed"):
        ParallelStoreReader(remote.store, "object", read_ahead="metadata")


def test_an_object_replaced_between_two_reads_is_an_error(remote: Remote) -> None:
    content = chunked_in_steps()
    put(remote, content)
    reader = ParallelStoreReader(remote.store, "object")
    with h5py.File(reader) as file:
        data = file["v05"]
        data[0]
        remote.server.put("bucket/object", content[:-1] + b"x")
        start = data.id.get_chunk_info(50).byte_offset
        reader.seek(start)
        with pytest.raises(ObjectChangedError):
            reader.read(CHUNK)


@pytest.mark.parametrize("read_ahead", ["auto", "metadata"])
def test_a_server_without_ranges_gets_no_more_requests_and_the_bytes_are_right(remote: Remote, read_ahead: str) -> None:
    content = chunked_in_steps()[: 6 * MIB]
    put(remote, content)
    remote.server.add_fault("ignore_range")
    counts = []
    for mode in ("pattern", read_ahead):
        remote.server.clear()
        reader = ParallelStoreReader(remote.store, "object", 1 << 16, 8, read_ahead=mode)
        assert reader.read(3 * MIB) == content[: 3 * MIB]
        assert reader.read() == content[3 * MIB :]
        reader.seek(MIB)
        assert reader.read(1000) == content[MIB : MIB + 1000]
        counts.append(len(remote.log()))
    assert counts[0] == counts[1]


def test_a_server_that_stops_serving_ranges_still_gives_the_right_bytes(remote: Remote) -> None:
    content = scattered()[: 8 * MIB]
    put(remote, content)
    reader = ParallelStoreReader(remote.store, "object", 1 << 16, 16)
    reader.read(1)
    remote.server.add_fault("ignore_range")
    for place in range(0, 8 * MIB, 700_001):
        reader.seek(place)
        assert reader.read(5_000) == content[place : place + 5_000]
