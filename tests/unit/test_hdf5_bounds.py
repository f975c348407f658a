"""What small hostile HDF5 files cost is bounded, counted in positions, chunks, calls and structures."""

from __future__ import annotations

import gc
import struct
import sys
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from obspec_utils._formats.hdf5 import Structure, layout
from obspec_utils._formats.hdf5.array_elements import Elements
from obspec_utils._formats.hdf5.attribute import parse_attribute
from obspec_utils._formats.hdf5.chunks import ChunkOffsets, ChunkTable
from obspec_utils._formats.hdf5.datatype import value_references
from obspec_utils._formats.hdf5.extensible_array import _Array, _SuperBlock, _visit_data_blocks
from obspec_utils._formats.hdf5.heap_objects import FractalHeap
from obspec_utils._formats.hdf5.kinds import Kind
from obspec_utils._formats.hdf5.pending import Node, Pending
from obspec_utils._formats.hdf5.resolved import Resolved
from obspec_utils._formats.hdf5.shared_message import parse_shared_message_table, use_shared_message
from obspec_utils._formats.hdf5.state import State
from obspec_utils._ranges import ByteRange
from tests.unit._hdf5 import complete
from tests.unit._hdf5_files import all_files

if TYPE_CHECKING:
    from collections.abc import Callable

UNDEFINED = 2**64 - 1
LAYOUT, CONTINUATION = 0x08, 0x10
TEXT = struct.pack("<BBBBI", 0x19, 1, 0, 0, 1) + struct.pack("<BBBBI4x", 0x10, 0, 0, 0, 1)


def array_of(element: bytes, size: int) -> bytes:
    return struct.pack("<BBBBIBI", 0x3A, 0, 0, 0, size, 1, 1) + element


def compound_of(member: bytes, size: int) -> bytes:
    return struct.pack("<BBBBI", 0x36, 1, 0, 0, size) + b"\0\0" + member


def header(*messages: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack("<BHB", kind, len(message), 0) + message for kind, message in messages)
    return b"OHDR" + struct.pack("<BBI", 2, 2, len(body)) + body + bytes(4)


def file_of(root: bytes, *headers: bytes) -> bytes:
    """Return a file with a root group, whose header may lead to further headers, at multiples of 1024."""
    superblock = b"\x89HDF\r\n\x1a\n" + bytes([3, 8, 8, 0]) + struct.pack("<4QI", 0, UNDEFINED, UNDEFINED, 48, 0)
    parts = [superblock + root, *headers]
    return b"".join(part.ljust(-(-len(part) // 1024) * 1024, b"\0") for part in parts)


def parsed(data: bytes) -> Structure:
    structure = Structure(len(data))
    complete(structure, data, limit=10_000)
    return structure


def peak_of(function: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def calls_of(function: Callable[[], object]) -> int:
    """Return how many functions in Python and in C a function calls, and how often it resumes generators."""
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


def test_no_more_references_are_looked_at_than_the_value_has_room_for():
    datatype = compound_of(array_of(TEXT, 50), 1)  # values of one byte with 50 references each, which overlap
    body = struct.pack("<BBHHH", 3, 0, 2, len(datatype), 4) + b"\0a\0" + datatype + bytes(4) + b"\1" * 6000
    state = State(1 << 10)
    node = Node(Kind.OBJECT_HEADER, 100, 100, 200)
    calls = calls_of(lambda: parse_attribute(state, node, memoryview(body)))
    assert 0 < calls < 1500


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


CHUNKED = bytes([4, 2, 0, 2, 1, 1, 1, 2]) + struct.pack("<Q", UNDEFINED)


def link(address: int) -> tuple[int, bytes]:
    return 6, b"\x01\0\x01a" + struct.pack("<Q", address)


@pytest.mark.parametrize("is_waited_for", [False, True])
def test_a_message_that_many_objects_share_is_parsed_a_bounded_number_of_times(is_waited_for):
    state = State(1 << 10)
    key, message = ("committed datatype", 500), bytes(1 << 16)
    node = Node(Kind.OBJECT_HEADER, 100, 100, 200)
    shared = struct.pack("<BBQ", 3, 2, 500)
    uses: list[bytes] = []
    if not is_waited_for:
        state.resolved.add(key, message)
    with pytest.raises(ValueError, match="share"):
        for _ in range(1000):
            use_shared_message(state, node, 3, shared, uses.append)
        state.resolved.add(key, message)
    assert len(uses) == 256


def test_an_object_has_one_table_of_chunks():
    assert len(parsed(file_of(header((LAYOUT, CHUNKED), (LAYOUT, CHUNKED), (LAYOUT, CHUNKED)))).chunks) == 1


def test_the_tables_of_chunks_are_bounded(monkeypatch):
    data = file_of(header(*[link(1024 * number) for number in range(1, 10)]), *[header((LAYOUT, CHUNKED))] * 9)
    assert len(parsed(data).chunks) == 9
    monkeypatch.setattr(layout, "_MAX_TABLES", 3)
    assert len(parsed(data).chunks) == 3


def test_a_table_without_chunks_is_small():
    dimensions = [1, 1]
    tables = []
    peak = peak_of(lambda: tables.extend(ChunkTable(number, dimensions) for number in range(1000)))
    assert peak < 300 * len(tables)
    assert not any(map(len, tables))


def test_the_heaps_of_shared_messages_are_bounded():
    state = State(1 << 20)
    entries = b"".join(struct.pack("<BBHIHHHQQ", 0, 0, 1, 0, 0, 0, 0, 0, 1000 * number) for number in range(1, 100))
    node = Node(Kind.SHARED_MESSAGE_TABLE, 100, 100, 10_000)
    with pytest.raises(ValueError, match="more than 16 heaps"):
        parse_shared_message_table(state, node, memoryview(b"SMTB" + entries + bytes(4)))
    assert len(state.discovered) == 16


@pytest.mark.parametrize("name", ["attributes, latest", "links, latest"])
def test_heaps_are_not_kept(name):
    structure = parsed(all_files()[name])
    assert structure.wanted(1) == []
    gc.collect()
    heaps = [found for found in gc.get_referrers(FractalHeap) if isinstance(found, FractalHeap)]
    assert heaps == []


def test_the_bytes_of_shared_messages_that_are_kept_are_bounded():
    resolved = Resolved()
    for number in range(1000):
        resolved.add(number, bytes(1 << 16))
    found: list[bytes] = []
    for number in range(1000):
        resolved.use(number, found.append)
    assert len(found) == 256
    resolved.add(999, b"late")
    assert found[256:] == [b"late"]


def test_the_dimensions_of_datasets_are_not_kept_twice():
    structure = parsed(all_files()["chunked, latest"])
    assert len(structure.chunks) > 1
    assert structure._state.resolved._values == {}


def test_structures_that_have_been_parsed_take_little_memory():
    count = 12 << 12
    state = State(1 << 40)

    def visit() -> None:
        for number in range(count):
            assert state.visit(Kind.DATA, (number * 7919) % 100_003 * 600, 8, None) is not None
        while state.discovered:
            state.finish(state.discovered.popleft())

    tracemalloc.start()
    try:
        visit()
        assert tracemalloc.get_traced_memory()[0] < 10 * count
    finally:
        tracemalloc.stop()
    assert all(state.visit(Kind.DATA, (number * 7919) % 100_003 * 600, 8, None) is None for number in range(count))
    assert state.visit(Kind.DATA, 601, 8, None) is not None


def test_the_pages_of_a_data_block_are_not_listed():
    state = State(1 << 14)
    array = _Array(Elements(0, 8, filtered=False), 64, 0, 1 << 20, 64, 1)
    node = Node(Kind.EXTENSIBLE_ARRAY_SUPER_BLOCK, 100, 100, 200)
    bitmap = b"\xff" * (1 << 17)
    data = memoryview(bitmap + struct.pack("<Q", 200))

    def visit() -> None:
        with pytest.raises(ValueError, match="more structures"):
            _visit_data_blocks(state, node, _SuperBlock(array, 0), data, len(bitmap))

    assert peak_of(visit) < 2_000_000
    assert len(state.discovered) > 1000


def test_a_queue_that_was_long_takes_little_memory():
    pending = Pending()
    nodes = [Node(Kind.DATA, number, number, number + 8) for number in range(1000)]
    for node in nodes:
        pending.add(node)
    for node in nodes[:-2]:
        pending.finish(node)
    assert pending.candidates() == list(pending) == nodes[-2:]
    assert sys.getsizeof(pending._queue) < 1000
