"""Exactly the requests that are needed: their number, their ranges, their bytes."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

import pytest

from obspec_utils.readers import BlockStoreReader, BufferedStoreReader, EagerStoreReader, ParallelStoreReader
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

if TYPE_CHECKING:
    from .conftest import Remote

MIB = 1 << 20
LAZY = [ParallelStoreReader, BlockStoreReader, BufferedStoreReader]


@pytest.mark.parametrize("reader", LAZY)
def test_no_request_before_the_first_read(remote: Remote, reader: type[ParallelStoreReader]) -> None:
    remote.put("object", 10 * MIB)
    file = reader(remote.store, "object")
    file.seek(100)
    file.seek(5, io.SEEK_CUR)
    assert (file.tell(), file.readable(), file.seekable()) == (105, True, True)
    assert remote.log() == []


@pytest.mark.parametrize("reader", LAZY)
def test_the_size_comes_with_the_first_piece_and_the_piece_is_kept(
    remote: Remote, reader: type[ParallelStoreReader]
) -> None:
    content = remote.put("object", 10 * MIB)
    file = reader(remote.store, "object")
    assert file.seek(0, io.SEEK_END) == 10 * MIB
    assert remote.ranges() == [(0, MIB)]
    file.seek(0)
    assert file.read(1000) == content[:1000]
    assert file.size == 10 * MIB
    assert len(remote.log()) == 1


@pytest.mark.parametrize("reader", [EagerStoreReader, *LAZY])
def test_a_small_object_is_one_request(remote: Remote, reader: type[ParallelStoreReader]) -> None:
    content = remote.put("object", MIB)
    file = reader(remote.store, "object")
    assert file.read() == content
    file.seek(10)
    assert file.read(10) == content[10:20]
    assert [(request.method, request.sent) for request in remote.log()] == [("GET", MIB)]


@pytest.mark.parametrize("reader", [EagerStoreReader, *LAZY])
def test_an_empty_object_takes_two_requests_at_most(remote: Remote, reader: type[ParallelStoreReader]) -> None:
    remote.put("object", 0)
    file = reader(remote.store, "object")
    assert (file.size, file.read(), file.read(5), file.readinto(bytearray(5))) == (0, b"", b"", 0)
    assert len(remote.log()) == 2


def test_a_split_small_object_is_one_request(remote: Remote) -> None:
    content = remote.put("object", MIB)
    result = SplittingReadableStore(remote.store).get("object")
    assert result.buffer() == content
    assert result.buffer() == content
    assert len(remote.log()) == 1


def test_the_first_read_asks_for_what_it_needs_in_one_request(remote: Remote) -> None:
    content = remote.put("object", 10 * MIB)
    assert ParallelStoreReader(remote.store, "object").read(3 * MIB + 1) == content[: 3 * MIB + 1]
    assert remote.ranges() == [(0, 4 * MIB)]


def test_missing_blocks_are_few_requests_and_kept_ones_are_not_fetched_again(remote: Remote) -> None:
    content = remote.put("object", 40 * MIB)
    file = ParallelStoreReader(remote.store, "object")
    file.read(1)
    file.seek(32 * MIB)
    file.read(MIB)
    remote.server.clear()
    file.seek(30 * MIB)
    assert file.read(4 * MIB) == content[30 * MIB : 34 * MIB]
    assert remote.ranges() == [(30 * MIB, 31 * MIB), (31 * MIB, 32 * MIB), (33 * MIB, 34 * MIB)]
    remote.server.clear()
    file.seek(30 * MIB)
    assert file.read(4 * MIB) == content[30 * MIB : 34 * MIB]
    assert remote.log() == []


def test_a_read_longer_than_the_cache_goes_around_it(remote: Remote) -> None:
    content = remote.put("object", 10 * MIB)
    file = ParallelStoreReader(remote.store, "object", chunk_size=MIB, max_cached_chunks=2)
    file.read(1)
    file.seek(3 * MIB + 5)
    assert file.read(3 * MIB) == content[3 * MIB + 5 : 6 * MIB + 5]
    assert remote.ranges() == [(0, MIB), *((start * MIB + 5, (start + 1) * MIB + 5) for start in (3, 4, 5))]
    remote.server.clear()
    file.seek(0)
    assert file.read(10) == content[:10]
    assert remote.log() == []


def test_a_stream_fetches_every_byte_once(remote: Remote) -> None:
    content = remote.put("object", 10 * MIB)
    file = BufferedStoreReader(remote.store, "object")
    pieces = list(iter(lambda: file.read(70_000), b""))
    assert b"".join(pieces) == content
    assert remote.ranges() == [(0, MIB), (MIB, 2 * MIB), (2 * MIB, 3 * MIB), (3 * MIB, 7 * MIB), (7 * MIB, 10 * MIB)]
    assert sum(request.sent for request in remote.log()) == 10 * MIB


def test_an_unpickled_reader_asks_for_nothing_until_it_is_read(remote: Remote) -> None:
    import pickle

    content = remote.put("object", 3 * MIB)
    for make in (EagerStoreReader, *LAZY):
        file = make(remote.store, "object")
        file.read(1000)
        data = pickle.dumps(file)
        remote.server.clear()
        copy = pickle.loads(data)
        assert (copy.tell(), copy.size, copy.path) == (1000, 3 * MIB, "object")
        assert remote.log() == []
        assert copy.read(1000) == content[1000:2000]
        assert len(remote.log()) == 1


def test_a_server_without_ranges_is_read_whole(remote: Remote) -> None:
    content = remote.put("object", 3 * MIB)
    remote.server.add_fault("ignore_range")
    for make in (EagerStoreReader, *LAZY):
        file = make(remote.store, "object")
        assert file.read(10) == content[:10]
        assert file.size == 3 * MIB
    assert SplittingReadableStore(remote.store, request_size=MIB).get("object").buffer() == content
    assert bytes(CachingReadableStore(remote.store).get_range("object", start=5, length=9)) == content[5:14]


def test_a_first_failure_is_raised_when_the_whole_get_fails_too(remote: Remote) -> None:
    remote.put("object", MIB)
    remote.server.add_fault("status", status=500)
    bare: type[BaseException] | None = None
    try:
        remote.store.get("object", options={"range": (0, 10)})
    except Exception as error:  # noqa: BLE001 - whatever the store raises
        bare = type(error)
    assert bare is not None
    with pytest.raises(bare):
        EagerStoreReader(remote.store, "object")
    with pytest.raises(bare):
        asyncio.run(SplittingReadableStore(remote.store).get_async("object"))


def test_the_first_failing_part_keeps_the_rest_from_being_asked_for(remote: Remote) -> None:
    remote.put("object", 2 * MIB)
    remote.server.configure(latency=0.05)
    # The second batch must never start: its parts cover the end of the object.
    remote.server.add_fault("status", status=403, covers=150_000)
    with pytest.raises(Exception, match=r"(?i)403|forbidden|denied|permission"):
        EagerStoreReader(remote.store, "object", request_size=100_000, max_concurrent_requests=4)
    assert len(remote.log()) <= 8
    assert all((request.start or 0) < 1 * MIB for request in remote.log())


def test_a_result_of_a_server_without_ranges_can_be_read_again_after_a_failure(remote: Remote) -> None:
    content = remote.put("object", 3 * MIB)
    remote.server.add_fault("ignore_range")
    result = SplittingReadableStore(remote.store, request_size=MIB).get("object")
    first = result._body._first  # type: ignore[attr-defined]
    first.body()  # as if another consumer had read it, and failed
    result._body._first = None  # type: ignore[attr-defined]
    assert result.buffer() == content
