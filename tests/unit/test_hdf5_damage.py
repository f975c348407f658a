"""Damaged HDF5 files, and files that only begin like HDF5: no exception, no endless loop, bounded ranges."""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path

import pytest

from obspec_utils._formats.hdf5 import Structure, is_hdf5
from obspec_utils._formats.hdf5 import state as state_module
from obspec_utils._formats.hdf5.attribute import parse_attribute
from obspec_utils._formats.hdf5.datatype import value_references
from obspec_utils._formats.hdf5.extensible_array import parse_extensible_array
from obspec_utils._formats.hdf5.fixed_array import parse_fixed_array, parse_fixed_array_block
from obspec_utils._formats.hdf5.kinds import Kind
from obspec_utils._formats.hdf5.pending import Node
from obspec_utils._formats.hdf5.state import State
from tests.unit._hdf5 import complete
from tests.unit._hdf5_files import all_files, make

SIGNATURE = b"\x89HDF\r\n\x1a\n"
CORPUS = os.environ.get("OBSPEC_UTILS_CORPUS")


def small_files() -> list[bytes]:
    files = [data for data in all_files().values() if len(data) < 40_000]
    if CORPUS is not None:
        files += [path.read_bytes() for path in sorted(Path(CORPUS, "hdf5").iterdir())]
    return files


def structures_of(data: bytes) -> list[tuple[int, int]]:
    found: dict[tuple[int, int], None] = {}

    def read(start: int, stop: int) -> bytes:
        found[start, stop] = None
        return data[start:stop]

    Structure(len(data)).parse(read)
    return list(found)


def check(data: bytes) -> None:
    parsed = Structure(len(data))
    rounds = complete(parsed, data, limit=1000)
    assert sum(stop - start for found in rounds for start, stop in found) <= 16 * len(data) + (128 << 10)
    for table in parsed.chunks:
        assert list(table.numbers) == sorted(table.numbers)
        for offset, size in zip(table.offsets[:3], table.sizes[:3], strict=True):
            assert offset + size <= len(data)
            parsed.find_chunk(offset)


def mutated(data: bytes, structures: list[tuple[int, int]], rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 5, 20))):
        start, stop = rng.choice(structures)
        position = rng.randrange(start, min(stop, start + 600))
        address = rng.choice((rng.choice(structures)[0], rng.randrange(len(data)), len(data) - 1, 1 << 63, 1 << 40))
        piece = rng.choice(
            (
                bytes([rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))]),
                b"\xff" * rng.choice((1, 2, 4, 8)),
                address.to_bytes(8, "little"),
                data[slice(*rng.choice(structures))],
            )
        )
        changed[position : position + len(piece)] = piece
    return bytes(changed[: rng.randrange(len(data)) if rng.random() < 0.1 else len(data)])


def test_random_damage_is_bounded():
    rng = random.Random(20)
    files = [(data, structures_of(data)) for data in small_files()]
    for _ in range(2000):
        check(mutated(*rng.choice(files), rng))


def test_files_that_are_cut_short_are_bounded():
    for data in small_files():
        for part in range(1, 20):
            check(data[: len(data) * part // 20 + part])


@pytest.mark.parametrize(
    "name",
    [
        "groups, earliest",
        "groups, latest",
        "attributes, latest",
        "committed_types, latest",
        "chunked, earliest",
        "chunked, latest",
        "early_allocation, latest",
        "shared_messages",
    ],
)
def test_cycles_end(name):
    """Let the addresses of each structure in turn lead to one that leads to it."""
    data = all_files()[name]
    addresses = [start for start, _ in structures_of(data) if start]
    for number in range(1, len(addresses), max(1, len(addresses) // 60)):
        for to in (addresses[0], addresses[number - 1], addresses[number // 2]):
            check(data.replace(addresses[number].to_bytes(8, "little"), to.to_bytes(8, "little")))


def test_all_addresses_may_lead_to_one_structure():
    for name in ("links, earliest", "attributes, latest", "chunked, latest", "references, latest"):
        data = all_files()[name]
        addresses = [start for start, _ in structures_of(data) if start]
        for to in addresses[:: max(1, len(addresses) // 8)]:
            changed = data
            for address in addresses:
                changed = changed.replace(address.to_bytes(8, "little"), to.to_bytes(8, "little"))
            check(changed)


def test_a_file_that_only_begins_like_hdf5_wants_nothing_more():
    for rest in (b"", b"\0" * 5000, b"\xff" * 5000, bytes(range(256)) * 20):
        data = SIGNATURE + rest
        assert len(complete(Structure(len(data)), data)) == 1


@pytest.mark.parametrize("sizes", [(3, 8), (8, 3), (2, 2), (16, 16), (0, 0), (8, 16)])
@pytest.mark.parametrize("name", ["groups, earliest", "groups, latest"])
def test_sizes_of_offsets_and_lengths_other_than_4_and_8_are_not_understood(name, sizes):
    data = bytearray(all_files()[name])
    start = 13 if data[8] == 0 else 9
    data[start : start + 2] = bytes(sizes)
    assert complete(Structure(len(data)), bytes(data)) == [[(0, 2148)]]


def test_versions_of_superblocks_that_do_not_exist_are_not_understood():
    data = bytearray(all_files()["groups, latest"])
    data[8] = 4
    assert complete(Structure(len(data)), bytes(data)) == [[(0, 2148)]]


def test_the_size_that_a_superblock_claims_is_not_used():
    data = bytearray(all_files()["many_groups, latest"])
    end_of_file = struct.pack("<Q", len(data))
    position = data.index(end_of_file)
    rounds = complete(Structure(len(data)), bytes(data))
    data[position : position + 8] = struct.pack("<Q", 1 << 60)
    assert complete(Structure(len(data)), bytes(data)) == rounds


def test_files_of_several_parts_are_not_followed():
    data = bytearray(all_files()["many_groups, earliest"])
    data[48:56] = struct.pack("<Q", 2000)  # the address of a driver information block
    assert complete(Structure(len(data)), bytes(data)) == [[(0, 2148)]]


def test_a_signature_is_looked_for_at_doubling_offsets():
    data = bytes(20_000)
    assert complete(Structure(len(data)), data) == [[(0, 2148)], [(4096, 4196)], [(8192, 8292)], [(16384, 16484)]]
    assert not is_hdf5(data)
    assert is_hdf5(SIGNATURE)
    assert not is_hdf5(SIGNATURE[:7])
    assert not is_hdf5(b"")
    for offset in (512, 1024, 2048, 8192):
        assert is_hdf5(bytes(offset) + SIGNATURE)
        assert not is_hdf5(bytes(offset + 1) + SIGNATURE)


def test_an_empty_file_wants_nothing():
    assert Structure(0).wanted(5) == []


def test_what_is_not_in_memory_stays_pending():
    data = all_files()["groups, latest"]
    parsed = Structure(len(data))
    parsed.parse(lambda _start, _stop: None)
    assert parsed.wanted(5) == [(0, 2148)]


@pytest.mark.parametrize("name", ["committed_types, latest", "chunked, latest", "shared_messages"])
def test_nothing_of_what_was_read_is_kept(name):
    data = all_files()[name]
    served: list[bytearray] = []

    def read(start: int, stop: int) -> bytearray:
        served.append(bytearray(data[start:stop]))
        return served[-1]

    parsed = Structure(len(data))
    parsed.parse(read)
    assert parsed.wanted(1) == []
    for buffer in served:
        buffer.clear()  # raises BufferError while there is a view of it


def test_less_than_was_wanted_ends_the_branch():
    data = all_files()["many_groups, earliest"]
    for size in (0, 1, 7, 100, 500):
        parsed = Structure(len(data))
        parsed.parse(lambda start, stop, size=size: data[start : min(stop, start + size)])
        assert parsed.wanted(5) == []


def test_the_bytes_wanted_of_structures_that_overlap_are_bounded():
    state = State(100_000)
    with pytest.raises(ValueError, match="more structures"):
        for address in range(100_000):
            state.visit(Kind.GLOBAL_HEAP, address, 4096, None)
    assert 700_000 < sum(node.stop - node.start for node in state.discovered) < 900_000
    for node in state.discovered:
        state.extend(node, 90_000 - node.start)
    assert sum(node.stop - node.start for node in state.discovered) < 900_000


@pytest.mark.parametrize("bound", ["_MAX_PENDING", "_MAX_STRUCTURES"])
def test_the_number_of_structures_is_bounded(bound, monkeypatch):
    monkeypatch.setattr(state_module, bound, 10)
    data = all_files()["many_groups, latest"]
    assert sum(map(len, complete(Structure(len(data)), data))) < 900
    state = State(100_000)
    with pytest.raises(ValueError, match="more structures"):
        for address in range(11):
            state.visit(Kind.DATA, address, 1, None)


def test_structures_that_have_been_parsed_are_not_pending(monkeypatch):
    monkeypatch.setattr(state_module, "_MAX_PENDING", 10)
    state = State(100_000)
    for address in range(30):
        node = state.visit(Kind.DATA, address, 1, None)
        assert node is not None
        state.finish(node)


def header() -> Node:
    return Node(Kind.OBJECT_HEADER, 100, 100, 200)


def test_the_pages_of_a_fixed_array_end_with_the_file():
    state = State(1000)
    state.chunks.tables.append(None)  # type: ignore[arg-type]
    node = Node(Kind.FIXED_ARRAY, 100, 100, 200, 0)
    fields = struct.pack("<BBBBQQ", 0, 0, 8, 0, 1 << 60, 200)  # 2**60 pages of one element
    parse_fixed_array(state, node, memoryview(b"FAHD" + fields))
    (block,) = state.discovered
    assert (block.start, block.stop) == (200, 1000)
    with pytest.raises(ValueError, match="more structures"):
        parse_fixed_array_block(state, block, memoryview(b"FADB" + b"\xff" * 796))
    assert len(state.discovered) == 1


def test_an_extensible_array_of_impossible_size_is_bounded():
    state = State(1000)
    for bits in (65, 255):
        node = Node(Kind.EXTENSIBLE_ARRAY, 100, 100, 200, 0)
        fields = struct.pack("<BBBBBBBB6QQ", 0, 0, 8, bits, 255, 255, 255, 64, *[1 << 60] * 6, 200)
        parse_extensible_array(state, node, memoryview(b"EAHD" + fields))
    assert not state.discovered


def test_deeply_nested_datatypes_are_not_followed():
    array = struct.pack("<BBBBIBI", 0x3A, 0, 0, 0, 16, 1, 1)
    text = struct.pack("<BBBBI", 0x19, 1, 0, 0, 16) + struct.pack("<BBBBI", 0x13, 0, 0, 0, 1)
    assert value_references(array * 30 + text, 9) == (16, [0])
    with pytest.raises(ValueError, match="nested"):
        value_references(array * 100 + text, 9)
    with pytest.raises(ValueError, match="class 12"):
        value_references(array + b"\x1c" + bytes(20), 9)


def test_references_of_an_attribute_are_bounded():
    state = State(1 << 40)
    datatype = struct.pack("<BBBBI", 0x19, 1, 0, 0, 1) + bytes(8)  # values of one byte that overlap each other
    value = b"\1" + bytes(200_000)
    body = struct.pack("<BBHHH", 3, 0, 2, len(datatype), 4) + b"\0a\0" + datatype + bytes(4) + value
    parse_attribute(state, header(), memoryview(body))
    assert len(state.discovered) <= 16
    datatype = struct.pack("<BBBBI", 0x19, 1, 0, 0, 16) + bytes(8)
    value = b"".join(struct.pack("<IQI", 1, 5000 * number, 0) for number in range(1, 70_000))
    state = State(1 << 40)
    parse_attribute(state, header(), memoryview(body[:11] + datatype + bytes(4) + value))
    assert len(state.discovered) == 1 << 16
    compound = struct.pack("<BBBBI", 0x36, 255, 255, 0, 1 << 31)
    member = b"a\0" + bytes(4) + struct.pack("<BBBBI", 0x19, 1, 0, 0, 16) + struct.pack("<BBBBI", 0x13, 0, 0, 0, 1)
    with pytest.raises(ValueError, match="not found"):
        value_references(compound + member * 3000, 9)


@pytest.mark.parametrize(("wrong", "kind"), [(b"TREF\x01", "signature"), (b"TREE\x00", "of groups")])
def test_a_node_that_is_not_of_a_btree_of_chunks_has_no_chunks(wrong: bytes, kind: str) -> None:
    data = make("many_chunks", "earliest")
    chunks = [len(table) for table in parsed_whole(data).chunks]
    assert any(chunks)
    assert b"TREE\x01" in data
    damaged = data.replace(b"TREE\x01", wrong)
    assert not any(len(table) for table in parsed_whole(damaged).chunks), kind


def parsed_whole(data: bytes) -> Structure:
    parsed = Structure(len(data))
    complete(parsed, data, limit=1000)
    return parsed
