"""What h5py reads of HDF5 files is what the parser says it will, for every kind of structure."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import h5py
import pytest

from obspec_utils._formats.hdf5 import Structure, structure
from obspec_utils._formats.hdf5.attribute import parse_attribute
from obspec_utils._formats.hdf5.datatype import value_references
from obspec_utils._formats.hdf5.fractal_heap import _Block, _child_blocks, _visit_indirect, parse_indirect_block
from obspec_utils._formats.hdf5.heap_objects import FractalHeap
from obspec_utils._formats.hdf5.kinds import Kind
from obspec_utils._formats.hdf5.messages import HANDLERS
from obspec_utils._formats.hdf5.pending import Node
from obspec_utils._formats.hdf5.shared_message import use_shared_message
from obspec_utils._formats.hdf5.state import State
from tests.unit._hdf5 import complete, join, reads_of_walk, uncovered
from tests.unit._hdf5_files import LIBVERS, MAKERS, all_files
from tests.unit._hdf5_literals import FILTERED_HEAP

CORPUS = os.environ.get("OBSPEC_UTILS_CORPUS")

FILES = [
    *(f"{name}, {libver}" for name in MAKERS for libver in LIBVERS),
    *(name for name in ("shared_messages", "btree_k_values", "superblock_1")),
    *(
        f"{name}, {libver}, offsets of 4"
        for name in ("attributes", "chunked", "links", "references", "variable_length_attributes", "layouts")
        for libver in LIBVERS
    ),
]

# A file that h5py cannot be read ahead of without the parser of a kind of structure, or the handler of a message.
NEEDED_KINDS = {
    Kind.SUPERBLOCK: "groups, latest",
    Kind.OBJECT_HEADER: "groups, latest",
    Kind.OBJECT_HEADER_CONTINUATION: "variable_length_attributes, earliest",
    Kind.GROUP_BTREE: "many_groups, earliest",
    Kind.SYMBOL_TABLE_NODE: "many_groups, earliest",
    Kind.LOCAL_HEAP: "many_groups, earliest",
    Kind.GLOBAL_HEAP: "large_attributes, earliest",
    Kind.FRACTAL_HEAP: "many_groups, latest",
    Kind.DIRECT_BLOCK: "many_groups, latest",
    Kind.INDIRECT_BLOCK: "many_groups, latest",
    Kind.LINK: "many_groups, latest",
    Kind.ATTRIBUTE: "large_attributes, latest",
    Kind.SHARED_MESSAGE: "shared_messages",
    Kind.SHARED_MESSAGE_TABLE: "shared_messages",
    Kind.BTREE2: "many_groups, latest",
    Kind.BTREE2_NODE: "many_groups, latest",
    Kind.CHUNK_BTREE: "many_chunks, earliest",
    Kind.FIXED_ARRAY: "many_chunks, latest",
    Kind.FIXED_ARRAY_BLOCK: "many_chunks, latest",
    Kind.EXTENSIBLE_ARRAY: "many_chunks, latest",
    Kind.EXTENSIBLE_ARRAY_INDEX_BLOCK: "many_chunks, latest",
    Kind.EXTENSIBLE_ARRAY_SUPER_BLOCK: "many_chunks, latest",
}
# Only chunks are in these: see test_hdf5_chunks.
KINDS_OF_CHUNKS = {Kind.FIXED_ARRAY_PAGE, Kind.EXTENSIBLE_ARRAY_DATA_BLOCK, Kind.EXTENSIBLE_ARRAY_PAGE}

NEEDED_MESSAGES = {
    "LINK_INFO": (0x02, "many_groups, latest"),
    "DATATYPE": (0x03, "committed_types, latest"),
    "LINK": (0x06, "groups, latest"),
    "EXTERNAL_DATA_FILES": (0x07, "external_files, latest"),
    "DATA_LAYOUT": (0x08, "many_chunks, latest"),
    "ATTRIBUTE": (0x0C, "large_attributes, earliest"),
    "SHARED_MESSAGE_TABLE": (0x0F, "shared_messages"),
    "CONTINUATION": (0x10, "variable_length_attributes, earliest"),
    "SYMBOL_TABLE": (0x11, "btree_k_values"),
    "BTREE_K_VALUES": (0x13, "btree_k_values"),
    "ATTRIBUTE_INFO": (0x15, "large_attributes, latest"),
}


def opened(reads: list[tuple[int, int]] | None) -> list[tuple[int, int]]:
    """Return what h5py read, if it opens the file: libhdf5 before 2.0 opens no new files with sizes of 4."""
    if reads is None and h5py.version.hdf5_version_tuple < (2, 0, 0):
        pytest.skip("libhdf5 before 2.0 does not open this file")
    assert reads is not None
    return reads


def missed(data: bytes) -> list[tuple[int, int]]:
    rounds = complete(Structure(len(data)), data)
    reads = opened(reads_of_walk(data))
    return uncovered(reads, (wanted for found in rounds for wanted in found))


def test_the_list_of_files_is_complete():
    assert set(FILES) == set(all_files())


@pytest.mark.parametrize("name", FILES)
def test_all_that_h5py_reads_was_wanted(name):
    assert missed(all_files()[name]) == []


@pytest.mark.parametrize("name", FILES)
def test_little_more_is_wanted_than_h5py_reads(name):
    data = all_files()[name]
    rounds = complete(Structure(len(data)), data)
    wanted = sum(stop - start for start, stop in join(wanted for found in rounds for wanted in found))
    read = sum(stop - start for start, stop in join(opened(reads_of_walk(data))))
    assert wanted <= 1.25 * read + 2148


@pytest.mark.skipif(CORPUS is None, reason="OBSPEC_UTILS_CORPUS does not name a folder with HDF5 files of others")
def test_all_that_h5py_reads_of_others_files_was_wanted():
    seen = 0
    for path in sorted(Path(CORPUS or "", "hdf5").iterdir()):
        data = path.read_bytes()
        rounds = complete(Structure(len(data)), data)
        reads = reads_of_walk(data)
        if reads is not None:
            assert uncovered(reads, (wanted for found in rounds for wanted in found)) == [], path
            seen += 1
    assert seen > 100


def test_each_kind_is_tested_for():
    assert NEEDED_KINDS.keys() | KINDS_OF_CHUNKS == structure.PARSERS.keys()
    assert {number for number, _ in NEEDED_MESSAGES.values()} | {0x01} == HANDLERS.keys()


@pytest.mark.parametrize("kind", NEEDED_KINDS, ids=lambda kind: kind.name)
def test_each_parser_is_needed(kind, monkeypatch):
    monkeypatch.delitem(structure.PARSERS, kind)
    assert missed(all_files()[NEEDED_KINDS[kind]]) != []


@pytest.mark.parametrize("name", NEEDED_MESSAGES)
def test_each_message_is_needed(name, monkeypatch):
    number, file = NEEDED_MESSAGES[name]
    monkeypatch.delitem(HANDLERS, number)
    assert missed(all_files()[file]) != []


def test_the_blocks_of_a_filtered_heap_are_wanted_and_not_what_is_in_them():
    reads = reads_of_walk(FILTERED_HEAP) or []
    rounds = complete(Structure(len(FILTERED_HEAP)), FILTERED_HEAP)
    missing = uncovered(reads, (wanted for found in rounds for wanted in found))
    headers = FILTERED_HEAP.index(b"OHDR", missing[0][0] - 512)
    assert all(start >= headers for start, _ in missing)
    (stored_size,) = (stop - start for found in rounds for start, stop in found if FILTERED_HEAP[start] == ord("x"))
    assert 100 < stored_size < 512


def test_the_direct_blocks_of_a_filtered_heap_have_their_stored_sizes():
    state = State(100_000)
    heap = FractalHeap(Kind.LINK, state.visit)
    heap.width, heap.starting_size, heap.max_direct_size, heap.offset_width, heap.is_filtered = 2, 512, 1024, 4, True
    node = Node(Kind.FRACTAL_HEAP, 0, 0, 100, heap)
    _visit_indirect(state, node, 5000, _Block(heap, 0, 4))
    (indirect,) = state.discovered
    entries = [(10_000, 100), (11_000, 200), (2**64 - 1, 0), (12_000, 300), (13_000, 900), (14_000, 901)]
    data = b"FHIB" + bytes(1 + 8 + 4) + b"".join(struct.pack("<QQI", *entry, 0) for entry in entries)
    data += struct.pack("<QQ", 15_000, 2**64 - 1) + bytes(4)
    assert indirect.stop - indirect.start == len(data)
    parse_indirect_block(state, indirect, memoryview(data))
    blocks = {found.start: (found.stop - found.start, found.detail.offset) for found in list(state.discovered)[1:]}
    assert {start: blocks[start] for start in sorted(blocks)[:-1]} == {
        10_000: (100, 0),
        11_000: (200, 512),
        12_000: (300, 1536),
        13_000: (900, 2048),
        14_000: (901, 3072),
    }
    assert blocks[15_000][1] == 4096


def test_old_shared_messages_have_an_address_after_the_offset_of_a_name():
    state = State(100_000)
    node = Node(Kind.OBJECT_HEADER, 0, 0, 100)
    use_shared_message(state, node, 3, memoryview(struct.pack("<BB6xQQ", 1, 0, 24, 5592)), lambda _: None)
    use_shared_message(state, node, 3, memoryview(struct.pack("<BBQ", 2, 0, 6000)), lambda _: None)
    assert [(found.kind, found.start) for found in state.discovered] == [
        (Kind.OBJECT_HEADER, 5592),
        (Kind.OBJECT_HEADER, 6000),
    ]


def test_old_attributes_have_no_flags():
    state = State(100_000)
    text = struct.pack("<BBBBI", 0x19, 1, 0, 0, 16) + struct.pack("<BBBBI", 0x13, 0, 0, 0, 1)
    body = struct.pack("<BBHHH", 1, 255, 2, 16, 8) + b"a".ljust(8, b"\0") + text + bytes(8)
    parse_attribute(state, Node(Kind.OBJECT_HEADER, 0, 0, 100), memoryview(body + struct.pack("<IQI", 1, 5000, 1)))
    assert [(found.kind, found.start) for found in state.discovered] == [(Kind.GLOBAL_HEAP, 5000)]


@pytest.mark.parametrize(
    ("kind", "first_bytes", "size"),
    [
        (Kind.GROUP_BTREE, b"TREE\0\0" + struct.pack("<H", 50), 24 + 50 * 16),
        (Kind.SYMBOL_TABLE_NODE, b"SNOD\1\0" + struct.pack("<H", 50), 8 + 50 * 40),
    ],
)
def test_nodes_larger_than_the_k_values_known_so_far_are_extended(kind, first_bytes, size):
    state = State(100_000)
    node = state.visit(kind, 5000, 100, None)
    structure.PARSERS[kind](state, node, memoryview(first_bytes.ljust(100, b"\0")))
    assert (node.start, node.stop) == (5000, 5000 + size)


@pytest.mark.parametrize("flags", range(64))
def test_object_headers_have_optional_fields(flags):
    state = State(100_000)
    link = struct.pack("<BBB1sQ", 1, 0, 1, b"a", 5000)
    message = struct.pack("<BHB", 6, len(link), 0) + (bytes(2) if flags & 4 else b"") + link
    prefix = b"OHDR\2" + bytes([flags]) + b"\xff" * ((16 if flags & 32 else 0) + (4 if flags & 16 else 0))
    data = prefix + len(message).to_bytes(1 << (flags & 3), "little") + message + bytes(4)
    node = state.visit_object(100, None)
    structure.PARSERS[Kind.OBJECT_HEADER](state, node, memoryview(data.ljust(512, b"\0")))
    assert [found.start for found in state.discovered] == [100, 5000]


def test_old_compounds_have_arrays_of_texts():
    text = struct.pack("<BBBBI", 0x19, 1, 0, 0, 16) + struct.pack("<BBBBI", 0x13, 0, 0, 0, 1)
    number = struct.pack("<BBBBIHH", 0x10, 8, 0, 0, 4, 0, 32)
    members = b"number\0\0" + struct.pack("<IB3xII4I", 0, 0, 0, 0, 0, 0, 0, 0) + number
    members += b"texts\0\0\0" + struct.pack("<IB3xII4I", 4, 2, 0, 0, 2, 3, 0, 0) + text
    compound = struct.pack("<BBBBI", 0x16, 2, 0, 0, 100) + members
    assert value_references(compound, 9) == (100, [4, 20, 36, 52, 68, 84])


def test_the_structure_is_shallow():
    data = all_files()["many_groups, latest"]
    assert len(complete(Structure(len(data)), data, limit=10_000)) <= 10
    data = all_files()["deep, earliest"]
    # Symbol table entries tell the B-trees of groups together with their headers.
    assert len(complete(Structure(len(data)), data, limit=10_000)) == 21


def test_managed_objects_are_found_in_blocks_that_were_parsed_in_any_order():
    found = []
    heap = FractalHeap(Kind.LINK, lambda _kind, address, size, _parent, _detail: found.append((address, size)))
    heap.width, heap.starting_size, heap.max_direct_size, heap.offset_width, heap.length_width = 4, 1000, 1000, 2, 2
    for start in (2000, 0, 3000, 1000):
        heap.add_block(start, 100_000 - start)
    parent = Node(Kind.BTREE2_NODE, 0, 0, 10)
    huge, tiny = 1 << 4, 2 << 4
    for object_type in (huge, tiny, 0):
        for offset in (5, 1005, 2005, 3005):
            heap.find(object_type | offset << 8 | 7 << 24, parent, None)
    assert found == [(100_005, 7), (99_005, 7), (98_005, 7), (97_005, 7)]


@pytest.mark.parametrize("is_parsed_first", [True, False])
@pytest.mark.parametrize(("width", "rows"), [(1, 12), (4, 8), (2, 7)])
def test_managed_objects_are_found_in_the_blocks_of_all_rows(is_parsed_first, width, rows):
    """Objects in the first, a middle and the last byte of each direct block, also of those in indirect blocks."""
    found = []
    heap = FractalHeap(Kind.LINK, lambda _kind, address, *_others: found.append(address))
    heap.width, heap.starting_size, heap.max_direct_size, heap.offset_width, heap.length_width = width, 64, 256, 3, 1

    def direct_blocks(block):
        for start, size in _child_blocks(block):
            if size <= 256:
                yield start, size
            else:
                yield from direct_blocks(_Block(heap, start, size.bit_length() - (64 * width).bit_length() + 1))

    blocks = list(direct_blocks(_Block(heap, 0, rows)))
    assert len(blocks) > 20
    offsets = [start + offset for start, size in blocks for offset in (0, 40, size - 1)]
    for is_parsed in (is_parsed_first, not is_parsed_first):
        if is_parsed:
            for start, _ in reversed(blocks):
                heap.add_block(start, start + 1_000_000)
        else:
            for offset in offsets:
                heap.find(offset << 8, Node(Kind.BTREE2_NODE, 0, 0, 10), None)
    assert sorted(found) == [offset + 1_000_000 for offset in offsets]
    assert heap._waiting_count == 0
