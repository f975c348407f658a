"""Which pending structures are looked for in memory: those that were wanted, and those near them."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest

from obspec_utils._formats.hdf5 import Structure
from obspec_utils._formats.hdf5.kinds import Kind
from tests.unit._hdf5_files import GrowingFile, h5py

COUNT = 600
STEP = 100_000


@cache
def distant_datasets() -> tuple[bytes, list[int]]:
    """Return a file whose datasets' headers lie far from each other, in pairs, and the offsets of the headers."""
    file = GrowingFile()
    with h5py.File(file, "w", libver="latest") as made:
        for number in range(COUNT):
            made.create_dataset(f"{number:04} a", (1,), "i1")[...] = 1
            made.create_dataset(f"{number:04} b", (1,), "i1")[...] = 1
            made.create_dataset(f"{number:04} c", (STEP,), "i1")[...] = 1
            made.flush()
        headers = [h5py.h5o.get_info(made[name].id).addr for name in made]
    return file.getvalue(), sorted(headers)


class Memory:
    """What is in memory of a file, and how often it is looked at."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.known = bytearray(len(data))
        self.reads = 0

    def add(self, start: int, stop: int) -> None:
        self.known[start:stop] = bytes([1]) * (stop - start)

    def read(self, start: int, stop: int) -> memoryview | None:
        self.reads += 1
        return memoryview(self.data)[start:stop] if self.known.find(0, start, stop) < 0 else None


@pytest.fixture
def at_headers() -> tuple[Structure, Memory]:
    """Return a structure of which object headers are pending, but for the first ones, and nothing else."""
    data, headers = distant_datasets()
    memory = Memory(data)
    structure = Structure(len(data))
    while others := [found for found in structure.wanted(100_000) if found.start not in headers[20:]]:
        for found in others:
            memory.add(*found)
        structure.parse(memory.read)
    assert len(structure._state.pending) == len(headers) - 20
    structure._state.pending._wanted.clear()
    return structure, memory


def pending_headers(structure: Structure) -> set[int]:
    return {node.start for node in structure._state.pending if node.kind is Kind.OBJECT_HEADER}


def test_few_of_many_pending_structures_are_looked_for(at_headers) -> None:
    structure, memory = at_headers
    before = pending_headers(structure)
    wanted = structure.wanted(20)
    memory.reads = 0
    structure.parse(memory.read)
    assert 20 <= memory.reads < 100
    for found in wanted:
        memory.add(*found)
    memory.reads = 0
    structure.parse(memory.read)
    assert 20 <= memory.reads < 100
    assert before - pending_headers(structure) == {found.start for found in wanted}
    memory.reads = 0
    structure.parse(memory.read)
    assert memory.reads == 0


def test_what_came_with_what_was_wanted_is_found(at_headers) -> None:
    structure, memory = at_headers
    before = pending_headers(structure)
    _data, headers = distant_datasets()
    # Both in the same 64 KiB.
    close = next(start for start, other in pairwise(headers[300:]) if 0 < other % 65536 - start % 65536 < 4000)
    (wanted,) = structure.wanted(1, near=close)
    assert wanted.start == close
    memory.add(wanted.start - 5000, wanted.stop + 5000)
    structure.parse(memory.read)
    found = before - pending_headers(structure)
    assert wanted.start in found
    assert len(found) > 1
    assert all(abs(start - wanted.start) < 5000 for start in found)


def test_what_came_without_being_wanted_is_found_once_it_is_wanted(at_headers) -> None:
    structure, memory = at_headers
    _data, headers = distant_datasets()
    memory.add(headers[300], headers[300] + 600)
    structure.parse(memory.read)
    assert headers[300] in pending_headers(structure)
    structure.wanted(1, near=headers[300])
    structure.parse(memory.read)
    assert headers[300] not in pending_headers(structure)


def test_any_of_few_pending_structures_is_found() -> None:
    data, _headers = distant_datasets()
    memory = Memory(data)
    structure = Structure(len(data))
    structure.parse(memory.read)
    memory.add(0, len(data))
    structure.parse(memory.read)
    assert structure.wanted(1) == []


def test_a_group_that_is_linked_from_below_takes_no_memory_when_complete() -> None:
    file = GrowingFile()
    with h5py.File(file, "w") as made:
        group_below = made.create_group("a/b")
        group_below["loop"] = made["a"]
        group = h5py.h5o.get_info(made["a"].id).addr
    data = file.getvalue()
    structure = Structure(len(data))
    known: set[tuple[int, int]] = set()
    # A symbol table entry tells where the B-tree of a group is, so that what is in the group may be known before it.
    while found := [found for found in structure.wanted(100) if found.start != group] or structure.wanted(100):
        assert sorted(structure.wanted(100, near=0, only=True)) == sorted(structure.wanted(100))
        known.update(found)
        structure.parse(lambda start, stop: data[start:stop] if (start, stop) in known else None)
    assert structure._state.pending._open == {}
