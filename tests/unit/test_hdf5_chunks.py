"""The chunks of datasets, in row-major order, are those that libhdf5 finds."""

from __future__ import annotations

import struct

import pytest

from obspec_utils._formats.hdf5 import ChunkTable, Structure, structure
from obspec_utils._formats.hdf5.chunks import ChunkOffsets
from obspec_utils._formats.hdf5.kinds import Kind
from obspec_utils._formats.hdf5.layout import parse_data_layout
from obspec_utils._formats.hdf5.messages import HANDLERS
from obspec_utils._formats.hdf5.pending import Node
from obspec_utils._formats.hdf5.state import State
from tests.unit._hdf5 import chunks_by_h5py, complete
from tests.unit._hdf5_files import LIBVERS, all_files

DATASPACE = 1

FILES = [
    *(
        f"{name}, {libver}"
        for name in ("chunked", "sparse", "early_allocation", "changed", "paged", "chunks_after_user_block")
        for libver in LIBVERS
    ),
    "chunked, earliest, offsets of 4",
    # "chunked, latest, offsets of 4" is not here: libhdf5 2.0 itself does not find the unlimited dimension in it.
    "far_chunks, latest",
    "shared_messages",
    "btree_k_values",
    "superblock_1",
]


def structure_of(data: bytes) -> Structure:
    parsed = Structure(len(data))
    complete(parsed, data)
    return parsed


def contents(table: ChunkTable, data: bytes) -> list[tuple[int, bytes]]:
    return [
        (number, data[offset : offset + size])
        for number, offset, size in zip(table.numbers, table.offsets, table.sizes, strict=True)
    ]


@pytest.mark.parametrize("name", FILES)
def test_chunks_are_those_of_h5py_in_logical_order(name):
    data = all_files()[name]
    tables = {table.address: table for table in structure_of(data).chunks}
    expected = chunks_by_h5py(data)
    assert tables.keys() >= expected.keys()
    for address, chunks in expected.items():
        table = tables[address]
        assert contents(table, data) == [(number, content) for number, _, content in chunks]
        for found, (_, offset, _) in zip(table.offsets, chunks, strict=True):
            assert offset in (found, None)


@pytest.mark.parametrize("name", FILES)
def test_chunks_of_an_index_that_is_read_before_the_dataspace_are_known_after_it(name, monkeypatch):
    data = all_files()[name]
    dataspaces = []
    handle = HANDLERS[DATASPACE]
    monkeypatch.setitem(HANDLERS, DATASPACE, lambda state, *message: dataspaces.append(message))
    parsed = structure_of(data)
    assert [len(table) for table in parsed.chunks] == [0] * len(parsed.chunks)
    state = parsed._state
    state.discovered.clear()
    for header, body in dataspaces:
        handle(state, header, body)
    for node in state.discovered:
        state.pending.add(node)
    complete(parsed, data)
    found = {table.address: contents(table, data) for table in parsed.chunks}
    monkeypatch.undo()
    assert found == {table.address: contents(table, data) for table in structure_of(data).chunks}


@pytest.mark.parametrize("name", ["many_chunks, earliest", "many_chunks, latest"])
def test_each_chunk_is_found_by_the_offset_of_any_of_its_bytes(name):
    parsed = structure_of(all_files()[name])
    assert sum(len(table) for table in parsed.chunks) > 20_000
    for table in parsed.chunks:
        assert list(table.numbers) == list(range(len(table)))
        for position in range(0, len(table), 7):
            first, last = table.offsets[position], table.offsets[position] + table.sizes[position] - 1
            assert parsed.find_chunk(first) == parsed.find_chunk(last) == (table, position)


def test_an_offset_outside_of_chunks_has_none():
    data = all_files()["chunked, latest"]
    parsed = structure_of(data)
    ends = {o + s for table in parsed.chunks for o, s in zip(table.offsets, table.sizes, strict=True)}
    starts = {offset for table in parsed.chunks for offset in table.offsets}
    assert parsed.find_chunk(0) is None
    assert parsed.find_chunk(len(data)) is None
    for end in ends - starts:
        assert parsed.find_chunk(end) is None


def test_chunks_are_found_while_more_become_known():
    data = all_files()["many_chunks, earliest"]
    parsed = Structure(len(data))
    known = bytearray(len(data))
    seen = 0
    while wanted := parsed.wanted(5):
        for start, stop in reversed(wanted):
            known[start:stop] = bytes([1]) * (stop - start)
        parsed.parse(lambda start, stop: data[start:stop] if known.find(0, start, stop) < 0 else None)
        count = sum(map(len, parsed.chunks))
        if count > seen:
            seen = count
            for table in parsed.chunks:
                assert list(table.numbers) == sorted(table.numbers)
                for position in range(0, len(table), 500):
                    assert parsed.find_chunk(table.offsets[position]) == (table, position)
    assert seen > 20_000


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.CHUNK_BTREE, "chunked, earliest"),
        (Kind.BTREE2_NODE, "chunked, latest"),
        (Kind.FIXED_ARRAY_BLOCK, "chunked, latest"),
        (Kind.FIXED_ARRAY_PAGE, "far_chunks, latest"),
        (Kind.EXTENSIBLE_ARRAY_INDEX_BLOCK, "chunked, latest"),
        (Kind.EXTENSIBLE_ARRAY_SUPER_BLOCK, "far_chunks, latest"),
        (Kind.EXTENSIBLE_ARRAY_DATA_BLOCK, "many_chunks, latest"),
        (Kind.EXTENSIBLE_ARRAY_PAGE, "far_chunks, latest"),
        (Kind.SHARED_MESSAGE, "shared_messages"),
    ],
)
def test_each_kind_of_index_is_needed(kind, name, monkeypatch):
    data = all_files()[name]
    complete_count = sum(map(len, structure_of(data).chunks))
    monkeypatch.delitem(structure.PARSERS, kind)
    assert sum(map(len, structure_of(data).chunks)) < complete_count


def test_dataspaces_are_needed(monkeypatch):
    monkeypatch.delitem(HANDLERS, 0x01)
    assert sum(map(len, structure_of(all_files()["chunked, latest"]).chunks)) == 0


@pytest.mark.parametrize("version", [1, 2])
def test_old_layouts_have_a_btree_of_chunks(version):
    state = State(10_000)
    node = Node(Kind.OBJECT_HEADER, 100, 100, 200)
    message = struct.pack("<BBB5xQ3I", version, 3, 2, 2048, 10, 20, 4)
    assert parse_data_layout(state, node, memoryview(message)) == 0
    assert [(table.chunk_shape, table.chunk_size) for table in state.chunks.tables] == [((10, 20), 800)]
    assert [(found.kind, found.start) for found in state.discovered] == [(Kind.CHUNK_BTREE, 2048)]


@pytest.mark.parametrize("version", [1, 2])
def test_old_layouts_without_chunks_have_nothing_to_read(version):
    state = State(10_000)
    node = Node(Kind.OBJECT_HEADER, 100, 100, 200)
    message = struct.pack("<BBB5xQ2I", version, 2, 1, 2048, 10, 20)
    assert parse_data_layout(state, node, memoryview(message)) is None
    assert not state.pending


def test_chunks_beyond_the_limit_are_left_out():
    offsets = ChunkOffsets(1 << 40)
    table = ChunkTable(0, (1, 1))
    table.set_shape((1 << 30,), (1 << 30,), None)
    offsets.tables.append(table)
    for first in range(0, 1 << 20, 1 << 16):
        offsets.add(0, range(first, first + (1 << 16)), range(first, first + (1 << 16)))
    assert len(table) == 1 << 19
    assert offsets.find(5) == (table, 5)
    assert offsets.find(1 << 19) is None


def test_consecutive_chunks_end_with_the_file():
    offsets = ChunkOffsets(1000)
    table = ChunkTable(0, (10, 1))
    table.consecutive = (500, 10)
    table.set_shape((1 << 60,), (1 << 60,), None)
    offsets.tables.append(table)
    offsets.add_consecutive(0)
    assert list(table.offsets) == list(range(500, 1000, 10))
