"""The plans: whatever is asked for, exactly that is covered, within the bounds."""

from __future__ import annotations

import itertools
from itertools import groupby, pairwise

from hypothesis import given
from hypothesis import strategies as st

from obspec_utils._ranges import (
    ByteRange,
    block_indices,
    coalesce_blocks,
    covered_size,
    merge_near,
    resolve_length,
    resolve_range,
    split,
)

numbers = st.integers(1, 5000)


@given(st.integers(0, 1000), st.integers(0, 20_000), numbers, st.integers(1, 40), st.integers(0, 1))
def test_parts_tile_the_span_near_the_request_size(
    start: int, length: int, request_size: int, max_concurrent: int, under_way: int
) -> None:
    span = ByteRange(start, start + length)
    parts = split(span, request_size, max_concurrent, under_way=under_way)
    assert [part.start for part in parts] == [span.start, *(part.stop for part in parts)][: len(parts)]
    assert (parts[-1].stop if parts else span.start) == span.stop
    assert all(part.length > 0 for part in parts)
    if parts:
        assert max(part.length for part in parts) - min(part.length for part in parts) <= 1
        assert max(part.length for part in parts) <= -(-3 * request_size // 2) + 1


@given(st.integers(1, 20_000), numbers, st.integers(1, 40))
def test_up_to_one_batch_no_part_is_longer_than_the_request_size(length: int, request_size: int, most: int) -> None:
    parts = split(ByteRange(0, length), request_size, most)
    if -(-length // request_size) <= most:
        assert len(parts) == -(-length // request_size)
        assert max(part.length for part in parts) <= request_size
    else:
        assert len(parts) % most == 0 or len(parts) == length


def test_beyond_one_batch_parts_have_two_thirds_to_three_halves_of_the_request_size() -> None:
    for requests in range(19, 400):
        lengths = [part.length for part in split(ByteRange(0, requests * 1200), 1200, 18)]
        assert 800 <= min(lengths) <= max(lengths) <= 1800


def test_256_mib_by_default_is_one_full_batch() -> None:
    first = 12 << 20
    rest = split(ByteRange(first, 256 << 20), first, 18, under_way=1)
    assert len(rest) == 17


def test_ten_gigabytes_are_many_parts_not_few_giant_ones() -> None:
    parts = split(ByteRange(0, 10 << 30), 12 << 20, 18)
    assert len(parts) % 18 == 0
    assert (8 << 20) <= min(part.length for part in parts) <= max(part.length for part in parts) <= (18 << 20)


@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 3000), st.integers(1, 200))
def test_aligned_blocks_are_just_those_that_hold_a_wanted_byte(start: int, stop: int, size: int, block: int) -> None:
    wanted = {byte // block for byte in range(start, min(stop, size))}
    assert set(block_indices(ByteRange(start, stop), size, block)) == wanted


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)), max_size=6), st.integers(0, 300), st.integers(1, 40)
)
def test_the_extent_of_spans_is_that_of_their_blocks(given_spans: list[tuple[int, int]], size: int, block: int) -> None:
    spans = [ByteRange(start, start + length) for start, length in given_spans]
    touched = {number for span in spans for number in block_indices(span, size, block)}
    assert covered_size(spans, size, block) == sum(min(block, size - number * block) for number in touched)


@given(st.sets(st.integers(0, 60)), st.integers(1, 50), st.integers(0, 2999))
def test_merged_runs_cover_the_blocks_and_leave_gaps(blocks: set[int], block: int, cut: int) -> None:
    size = max([(b + 1) * block for b in blocks], default=1) - cut % block
    runs = list(coalesce_blocks(sorted(blocks), block, size))
    covered = {byte for run in runs for byte in range(*run)}
    assert covered == {byte for b in blocks for byte in range(b * block, min((b + 1) * block, size))}
    assert all(before.stop < after.start for before, after in itertools.pairwise(runs))


ranges = st.one_of(
    st.tuples(st.integers(-5, 60), st.integers(-5, 60)),
    st.lists(st.integers(-5, 60), min_size=2, max_size=2),
    st.fixed_dictionaries({"offset": st.integers(-5, 60)}),
    st.fixed_dictionaries({"suffix": st.integers(-5, 60)}),
    st.sampled_from([None, (1, 2, 3), "ab", {"x": 1}, {}, {"offset": 1, "suffix": 1}, (1.5, 3), {"suffix": None}, 7]),
)


@given(ranges, st.integers(0, 50))
def test_a_range_is_resolved_as_a_slice_or_left_to_the_store(wanted: object, size: int) -> None:
    content = bytes(range(size))
    found = resolve_range(wanted, size)
    if isinstance(wanted, dict) and set(wanted) == {"offset"} and wanted["offset"] >= 0:
        expected = content[wanted["offset"] :]
    elif isinstance(wanted, dict) and set(wanted) == {"suffix"} and (wanted["suffix"] or 0) > 0:
        expected = content[-wanted["suffix"] :]
    elif isinstance(wanted, tuple | list) and len(wanted) == 2 and wanted[0] >= 0 and isinstance(wanted[0], int):
        expected = content[wanted[0] : max(wanted[1], 0)]
    else:
        expected = b""
    assert (content[found.start : found.stop] if found else b"") == expected
    assert found is None or found.length > 0


@given(st.integers(-5, 60), st.none() | st.integers(-5, 60), st.none() | st.integers(-5, 60), st.integers(0, 50))
def test_end_and_length_exclude_each_other(start: int, end: int | None, length: int | None, size: int) -> None:
    found = resolve_length(start, end, length, size)
    if (end is None) == (length is None):
        assert found is None
    else:
        stop = end if length is None else start + length
        assert found == resolve_range((start, stop), size)


def test_what_is_no_number_is_left_to_the_store() -> None:
    assert resolve_length("a", 3, None, 10) is None
    assert resolve_length(1, None, "b", 10) is None


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 40)), max_size=30),
    st.integers(0, 50),
    st.integers(0, 200),
)
def test_ranges_that_lie_near_are_joined_the_nearest_first(
    pairs: list[tuple[int, int]], max_gap: int, most: int
) -> None:
    ranges = sorted(ByteRange(start, start + length) for start, length in pairs)
    wanted = {byte for span in ranges for byte in range(*span)}
    joined = merge_near(ranges, max_gap, most)
    got = [byte for span in joined for byte in range(*span)]
    assert len(got) == len(set(got))
    assert wanted <= set(got)
    assert len(got) - len(wanted) <= most
    between = sorted(set(got) - wanted)
    left = [two.start - one.stop for one, two in pairwise(joined)]
    longest = max((len(list(run)) for _, run in groupby(enumerate(between), lambda pair: pair[1] - pair[0])), default=0)
    assert longest <= max_gap
    assert all(gap > longest for gap in left)
    if left and min(left) <= max_gap:  # it did not fit
        assert len(between) + sum(gap for gap in left if gap == min(left)) > most
