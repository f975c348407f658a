"""What small hostile HDF5 files cost is bounded, counted in positions, chunks, calls and structures."""

from __future__ import annotations

import struct
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from obspec_utils._formats.hdf5.chunks import ChunkOffsets, ChunkTable
from obspec_utils._formats.hdf5.datatype import value_references

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
