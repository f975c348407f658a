"""The blocks a reader keeps of its object."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from obspec_utils._io.gc_pause import gc_paused, held, reset_after_fork

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from obspec_utils.readers._cached_piece import CachedPiece

__all__ = ["BlockCache"]


class BlockCache:
    """Blocks of one object by their numbers, at most `most` of them; the least recently used goes first.

    What was fetched ahead and not used yet goes before all that was used, so that reading through a large file does
    not push out the small pieces that are read again and again.

    Looking a block up takes no lock: each step is one operation of a dict, which is atomic. Changes are made under a
    lock, which nobody holds while doing anything else.

    Attributes
    ----------
    get
        Return a block that was used before; None if there is no such block.
    touch
        Make a block the one used last; KeyError if it is not there, or was not used before.
    """

    def __init__(self, max_blocks: int) -> None:
        self.max_blocks = max_blocks
        self._lock = threading.Lock()
        self._used: OrderedDict[int, CachedPiece] = OrderedDict()
        self._readahead: OrderedDict[int, CachedPiece] = OrderedDict()
        # Not methods, whose calls would be a good part of the time a small read takes.
        self.get = self._used.get
        self.touch = self._used.move_to_end
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        if self._lock.locked():  # another thread was in the middle of a change, which it will never finish here
            self._lock = threading.Lock()
            self.clear()

    def clear(self) -> None:
        """Forget everything."""
        with gc_paused(), held(self._lock):
            self._used.clear()
            self._readahead.clear()

    def __contains__(self, number: int) -> bool:
        return number in self._used or number in self._readahead

    def __len__(self) -> int:
        return len(self._used) + len(self._readahead)

    def numbers(self) -> list[int]:
        """Return the numbers of all blocks, in no order."""
        return [*self._used, *self._readahead]

    def promote(self, number: int) -> CachedPiece | None:
        """Return a block that was fetched ahead, which counts as used from now on; None if there is no such block."""
        with gc_paused(), held(self._lock):
            block = self._readahead.pop(number, None)
            if block is not None:
                self._used[number] = block
        return block

    def evict_for(self, count: int) -> None:
        """Forget others until there is room for `count` more: before they are fetched, so that not both take memory."""
        with gc_paused(), held(self._lock):
            self._evict(count, self.max_blocks)

    def _evict(self, count: int, max_blocks: int) -> None:
        for kept in (self._readahead, self._used):
            while kept and len(self) + count > max_blocks:
                kept.popitem(last=False)

    def add(self, blocks: Mapping[int, CachedPiece], using: Container[int], max_blocks: int | None = None) -> None:
        """Keep blocks, those of `using` as used, and forget others until there are no more than `most`."""
        max_blocks = self.max_blocks if max_blocks is None else min(max_blocks, self.max_blocks)
        with gc_paused(), held(self._lock):
            for number in blocks:  # fetched by another thread meanwhile
                self._used.pop(number, None)
                self._readahead.pop(number, None)
            self._evict(len(blocks), max_blocks)
            for number, block in list(blocks.items())[-max_blocks:]:
                (self._used if number in using else self._readahead)[number] = block
