"""The structure of TIFF files: which bytes are wanted, and where tiles and strips lie."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obspec_utils._formats.tiff import Structure, is_tiff
from obspec_utils._ranges import ByteRange
from tests.unit._tiff import LONG, SHORT, Image, TiffWriter

LAYOUTS = [("<", False), (">", False), ("<", True), (">", True)]


def pieces(count: int, size: int = 5000) -> list[bytes]:
    return [bytes([number % 251]) * (size + number) for number in range(count)]


class Memory:
    """The pages of a file that were fetched; counts the rounds that it takes to parse all."""

    def __init__(self, content: bytes, page: int = 4096) -> None:
        self.content = bytes(content)
        self.page = page
        self.pages: set[int] = set()

    def fetch(self, spans: list[ByteRange]) -> None:
        for span in spans:
            assert 0 <= span.start < span.stop <= len(self.content)
            self.pages.update(range(span.start // self.page, -(-span.stop // self.page)))

    def read(self, start: int, stop: int) -> bytes | None:
        pages = range(start // self.page, -(-stop // self.page))
        return self.content[start:stop] if self.pages.issuperset(pages) else None


def parse_all(content: bytes) -> tuple[Structure, Memory, int]:
    structure, memory, rounds = Structure(len(content)), Memory(content), 0
    while wanted := structure.wanted(1000):
        memory.fetch(wanted)
        structure.parse(memory.read)
        rounds += 1
    return structure, memory, rounds


def places(structure: Structure) -> list[list[tuple[int, int]]]:
    return [list(zip(table.offsets, table.sizes, strict=True)) for table in structure.chunks]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tiles_and_strips_are_found_in_their_order(layout: tuple[str, bool]) -> None:
    writer = TiffWriter(layout[0], big=layout[1])
    writer.add(Image(1000, 700, pieces(12), tile=(256, 256)))
    writer.add(Image(500, 3, pieces(3)))
    writer.add(Image(300, 2, pieces(2), counts_type=SHORT))
    writer.add(Image(64, 64, pieces(1), tile=(64, 64)))
    structure, memory, rounds = parse_all(writer.content)
    assert places(structure) == writer.places
    assert [table.row_length for table in structure.chunks] == [4, 1, 1, 1]
    assert [table.address for table in structure.chunks] == writer.directories
    assert rounds <= 6  # the header, and each directory with the values of the one before
    assert len(memory.pages) <= 6
    for table, found in zip(structure.chunks, writer.places, strict=True):
        for position, (offset, size) in enumerate(found):
            assert structure.find_chunk(offset) == structure.find_chunk(offset + size - 1) == (table, position)
    assert structure.find_chunk(writer.directories[0]) is None


def test_tiles_that_are_not_stored_are_left_out() -> None:
    data = pieces(12)
    data[3] = data[4] = data[11] = b""
    writer = TiffWriter()
    writer.add(Image(1000, 700, data, tile=(256, 256)))
    structure, _, _ = parse_all(writer.content)
    assert places(structure) == writer.places
    assert list(structure.chunks[0].numbers) == [0, 1, 2, 5, 6, 7, 8, 9, 10]


def test_the_strips_of_equal_pages_are_one_series() -> None:
    writer = TiffWriter()
    for number in range(5):
        writer.add(Image(500, 4, pieces(4, 5000 + number)))
    writer.add(Image(501, 4, pieces(4)))
    structure, _, _ = parse_all(writer.content)
    assert places(structure) == [[place for page in writer.places[:5] for place in page], writer.places[5]]


def test_directories_below_others_are_followed() -> None:
    writer = TiffWriter()
    below = [writer.write_directory([(256, LONG, [100 + number])])[0] for number in range(3)]
    exif = writer.write_directory([(256, LONG, [1])])[0]
    writer.add(Image(100, 2, pieces(2), more=[(330, LONG, below), (34665, LONG, [exif])]))
    structure, memory, _ = parse_all(writer.content)
    assert len(structure.chunks) == 1
    assert {start // 4096 for start in [*below, exif]} <= memory.pages


def test_a_long_chain_is_parsed_where_it_is_in_memory_and_wanted_only_at_its_start() -> None:
    writer = TiffWriter()
    for number in range(40):
        writer.add(Image(500, 2, pieces(2, 6000 + number)))
    structure, memory, _ = parse_all(writer.content)
    assert len(structure.chunks[0]) == 2 * 16
    memory.fetch([ByteRange(0, len(writer.content))])
    structure.parse(memory.read)
    assert len(structure.chunks[0]) == 2 * 40


def test_what_is_near_comes_first() -> None:
    writer = TiffWriter()
    writer.add(Image(1000, 40, pieces(40, 300)))
    structure = Structure(len(writer.content))
    structure.parse(lambda start, stop: bytes(writer.content)[start:stop] if start == 0 else None)
    (directory,) = structure.wanted(10)
    assert directory.start == writer.directories[0]
    structure.parse(lambda start, stop: bytes(writer.content)[start:stop] if start == directory.start else None)
    offsets, counts = structure.wanted(10)
    assert structure.wanted(10, near=counts.start) == [counts, offsets]
    assert structure.wanted(1, near=counts.stop - 1) == [counts]
    assert structure.wanted(10, near=counts.start, only=True) == [counts]
    assert structure.wanted(10, near=0, only=True) == []


def test_a_directory_longer_than_the_first_guess_is_wanted_whole() -> None:
    writer = TiffWriter(big=True)
    writer.add(Image(500, 3, pieces(3), more=[(40000 + number, LONG, [number]) for number in range(300)]))
    structure, _, _ = parse_all(writer.content)
    assert places(structure) == writer.places


def test_tables_of_more_than_a_mebibyte_are_left_to_those_who_read_them() -> None:
    writer = TiffWriter()
    writer.add_directory([(256, LONG, [1 << 20]), (273, LONG, [100] * ((1 << 18) + 1)), (279, LONG, [1] * 8)])
    structure, memory, _ = parse_all(writer.content)
    assert places(structure) == []
    assert len(memory.pages) < 5


@pytest.mark.parametrize("begin", [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"])
@pytest.mark.parametrize("rest", [b"", bytes(3), bytes(100), b"\xff" * 100])
def test_files_that_only_begin_like_tiff_lead_nowhere(begin: bytes, rest: bytes) -> None:
    assert is_tiff(begin + rest)
    structure, _, rounds = parse_all(begin + rest)
    assert (structure.chunks, structure.wanted(1)) == ([], [])
    assert rounds <= 2


def test_loops_of_directories_end() -> None:
    writer = TiffWriter()
    start, link = writer.write_directory([(330, LONG, [8]), (256, LONG, [5])])
    writer.content[4:8] = writer.content[link : link + 4] = struct.pack("<I", start)
    structure, _, rounds = parse_all(writer.content)
    assert rounds <= 3
    assert structure.wanted(1) == []


def test_tables_that_point_outside_of_the_file_are_left_out() -> None:
    writer = TiffWriter()
    writer.add_directory([(256, LONG, [9]), (273, LONG, [100, 1 << 31, 200]), (279, LONG, [50, 50, 1 << 31])])
    structure, _, _ = parse_all(bytes(writer.content) + bytes(1000))
    assert places(structure) == [[(100, 50)]]


@settings(max_examples=300)
@given(data=st.data(), layout=st.sampled_from(LAYOUTS))
def test_damage_only_ends_branches(data: st.DataObject, layout: tuple[str, bool]) -> None:
    writer = TiffWriter(layout[0], big=layout[1])
    writer.add(Image(600, 300, pieces(6, 100), tile=(256, 256), more=[(330, LONG, [8, 30])]))
    writer.add(Image(60, 30, pieces(30, 10)))
    content = bytearray(writer.content)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + 2] = data.draw(st.binary(min_size=2, max_size=2))
    content = content[: data.draw(st.integers(1, len(content)))]
    structure, _, rounds = parse_all(bytes(content))
    assert rounds <= 64
    for table in structure.chunks:
        for offset, size in zip(table.offsets, table.sizes, strict=True):
            assert 0 < offset < offset + size <= len(content)
            found = structure.find_chunk(offset)
            assert found is None or found[0].offsets[found[1]] <= offset


def test_tables_that_are_repeated_are_parsed_once() -> None:
    writer = TiffWriter()
    tables = [(tag, LONG, [100] * 200_000) for _ in range(20) for tag in (273, 279)]
    writer.add_directory([(256, LONG, [9]), *tables])
    structure, _, _ = parse_all(bytes(writer.content))
    assert structure._tiles == 200_000  # type: ignore[attr-defined]


def test_tiled_pages_are_one_series() -> None:
    writer = TiffWriter()
    for number in range(3):
        writer.add(Image(500, 500, pieces(4, 5000 + number), tile=(256, 256)))
    structure, _, _ = parse_all(writer.content)
    assert places(structure) == [[place for page in writer.places for place in page]]
    assert structure.chunks[0].row_length == 2
