"""The blocks a reader keeps of its object."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from obspec_utils._guard import held, paused, reset_after_fork

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from obspec_utils.readers._window import Window

__all__ = ["Blocks"]


class Blocks:
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

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._used: OrderedDict[int, Window] = OrderedDict()
        self._ahead: OrderedDict[int, Window] = OrderedDict()
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
        with paused(), held(self._lock):
            self._used.clear()
            self._ahead.clear()

    def __contains__(self, number: int) -> bool:
        return number in self._used or number in self._ahead

    def __len__(self) -> int:
        return len(self._used) + len(self._ahead)

    def numbers(self) -> list[int]:
        """Return the numbers of all blocks, in no order."""
        return [*self._used, *self._ahead]

    def use(self, number: int) -> Window | None:
        """Return a block that was fetched ahead, which counts as used from now on; None if there is no such block."""
        with paused(), held(self._lock):
            block = self._ahead.pop(number, None)
            if block is not None:
                self._used[number] = block
        return block

    def make_room(self, count: int) -> None:
        """Forget others until there is room for `count` more: before they are fetched, so that not both take memory."""
        with paused(), held(self._lock):
            self._forget(count, self.most)

    def _forget(self, count: int, most: int) -> None:
        for kept in (self._ahead, self._used):
            while kept and len(self) + count > most:
                kept.popitem(last=False)

    def add(self, blocks: Mapping[int, Window], using: Container[int], most: int | None = None) -> None:
        """Keep blocks, those of `using` as used, and forget others until there are no more than `most`."""
        most = self.most if most is None else min(most, self.most)
        with paused(), held(self._lock):
            for number in blocks:  # fetched by another thread meanwhile
                self._used.pop(number, None)
                self._ahead.pop(number, None)
            self._forget(len(blocks), most)
            for number, block in list(blocks.items())[-most:]:
                (self._used if number in using else self._ahead)[number] = block
