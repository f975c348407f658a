"""What is fetched around a miss: offsets in, offsets out, on traces of reads."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obspec_utils._ranges import ByteRange
from obspec_utils.readers._readahead import ReadaheadPolicy

CHUNK = 1000
BUDGET = 64_000
SIZE = 10_000_000


class Reading:
    """Misses, one after the other: each is noted, planned for, and fetched as planned."""

    def __init__(self, size: int = SIZE, chunk: int = CHUNK, budget: int = BUDGET) -> None:
        self.size = size
        self.ahead = ReadaheadPolicy(chunk, budget)

    def miss(self, start: int, length: int = 10, *, used_bytes: int | None = None) -> tuple[int, int]:
        """Read what is not there; of what is fetched, `used` is used, or just what was asked for."""
        self.ahead.note_read(start)
        span, _ = self.ahead.plan(ByteRange(start, start + length), self.size)
        self.ahead.note_fetch(span.stop, span.length)
        self.ahead.used_bytes += min(span.length, length) if used_bytes is None else used_bytes
        return tuple(span)

    def begin(self) -> Reading:
        """Fetch the first chunk, as readers do by themselves."""
        self.ahead.note_read(0)
        self.ahead.note_fetch(CHUNK, CHUNK)
        self.ahead.used_bytes += 10
        return self

    def hit(self, *starts: int) -> None:
        for start in starts:
            self.ahead.note_read(start)


@pytest.fixture
def begun() -> Reading:
    return Reading().begin()


def test_the_first_fetch_is_a_chunk_wherever_it_is() -> None:
    assert Reading().miss(0) == (0, 1000)
    assert Reading().miss(5_000_000) == (5_000_000, 5_001_000)
    assert Reading().miss(5_000_000, 2500) == (5_000_000, 5_002_500)


def test_reads_that_go_on_are_read_ahead_of_in_steps_that_double_up_to_half_of_the_budget(begun: Reading) -> None:
    position, lengths = CHUNK, []
    for _ in range(7):
        start, stop = begun.miss(position, used_bytes=SIZE)
        assert start == position
        lengths.append(stop - start)
        position = stop
    assert lengths == [2000, 4000, 8000, 16_000, 32_000, 32_000, 32_000]


def test_a_skip_of_a_quarter_chunk_still_goes_on_and_a_longer_one_does_not(begun: Reading) -> None:
    assert begun.miss(1250) == (1250, 3250)
    assert begun.miss(3500) == (3500, 7500)
    begun.miss(100_000)
    assert begun.miss(100_010 + 251) == (100_261, 100_271)


def test_a_read_before_the_end_of_the_last_fetch_does_not_go_on(begun: Reading) -> None:
    assert begun.miss(999) == (999, 1009)


def test_the_first_jump_fetches_four_chunks_in_one_part_if_it_does_not_go_far() -> None:
    for start, expected in (
        (1251, ByteRange(1251, 5251)),
        (17_000, ByteRange(17_000, 21_000)),
        (17_001, ByteRange(17_001, 17_011)),
    ):
        reading = Reading().begin()
        reading.hit(start)
        plan = reading.ahead.plan(ByteRange(start, start + 10), SIZE)
        assert plan == (expected, 4000 if expected.length > 10 else CHUNK)
    assert reading.miss(3000) == (3000, 3010), "the second is no first one, however near"


def test_the_first_jump_of_what_may_keep_little_fetches_half_of_that() -> None:
    for budget, stop in ((6000, 6000), (2000, 4000), (1000, 3500), (1, 3010)):
        reading = Reading(budget=budget).begin()
        reading.hit(3000)
        plan = reading.ahead.plan(ByteRange(3000, 3010), SIZE)
        assert plan == (ByteRange(3000, stop), max(stop - 3000, CHUNK))


def test_three_misses_near_each_other_are_a_scan_which_takes_a_quarter_of_the_step_before(begun: Reading) -> None:
    assert begun.miss(100_000) == (100_000, 100_010)
    assert begun.miss(116_000) == (116_000, 116_010)
    assert begun.miss(108_000) == (107_000, 111_000)
    # The step doubles from there, on the way forward.
    assert begun.miss(114_000) == (112_000, 120_000)
    assert begun.miss(104_000) == (102_000, 110_000), "not on the way back"
    assert begun.miss(98_000) == (96_000, 104_000)
    assert begun.miss(112_000) == (108_000, 124_000)


@pytest.mark.parametrize(("third", "expected"), [(116_000, (115_000, 119_000)), (116_001, (116_001, 116_011))])
def test_misses_more_than_sixteen_chunks_apart_are_no_scan(
    begun: Reading, third: int, expected: tuple[int, int]
) -> None:
    begun.miss(100_000)
    begun.miss(108_000)
    assert begun.miss(third) == expected


def test_two_misses_near_each_other_are_no_scan_yet(begun: Reading) -> None:
    begun.miss(100_000)
    assert begun.miss(110_000) == (110_000, 110_010)


def test_isolated_misses_fetch_what_they_ask_for(begun: Reading) -> None:
    for start in range(100_000, 5_000_000, 100_000):
        assert begun.miss(start, 77) == (start, start + 77)


def test_isolated_misses_halve_the_step_that_reading_on_has_reached(begun: Reading) -> None:
    for start in (1000, 3000, 7000):
        _, stop = begun.miss(start, used_bytes=SIZE)
    assert stop == 15_000
    assert begun.miss(1_000_000, used_bytes=SIZE) == (1_000_000, 1_000_010)
    # From 8 chunks it went to 4, and doubles again.
    assert begun.miss(1_000_010) == (1_000_010, 1_008_010)


def test_reads_that_come_back_to_a_zone_fetch_it_with_margins(begun: Reading) -> None:
    begun.hit(500_000, 502_000)
    # Two reads before it, 2 chunks apart: a third of that is left out at each end.
    assert begun.miss(501_000) == (499_334, 502_666)


def test_the_margins_of_a_zone_are_a_quarter_chunk_at_least(begun: Reading) -> None:
    begun.hit(500_000, 500_100)
    assert begun.miss(500_050) == (499_750, 500_350)


def test_one_read_nearby_or_two_more_than_three_chunks_off_are_no_zone(begun: Reading) -> None:
    begun.hit(500_000, 600_000)
    assert begun.miss(501_000) == (501_000, 501_010)
    begun.hit(700_000, 700_000)
    assert begun.miss(703_001) == (703_001, 703_011)
    begun.hit(800_000, 800_000)
    assert begun.miss(803_000) == (798_997, 804_013)


@pytest.mark.parametrize(("others", "expected"), [(17, (500_164, 501_846)), (18, (501_500, 501_510))])
def test_only_the_last_20_reads_tell_a_zone(others: int, expected: tuple[int, int]) -> None:
    reading = Reading().begin()
    reading.hit(500_500, 501_500)
    reading.hit(*range(1_000_000, 1_000_000 + others * 100_000, 100_000))
    assert reading.miss(501_500) == expected


def test_a_zone_that_would_take_an_eighth_of_the_budget_is_not_fetched() -> None:
    for budget, expected in ((26_656, (499_334, 502_666)), (26_648, (501_000, 501_010))):
        reading = Reading(budget=budget).begin()
        reading.hit(500_000, 502_000)
        assert reading.miss(501_000) == expected


def test_nothing_beyond_the_object_is_planned() -> None:
    reading = Reading(size=5500)
    assert reading.miss(0) == (0, 1000)
    assert reading.miss(1000, used_bytes=2000) == (1000, 3000)
    assert reading.miss(3000) == (3000, 5500)
    small = Reading(size=700)
    assert small.miss(0) == (0, 700)


def test_once_the_object_s_size_was_fetched_in_vain_only_what_is_asked_for_is_fetched() -> None:
    reading = Reading(size=100_000, budget=200_000)
    lengths = []
    for start in (0, 1000, 3000, 7000, 15_000, 31_000, 63_000, 30_000, 30_010, 30_020):
        first, stop = reading.miss(start)
        assert first == start
        lengths.append(stop - first)
    assert lengths[:6] == [1000, 2000, 4000, 8000, 16_000, 32_000]
    # 63,000 bytes were fetched when the seventh would have asked for 64,000 more.
    assert 32_000 < lengths[6] <= 37_000
    assert lengths[7:] == [10, 10, 10]


def test_reading_ahead_goes_on_beyond_the_object_s_size_where_half_of_it_was_used() -> None:
    reading = Reading(size=100_000)
    reading.miss(0)
    for _ in range(3):
        position = 1000
        while position < 100_000:
            start, stop = reading.miss(position, used_bytes=0)
            reading.ahead.used_bytes += (stop - start) // 2 + 1
            position = stop
    assert reading.ahead.fetched_bytes > 250_000
    assert reading.miss(99_000, used_bytes=0) == (99_000, 99_010)


traces = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 49_999), st.integers(0, 9).map(lambda step: -1 - step)),
        st.integers(1, 3000),
        st.sampled_from([0.0, 0.0, 0.3, 1.0]),
    ),
    max_size=120,
)


@given(traces, st.integers(1, 50_000), st.integers(1, 3000), st.integers(1, 40_000))
def test_plans_lie_within_the_object_hold_what_is_missing_and_add_no_more_than_half_of_the_budget(
    trace: list[tuple[int, int, float]], size: int, chunk: int, budget: int
) -> None:
    reading = Reading(size, chunk, budget)
    stop = 0
    for where, length, share in trace:
        start = min(where if where >= 0 else stop - where - 1, size - 1)  # a negative one goes on, nearly
        missing = ByteRange(start, min(start + length, size))
        first = reading.ahead.fetched_bytes == 0
        reading.hit(start)
        span, part = reading.ahead.plan(missing, size)
        assert 0 <= span.start <= missing.start < missing.stop <= span.stop <= size
        extra = span.length - missing.length
        assert extra <= (chunk if first else budget // 2)
        assert part >= chunk
        stop = span.stop
        reading.ahead.note_fetch(stop, span.length)
        reading.ahead.used_bytes += missing.length + int(extra * share)


@given(traces, st.integers(1, 50_000), st.integers(1, 3000), st.integers(1, 40_000))
def test_what_is_fetched_in_vain_never_exceeds_the_object_nor_what_was_used_by_more_than_one_step(
    trace: list[tuple[int, int, float]], size: int, chunk: int, budget: int
) -> None:
    reading = Reading(size, chunk, budget)
    ahead = reading.ahead
    stop = 0
    for where, length, share in trace:
        start = min(where if where >= 0 else stop - where - 1, size - 1)
        asked = min(length, size - start)
        fetched_bytes, used_bytes = ahead.fetched_bytes, ahead.used_bytes
        first, stop = reading.miss(start, asked, used_bytes=0)
        ahead.used_bytes += asked + int((stop - first - asked) * share)
        if stop - first > asked and fetched_bytes:
            assert ahead.fetched_bytes <= size or 2 * used_bytes >= fetched_bytes
        vain = ahead.fetched_bytes - ahead.used_bytes
        assert vain <= max(size, used_bytes + budget // 2)


def test_reads_at_random_fetch_less_in_vain_than_the_object_has() -> None:
    reading = Reading(size=40_000)
    random_reads = random.Random(0)
    for _ in range(1000):
        reading.miss(random_reads.randrange(40_000 - 10), 10)
    vain = reading.ahead.fetched_bytes - reading.ahead.used_bytes
    assert 20_000 < vain <= 40_000
