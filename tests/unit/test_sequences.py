"""How far a block cache reads ahead: the policy by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from obspec_utils.wrappers.caching._sequences import Sequences

UNLIMITED = 10**9
ALL = range(UNLIMITED)


def test_a_sequence_doubles_up_to_the_maximum() -> None:
    sequences, stop, stops = Sequences(), 10, [10]
    for _ in range(8):
        stop = sequences.extend(stop, stop + 1, 10, ALL)
        stops.append(stop)
    assert stops == [10, 11, 12, 14, 18, 26, 36, 46, 56]


def test_more_missing_blocks_than_the_maximum_are_not_cut() -> None:
    sequences = Sequences()
    assert sequences.extend(0, 50, 10, ALL) == 50
    assert sequences.extend(50, 100, 10, ALL) == 100
    assert sequences.extend(100, 101, 10, ALL) == 110


def test_a_step_is_no_longer_than_what_of_the_sequence_is_cached() -> None:
    sequences = Sequences()
    assert sequences.extend(0, 6, 16, ()) == 6
    assert sequences.extend(6, 12, 16, ()) == 12  # while the first six are being fetched
    assert sequences.extend(12, 13, 16, range(9, 12)) == 15
    assert sequences.extend(15, 16, 16, range(15)) == 30
    assert sequences.extend(30, 31, 16, range(23, 30)) == 34
    assert sequences.extend(34, 35, 16, ()) == 35


@given(st.lists(st.integers(1, 200), max_size=20))
def test_fewer_blocks_are_read_ahead_in_vain_than_were_read_in_sequence(lengths: list[int]) -> None:
    """Sequences that are far apart, each read from its first block to its last."""
    sequences, cached, read = Sequences(), set[int](), set[int]()
    for place, length in enumerate(lengths):
        for number in range(1000 * place, 1000 * place + length):
            if number not in cached:
                cached.update(range(number, sequences.extend(number, number + 1, UNLIMITED, cached)))
            read.add(number)
    assert read <= cached
    assert len(cached) < 2 * len(read) or not lengths


@given(st.lists(st.integers(0, 1000), max_size=100))
def test_the_state_is_bounded(numbers: list[int]) -> None:
    sequences = Sequences()
    for number in numbers:
        sequences.extend(number, number + 1, 10, ALL)
    assert len(sequences._lengths) <= 8
