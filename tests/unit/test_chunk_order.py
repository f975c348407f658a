"""Which chunks of a dataset are fetched with a missing one."""

from __future__ import annotations

import pytest

from obspec_utils._ranges import ByteRange
from obspec_utils.readers._chunk_order import ChunkOrder

SIZE = 5000
COUNT = 200
SPACING = 1_000_000  # too far apart to be one request


class Table:
    """A dataset's chunks at any offsets."""

    address = 96
    row_length = 1

    def __init__(self, offsets: list[int]) -> None:
        self.offsets = offsets
        self.sizes = [SIZE] * len(offsets)

    def __len__(self) -> int:
        return len(self.offsets)


class Structure:
    """A structure with one table."""

    def __init__(self, offsets: list[int]) -> None:
        self.table = Table(offsets)

    def find_chunk(self, offset: int) -> tuple[Table, int] | None:
        for position, start in enumerate(self.table.offsets):
            if start <= offset < start + SIZE:
                return self.table, position
        return None


class Reading:
    """Reads of whole chunks; those that were fetched before are no misses."""

    def __init__(self, offsets: list[int], max_size: int = 100 * SIZE) -> None:
        self.structure = Structure(offsets)
        self.order = ChunkOrder(self.structure, max_size)  # type: ignore[arg-type]
        self.fetched: list[ByteRange] = []
        self.batches: list[int] = []

    def read(self, position: int) -> None:
        start = self.structure.table.offsets[position]
        wanted = ByteRange(start, start + SIZE)
        if not any(span.start <= start and wanted.stop <= span.stop for span in self.fetched):
            planned = self.order.plan(wanted, 1 << 40)
            assert planned is not None
            assert any(span.start <= start and wanted.stop <= span.stop for span in planned)
            self.fetched += planned
            self.batches.append(sum(span.length for span in planned) // SIZE)


def spread(count: int = COUNT) -> list[int]:
    """Return offsets in an order of their own, far apart."""
    return [(number * 7919 % count) * SPACING for number in range(count)]


@pytest.mark.parametrize("step", [1, -1, 3, -7])
def test_the_next_chunks_are_fetched_in_batches_that_grow(step: int) -> None:
    reading = Reading(spread())
    positions = range(0, COUNT, step) if step > 0 else range(COUNT - 1, -1, step)
    for position in positions:
        reading.read(position)
    assert reading.batches[:2] == [1, 1] if step != 1 else reading.batches[0] == 1
    assert len(reading.batches) <= 8
    assert len(reading.fetched) == len(set(reading.fetched))
    assert sum(span.length for span in reading.fetched) <= len(positions) * SIZE  # nothing wasted


def test_chunks_in_no_order_are_fetched_alone() -> None:
    reading = Reading(spread())
    for position in (5, 90, 17, 60, 3, 121):
        reading.read(position)
    assert reading.batches == [1] * 6


def test_a_batch_is_within_its_size() -> None:
    reading = Reading(spread(), max_size=10 * SIZE)
    for position in range(COUNT):
        reading.read(position)
    assert max(reading.batches) == 10


def test_chunks_that_lie_close_together_are_one_request() -> None:
    reading = Reading([number * 2 * SIZE for number in range(COUNT)])
    for position in range(COUNT):
        reading.read(position)
    assert len(reading.fetched) <= 8


def test_what_is_no_chunk_or_more_than_one_is_left_to_others() -> None:
    order = ChunkOrder(Structure(spread()), 100 * SIZE)  # type: ignore[arg-type]
    assert order.plan(ByteRange(SIZE, SIZE + 10), 1 << 40) is None
    assert order.plan(ByteRange(0, 2 * SIZE), 1 << 40) is None
    assert ChunkOrder(Structure(spread()), SIZE).plan(ByteRange(0, 10), 1 << 40) is None  # type: ignore[arg-type] # too large


def test_with_the_first_chunk_those_next_to_it_are_fetched() -> None:
    adjacent = [number * SIZE for number in range(COUNT)]
    for offsets, position, count in ((adjacent, 0, 17), (adjacent, 1, 1), (spread(), 0, 1), (adjacent[::-1], 0, 1)):
        reading = Reading(offsets)
        reading.read(position)
        assert reading.batches == [count]


def test_with_the_first_chunk_at_most_a_mebibyte_is_fetched() -> None:
    structure = Structure([number * (300 << 10) for number in range(COUNT)])
    structure.table.sizes = [300 << 10] * COUNT
    planned = ChunkOrder(structure, 1 << 30).plan(ByteRange(0, SIZE), 1 << 40)  # type: ignore[arg-type]
    assert planned is not None
    assert sum(span.length for span in planned) == 3 * (300 << 10)
