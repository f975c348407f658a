"""What h5py reads of HDF5 files is what the parser says it will, for every kind of structure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from obspec_utils._formats.hdf5 import Structure, structure
from obspec_utils._formats.hdf5.kinds import Kind
from obspec_utils._formats.hdf5.messages import HANDLERS
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


def missed(data: bytes) -> list[tuple[int, int]]:
    rounds = complete(Structure(len(data)), data)
    reads = reads_of_walk(data)
    assert reads is not None
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
    read = sum(stop - start for start, stop in join(reads_of_walk(data) or ()))
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


def test_the_structure_is_shallow():
    data = all_files()["many_groups, latest"]
    assert len(complete(Structure(len(data)), data, limit=10_000)) <= 10
