"""What it takes to open an object of some size: one round trip, two, or the first piece alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.readers import EagerStoreReader, ParallelStoreReader, open_reader

if TYPE_CHECKING:
    from .conftest import Remote

MIB = 1 << 20


@pytest.mark.parametrize("size", [1, MIB - 1, MIB])
def test_an_object_of_up_to_a_mebibyte_is_one_request(remote: Remote, size: int) -> None:
    content = remote.put("object", size)
    with open_reader(remote.store, "object") as file:
        assert file.read() == content
    assert [(request.method, request.sent) for request in remote.log()] == [("GET", size)]


@pytest.mark.parametrize(
    ("size", "memory", "parts"),
    [
        (MIB + 1, 64 * MIB, 1),
        (10 * MIB, 64 * MIB, 3),
        (18 * MIB, 18 * MIB, 17),
        (64 * MIB, 64 * MIB, 17),
    ],
)
def test_an_object_that_fits_into_memory_is_two_round_trips(remote: Remote, size: int, memory: int, parts: int) -> None:
    content = remote.put("object", size)
    remote.server.configure(latency=0.1, gather=parts)
    with open_reader(remote.store, "object", memory=memory) as file:
        count = len(remote.log())
        assert file.read() == content
        assert len(remote.log()) == count, "all of it was there when it was opened"
    first, *rest = remote.ranges()
    assert first == (0, MIB)
    assert rest == [
        (MIB + (size - MIB) * part // parts, MIB + (size - MIB) * (part + 1) // parts) for part in range(parts)
    ]
    # The first response tells the size and so is there before the others are asked for; its body may still arrive.
    assert parts <= remote.server.most_in_flight("bucket/object") <= min(parts + 1, 18)


def test_of_an_object_larger_than_memory_the_first_piece_is_fetched_and_used(remote: Remote) -> None:
    content = remote.put("object", 17 * MIB)
    file = open_reader(remote.store, "object", memory=16 * MIB)
    assert type(file) is ParallelStoreReader
    assert remote.ranges() == [(0, MIB)]
    assert file.size == 17 * MIB
    assert file.read(MIB) == content[:MIB]
    assert len(remote.log()) == 1
    file.seek(0, 2)
    file.seek(-100, 2)
    assert file.read() == content[-100:]
    assert len(remote.log()) == 2


def test_a_small_memory_asks_for_a_sixteenth_of_itself_first(remote: Remote) -> None:
    remote.put("object", MIB)
    open_reader(remote.store, "object", memory=160_000)
    assert remote.ranges() == [(0, 10_000)]


@pytest.mark.parametrize("memory", [1, 64 * MIB])
def test_an_empty_object_is_two_requests_at_most(remote: Remote, memory: int) -> None:
    remote.put("object", 0)
    assert open_reader(remote.store, "object", memory=memory).read() == b""
    assert len(remote.log()) == 2


def test_a_missing_object_is_one_request(remote: Remote) -> None:
    remote.server.clear()
    with pytest.raises(FileNotFoundError):
        open_reader(remote.store, "object")
    assert len(remote.log()) == 1


def test_an_object_replaced_while_it_is_opened_is_an_error(remote: Remote) -> None:
    remote.put("object", 3 * MIB)
    remote.server.add_fault("replace", "bucket/object", skip=1, times=1, data=bytes(3 * MIB))
    with pytest.raises(ObjectChangedError, match="'object' changed"):
        open_reader(remote.store, "object")


@pytest.mark.parametrize(("memory", "kind"), [(4 * MIB, EagerStoreReader), (MIB, ParallelStoreReader)])
def test_a_server_that_ignores_ranges_is_read_all_the_same(remote: Remote, memory: int, kind: type) -> None:
    content = remote.put("object", 3 * MIB)
    remote.server.add_fault("ignore_range")
    file = open_reader(remote.store, "object", memory=memory)
    assert type(file) is kind
    assert len(remote.log()) == 3  # the range, once more, and the whole
    assert file.read(MIB) == content[:MIB]
    assert len(remote.log()) == 3
    assert file.read() == content[MIB:]
