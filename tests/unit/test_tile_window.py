"""Which tiles of an image are fetched with a missing one."""

from __future__ import annotations

from array import array

import pytest

from obspec_utils._formats.chunks import Chunks
from obspec_utils._ranges import ByteRange
from obspec_utils.readers._chunk_order import ChunkOrder

SIZE = 300_000
COLUMNS = 20
ROWS = 30


class Structure:
    """An image in tiles, row by row."""

    def __init__(self, size: int = SIZE, absent: tuple[int, ...] = ()) -> None:
        self.size = size
        numbers = [number for number in range(ROWS * COLUMNS) if number not in absent]
        self.table = Chunks(96, COLUMNS)
        offsets = [1000 + number * 2 * size for number in range(len(numbers))]
        self.table.insert(array("Q", numbers), array("Q", offsets), array("Q", [size] * len(numbers)))

    def find_chunk(self, offset: int) -> tuple[Chunks, int] | None:
        position, rest = divmod(offset - 1000, 2 * self.size)
        return (self.table, position) if rest < self.size else None


class Reading:
    """Reads of tiles by row and column; those that were fetched before are no misses."""

    def __init__(self, structure: Structure | None = None, max_size: int = 1 << 30) -> None:
        self.structure = structure or Structure()
        self.used: set[int] = set()
        self.order = ChunkOrder(self.structure, max_size, self.used)  # type: ignore[arg-type]
        self.fetched: set[int] = set()  # starts of tiles
        self.batches: list[int] = []

    def read(self, row: int, column: int) -> None:
        table = self.structure.table
        start = table.offsets[list(table.numbers).index(row * COLUMNS + column)]
        if start not in self.fetched:
            planned = self.order.plan(ByteRange(start, start + self.structure.size), 1 << 40)
            assert planned is not None
            starts = [span.start for span in planned]
            assert start in starts
            assert not self.fetched.intersection(starts)
            self.fetched.update(starts)
            self.batches.append(len(starts))
        self.used.add(start)

    def window(self, row: int, column: int, rows: int, columns: int) -> list[int]:
        """Read a window, row by row; return how many tiles each batch has."""
        before = len(self.batches)
        for below in range(rows):
            for beside in range(columns):
                self.read(row + below, column + beside)
        return self.batches[before:]


@pytest.mark.parametrize(
    ("rows", "columns", "batches"),
    [
        (1, 1, [4]),
        (2, 2, [4]),
        (1, 3, [4, 12]),
        (3, 1, [4, 12]),
        (4, 4, [4, 12]),
        (4, 8, [4, 12, 16]),
        (8, 8, [4, 12, 16, 32]),
    ],
)
def test_a_window_grows_by_as_much_as_it_has(rows: int, columns: int, batches: list[int]) -> None:
    assert Reading().window(5, 3, rows, columns) == batches


def test_a_whole_image_is_read_in_few_batches_and_nothing_twice() -> None:
    reading = Reading()
    assert len(reading.window(0, 0, ROWS, COLUMNS)) <= 9
    assert len(reading.fetched) == ROWS * COLUMNS


def test_a_window_at_the_right_edge_does_not_go_on_in_the_next_row() -> None:
    reading = Reading()
    assert reading.window(5, COLUMNS - 1, 2, 1) == [2]


def test_batches_are_of_at_most_the_size_allowed_and_still_bring_all() -> None:
    reading = Reading(max_size=10 * SIZE)
    batches = reading.window(0, 0, 10, COLUMNS)
    assert max(batches) <= 10
    assert len(batches) <= 35


def test_large_tiles_come_alone_at_first() -> None:
    assert Reading(Structure(3 << 20)).window(0, 0, 1, 1) == [1]
    assert Reading(Structure(2 << 20)).window(0, 0, 1, 1) == [2]


def test_tiles_that_are_not_stored_are_skipped() -> None:
    reading = Reading(Structure(absent=(1, COLUMNS)))
    reading.read(0, 0)
    assert reading.batches == [2]  # itself and the one below and to the right
    reading.read(0, 2)
    reading.read(1, 2)
    assert reading.batches == [2, 12]


def test_single_tiles_here_and_there_bring_no_others_after_some_trials() -> None:
    reading = Reading()
    for place in range(12):
        reading.read(2 * place, place % 3 * 5)
    assert reading.batches == [4] * 4 + [1] * 8
    assert reading.window(21, 11, 1, 2) == [1, 3]  # a window can still grow
    assert reading.window(25, 11, 1, 4) == [1, 3, 4]


def test_windows_of_two_rows_go_on_bringing_both() -> None:
    reading = Reading()
    for place in range(8):
        assert reading.window(3 * place, 5, 2, 2) == [4]
