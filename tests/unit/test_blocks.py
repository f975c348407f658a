"""The blocks a reader keeps: a hard bound, what was never used goes first, then what was used longest ago."""

from __future__ import annotations

import random
import threading
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obspec_utils.readers._block_cache import BlockCache

if TYPE_CHECKING:
    from collections.abc import Container

    from obspec_utils.readers._strategy import CachedPiece

NO_PIECE = range(0)


def block(number: int) -> CachedPiece:
    return (number, number + 1, b"%d" % number)


def blocks_of(*numbers: int) -> dict[int, CachedPiece]:
    return {number: block(number) for number in numbers}


def order(blocks: BlockCache) -> list[int]:
    """Return what is kept, in the order in which it goes."""
    return [*blocks._readahead, *blocks._used]


def test_what_was_fetched_ahead_goes_before_what_was_used() -> None:
    blocks = BlockCache(4)
    blocks.add(blocks_of(1, 2), using=[1, 2])
    blocks.add(blocks_of(3, 4), using=NO_PIECE)
    blocks.add(blocks_of(5), using=[5])
    assert order(blocks) == [4, 1, 2, 5]
    blocks.add(blocks_of(6, 7), using=NO_PIECE)
    assert order(blocks) == [6, 7, 2, 5]


def test_of_what_was_used_the_least_recently_used_goes_first() -> None:
    blocks = BlockCache(3)
    blocks.add(blocks_of(1, 2, 3), using=range(9))
    blocks.touch(1)
    blocks.add(blocks_of(4), using=[4])
    assert order(blocks) == [3, 1, 4]
    assert blocks.get(1) == block(1)
    blocks.add(blocks_of(5), using=[5])
    assert order(blocks) == [1, 4, 5], "a look alone is no use: readers touch what they serve from"


def test_of_what_was_fetched_ahead_the_oldest_goes_first() -> None:
    blocks = BlockCache(3)
    blocks.add(blocks_of(1, 2, 3), using=NO_PIECE)
    blocks.add(blocks_of(4), using=NO_PIECE)
    assert order(blocks) == [2, 3, 4]


def test_a_block_fetched_ahead_is_found_by_use_alone_and_then_counts_as_used() -> None:
    blocks = BlockCache(3)
    blocks.add(blocks_of(1, 2), using=NO_PIECE)
    assert blocks.get(1) is None
    with pytest.raises(KeyError):
        blocks.touch(1)
    assert blocks.absent([1, 2, 3]) == [3]
    assert blocks.promote(1) == block(1)
    assert blocks.promote(1) is None
    assert blocks.get(1) == block(1)
    assert order(blocks) == [2, 1]
    assert (len(blocks), blocks.absent([1, 2, 3])) == (2, [3])


def test_a_block_that_is_added_again_is_there_once() -> None:
    blocks = BlockCache(3)
    blocks.add(blocks_of(1, 2), using=[1])
    blocks.add(blocks_of(1, 2), using=[2])
    assert order(blocks) == [1, 2]
    assert len(blocks) == 2


def test_of_more_blocks_than_may_be_kept_the_last_stay() -> None:
    blocks = BlockCache(3)
    blocks.add(blocks_of(1), using=[1])
    blocks.add(blocks_of(2, 3, 4, 5, 6), using=[2, 3, 4, 5])
    assert order(blocks) == [6, 4, 5]


def test_an_addition_may_bound_what_is_kept_more_tightly_never_less() -> None:
    blocks = BlockCache(4)
    blocks.add(blocks_of(1, 2, 3, 4), using=[1, 2])
    blocks.add(blocks_of(5), using=[5], max_blocks=2)
    assert order(blocks) == [2, 5]
    blocks.add(blocks_of(6, 7, 8, 9, 10), using=range(99), max_blocks=100)
    assert order(blocks) == [7, 8, 9, 10]


def test_clearing_forgets_everything() -> None:
    blocks = BlockCache(4)
    blocks.add(blocks_of(1, 2), using=[1])
    blocks.clear()
    assert (len(blocks), blocks.get(1), blocks.promote(2)) == (0, None, None)


class Model:
    """The same, written for clarity: a list of what is kept in the order in which it goes."""

    def __init__(self, max_blocks: int) -> None:
        self.max_blocks = max_blocks
        self.ahead: list[int] = []
        self.used_bytes: list[int] = []

    def add(self, numbers: list[int], using: Container[int], max_blocks: int) -> None:
        kept = [number for number in (*self.ahead, *self.used_bytes) if number not in numbers]
        kept = kept[max(0, len(kept) + len(numbers) - min(max_blocks, self.max_blocks)) :]
        stay = numbers[-min(max_blocks, self.max_blocks) :]
        self.ahead = [n for n in self.ahead if n in kept] + [n for n in stay if n not in using]
        self.used_bytes = [n for n in self.used_bytes if n in kept] + [n for n in stay if n in using]

    def find(self, number: int) -> bool:
        found = number in self.ahead or number in self.used_bytes
        if found:
            self.ahead = [n for n in self.ahead if n != number]
            self.used_bytes = [*(n for n in self.used_bytes if n != number), number]
        return found


def find(blocks: BlockCache, number: int) -> CachedPiece | None:
    """Look a block up as readers do."""
    found = blocks.get(number)
    if found is None:
        return blocks.promote(number)
    with suppress(KeyError):
        blocks.touch(number)
    return found


numbers = st.lists(st.integers(0, 9), unique=True, min_size=1, max_size=6)
steps = st.lists(st.one_of(st.tuples(numbers, st.sets(st.integers(0, 9)), st.integers(1, 8)), st.integers(0, 9)))


@given(st.integers(1, 6), steps)
def test_it_keeps_what_a_plain_model_keeps(max_blocks: int, steps: list[int | tuple[list[int], set[int], int]]) -> None:
    blocks, model = BlockCache(max_blocks), Model(max_blocks)
    for step in steps:
        if isinstance(step, int):
            assert find(blocks, step) == (block(step) if model.find(step) else None)
        else:
            blocks.add(blocks_of(*step[0]), *step[1:])
            model.add(*step)
        assert order(blocks) == [*model.ahead, *model.used_bytes]
        assert len(blocks) <= max_blocks


def test_threads_never_see_more_than_may_be_kept_nor_another_block_nor_an_error() -> None:
    blocks = BlockCache(20)
    wrong: list[object] = []
    start = threading.Barrier(8)

    def promote(seed: int) -> None:
        rng = random.Random(seed)
        start.wait(60)
        try:
            for _ in range(4000):
                number = rng.randrange(40)
                found = find(blocks, number)
                if found not in (None, block(number)):
                    wrong.append((number, found))
                if found is None:
                    blocks.add(blocks_of(*range(number, number + rng.randrange(1, 9))), using=[number])
                if len(blocks) > 20 + 8 * 8:  # what eight threads may add before they evict
                    wrong.append(order(blocks))
        except BaseException as error:  # noqa: BLE001 - told by the assertion below
            wrong.append(error)

    threads = [threading.Thread(target=promote, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert wrong == []
    assert len(blocks) == 20


def test_a_block_promoted_while_another_thread_evicts_it_is_not_one_too_many() -> None:
    class Readahead(OrderedDict[int, Any]):
        def get(self, key: int, default: Any = None) -> Any:
            found = super().get(key, default)
            blocks.add(blocks_of(3, 4), using=[3, 4])  # another thread
            return found

    blocks = BlockCache(2)
    blocks._readahead = Readahead(blocks_of(1, 2))
    assert blocks.promote(1) == block(1)
    assert order(blocks) == [4, 1]


def test_blocks_added_by_two_threads_at_the_same_time_are_not_too_many() -> None:
    class Added(dict[int, Any]):
        def items(self) -> Any:
            blocks.add(blocks_of(3, 4), using=[3, 4])  # another thread
            return super().items()

    blocks = BlockCache(2)
    blocks.add(Added(blocks_of(1)), using=[1])
    assert order(blocks) == [4, 1]
