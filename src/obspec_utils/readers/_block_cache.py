"""The blocks of one object that a reader keeps in memory."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING

from obspec_utils._io.buffers import BufferList
from obspec_utils.readers._strategy import NO_PIECE

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Container, Mapping, Sequence

    from obspec_utils.readers._strategy import CachedPiece

__all__ = ["BlockCache", "copy_blocks", "in_order"]


class BlockCache:
    """A two-segment LRU: blocks that were only read ahead are evicted before blocks that were used.

    So reading through a large file does not evict small pieces that are read repeatedly.

    There is no lock. Each step is one atomic operation of an OrderedDict, and each change ends with eviction if there
    are too many blocks; threads that change the cache concurrently may evict one block too many.

    Attributes
    ----------
    get
        Return a used block by its number; None if there is none.
    touch
        Make a used block the most recently used; KeyError if there is none.
    """

    def __init__(self, max_blocks: int) -> None:
        self.max_blocks = max_blocks
        self._used: OrderedDict[int, CachedPiece] = OrderedDict()
        self._readahead: OrderedDict[int, CachedPiece] = OrderedDict()
        # Bound methods, for speed on small reads.
        self.get = self._used.get
        self.touch = self._used.move_to_end

    def absent(self, numbers: Sequence[int]) -> list[int]:
        """Return those of the blocks that are not cached."""
        used, readahead = self._used, self._readahead
        # In this order, in which `promote` moves a block.
        return [number for number in numbers if number not in readahead and number not in used]

    def __len__(self) -> int:
        return len(self._used) + len(self._readahead)

    @property
    def size(self) -> int:
        """Bytes of all blocks."""
        return sum(len(block[2]) for block in [*self._used.values(), *self._readahead.values()])

    def peek(self, number: int) -> CachedPiece:
        """Return a block without noting its use; `NO_PIECE` if there is none."""
        return self._readahead.get(number) or self._used.get(number) or NO_PIECE

    def numbers(self) -> list[int]:
        """Return the numbers of all blocks, in no order."""
        return [*self._used, *self._readahead]

    def promote(self, number: int) -> CachedPiece | None:
        """Return a block that was read ahead, and make it a used one; None if there is none."""
        block = self._readahead.get(number)
        if block is not None:
            self._used[number] = block
            self._readahead.pop(number, None)
            self.evict(0)  # another thread may have added blocks
        return block

    def evict(self, count: int, max_blocks: int | None = None) -> None:
        """Evict until there is space for `count` blocks. Call it before fetching them, so that not both take memory."""
        space = (self.max_blocks if max_blocks is None else max_blocks) - count
        for segment in (self._readahead, self._used):
            while segment and len(self._used) + len(self._readahead) > space:
                with suppress(KeyError):  # another thread evicted the last one
                    segment.popitem(last=False)

    def add(self, blocks: Mapping[int, CachedPiece], using: Container[int], max_blocks: int | None = None) -> None:
        """Keep blocks, those in `using` as used; evict others until there are at most `max_blocks`."""
        max_blocks = self.max_blocks if max_blocks is None else min(max_blocks, self.max_blocks)
        for number in blocks:  # another thread may have fetched it, too
            self._used.pop(number, None)
            self._readahead.pop(number, None)
        self.evict(len(blocks), max_blocks)
        for number, block in list(blocks.items())[-max_blocks:]:
            (self._used if number in using else self._readahead)[number] = block
        self.evict(0)  # another thread may have added blocks

    def clear(self) -> None:
        """Evict all blocks."""
        self._used.clear()
        self._readahead.clear()


def in_order(blocks: Mapping[int, CachedPiece], wanted: range) -> tuple[BufferList, CachedPiece]:
    """Return consecutive blocks, and the last of them."""
    return BufferList([blocks[number][2] for number in wanted], blocks[wanted[0]][0]), blocks[wanted[-1]]


def copy_blocks(
    fetched: deque[BufferList], numbers: Sequence[int], block_size: int, size: int
) -> dict[int, CachedPiece]:
    """Copy blocks of an object of `size` bytes out of `fetched`, and remove the copied parts from it.

    A view would keep the whole fetched part in memory. Incomplete blocks are left out: the first response may end
    within one.
    """
    blocks: dict[int, CachedPiece] = {}
    for number in numbers:
        start = number * block_size
        stop = min(start + block_size, size)
        while fetched[0].stop <= start:
            fetched.popleft()
        data = b"".join(
            piece
            for parts in fetched
            if parts.start < stop
            for piece in parts.pieces(max(start, parts.start), min(stop, parts.stop))
        )
        if len(data) == stop - start:
            blocks[number] = (start, stop, data)
    return blocks
