"""The cache of byte ranges of any length."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from obspec_utils.readers._readahead import ReadaheadPolicy
from obspec_utils.readers._segments import SegmentCache
from obspec_utils.readers._strategy import NO_PIECE

CONTENT = bytes(range(256)) * 4


def segments(max_size: int) -> SegmentCache:
    return SegmentCache(max_size, ReadaheadPolicy(1000, max_size))


def segment(start: int, stop: int) -> tuple[int, int, bytes]:
    return start, stop, CONTENT[start:stop]


def test_a_segment_is_found_by_any_of_its_positions() -> None:
    cache = segments(1000)
    cache.add([segment(10, 20), segment(30, 35)])
    assert [cache.find(position) for position in (9, 20, 29, 35)] == [NO_PIECE] * 4
    assert cache.find(10) == cache.find(19) == segment(10, 20)
    assert cache.peek(34) == segment(30, 35)
    assert cache.next_start(20, 100) == 30
    assert cache.next_start(40, 100) == 100


def test_use_is_noted_by_find_alone() -> None:
    cache = segments(1000)
    cache.add([segment(10, 20), segment(30, 35)])
    cache.peek(10)
    assert cache.used == set()
    cache.find(31)
    cache.find(32)
    assert (cache.used, cache._policy.used_bytes) == ({30}, 5)


def test_the_least_recently_used_are_evicted() -> None:
    cache = segments(25)
    cache.add([segment(0, 10), segment(10, 20)])
    cache.find(5)
    cache.add([segment(20, 30)])
    assert cache.find(10) is NO_PIECE
    assert cache.size == 20
    cache.evict(20)
    assert cache.size <= 5


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(1, 100)), max_size=30), st.integers(0, 500))
def test_segments_never_overlap_nor_exceed_the_budget(ranges: list[tuple[int, int]], budget: int) -> None:
    cache = segments(budget)
    for start, length in ranges:
        cache.add([segment(start, start + length)])
        found = [piece for piece in map(cache.peek, range(1000)) if piece is not NO_PIECE]
        for position in range(1000):
            piece = cache.peek(position)
            assert piece is NO_PIECE or piece[2][position - piece[0]] == CONTENT[position]
        assert cache.size == len(found) <= budget
