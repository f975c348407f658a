"""What small hostile HDF5 files cost is bounded, counted in positions, chunks, calls and structures."""

from __future__ import annotations

import struct
import sys
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from obspec_utils._formats.hdf5.chunks import ChunkOffsets, ChunkTable
from obspec_utils._formats.hdf5.datatype import value_references
from obspec_utils._formats.hdf5.heap_objects import FractalHeap
from obspec_utils._formats.hdf5.kinds import Kind
from obspec_utils._formats.hdf5.pending import Node, Pending
from obspec_utils._ranges import ByteRange

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = struct.pack("<BBBBI", 0x19, 1, 0, 0, 1) + struct.pack("<BBBBI4x", 0x10, 0, 0, 0, 1)


def array_of(element: bytes, size: int) -> bytes:
    return struct.pack("<BBBBIBI", 0x3A, 0, 0, 0, size, 1, 1) + element


def compound_of(member: bytes, size: int) -> bytes:
    return struct.pack("<BBBBI", 0x36, 1, 0, 0, size) + b"\0\0" + member


def peak_of(function: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def calls_of(function: Callable[[], object]) -> int:
    """Return how many calls a function makes, of functions in Python and in C, counting the resumption of generators."""
    count = 0

    def profile(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


def test_no_more_positions_of_references_are_computed_than_are_used():
    bomb = TEXT
    for size in (4096, 200):
        bomb = compound_of(array_of(bomb, size), 1)
    assert value_references(bomb, 10) == (1, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert peak_of(lambda: value_references(bomb, 1000)) < 200_000


def test_datatypes_are_not_kept():
    compounds = [compound_of(array_of(TEXT, 1000), number) for number in range(256)]
    tracemalloc.start()
    try:
        for compound in compounds:
            value_references(compound, 1000)
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", [(1 << 40,), (0,)], ids=["within the grid", "outside of the grid"])
def test_consecutive_chunks_are_computed_up_to_the_limit_of_all_tables(shape, monkeypatch):
    computed = []
    numbers_from = ChunkTable.numbers_from

    def counting(table, first, count):
        computed.append(count)
        return numbers_from(table, first, count)

    monkeypatch.setattr(ChunkTable, "numbers_from", counting)
    offsets = ChunkOffsets(1 << 30)
    for number in range(4):
        table = ChunkTable(number, (1, 1))
        table.set_shape(shape, (1 << 40,), None)
        table.consecutive = (0, 4096)
        offsets.tables.append(table)
        offsets.add_consecutive(number)
        assert table.consecutive is None
    assert computed == [1 << 18, 1 << 18]
    assert not offsets.has_room(1)


def test_a_direct_block_costs_nothing_for_the_objects_that_wait_for_others():
    heap = FractalHeap(Kind.LINK, lambda *_arguments: None)
    heap.width, heap.starting_size, heap.max_direct_size, heap.offset_width, heap.length_width = 1 << 10, 8, 8, 4, 2
    parent = Node(Kind.BTREE2_NODE, 0, 0, 10)

    def alternate():
        for number in range(1000):
            heap.find((5000 + number) << 8, parent, None)
            heap.add_block(8 * number, 100)

    assert calls_of(alternate) < 20_000


def test_a_chain_of_structures_costs_the_same_for_each_and_what_is_far_above_is_forgotten():
    pending = Pending()
    nodes = [Node(Kind.OBJECT_HEADER, 0, 0, 8)]

    def follow() -> None:
        for number in range(1, 2000):
            pending.add(nodes[-1])
            pending.finish(nodes[-1])
            nodes.append(Node(Kind.OBJECT_HEADER, number, number, number + 8, parent=nodes[-1]))

    assert calls_of(follow) < 2000 * 64 * 8
    known = 0
    node = nodes[-1]
    while node.parents:
        (node,) = node.parents
        known += 1
    assert known <= 65
    pending.add(nodes[-1])
    relatives = pending.wanted(10, nodes[-60].start, only=True)
    assert relatives == [ByteRange(1999, 2007)]
