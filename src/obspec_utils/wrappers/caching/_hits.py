"""The way of most requests: a range of one block that is in memory."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, TypeAlias

from obspec_utils._ranges import NO_OFFSET

if TYPE_CHECKING:
    from collections.abc import Callable

    from obstore import Bytes

    from obspec_utils.wrappers.caching._blocks import BlockLoader

__all__ = ["Hit", "make_hit"]

Hit: TypeAlias = "Callable[[str, int, int | None, int | None], Bytes | None]"


def make_hit(blocks: BlockLoader) -> Hit:
    """Return the function that answers a get_range from memory, or None where that takes more than one block.

    It is flat and holds all it needs: calls and attributes would cost more than the work itself.
    """
    trusted, entries, counters = blocks.trusted, blocks.index.entries, blocks.counters.counters
    touch, count = entries.move_to_end, blocks.counters.served

    def hit(path: str, start: int, end: int | None, length: int | None) -> Bytes | None:
        entry = trusted(path)
        if entry is None or type(start) is not int:  # other integers may have no room for the sum
            return None
        stop = end if length is None else start + length if end is None and type(length) is int else None
        if type(stop) is not int or stop >= NO_OFFSET:
            return None
        size, block_size = entry.size, entry.block_size
        if stop > size:  # noqa: PLR1730 - min() takes longer
            stop = size
        number = start // block_size
        if not 0 <= start < stop <= (number + 1) * block_size:
            return None
        key = (entry, number)
        try:
            parts = entries[key][0]
            touch(key)
        except KeyError:  # it is not there, or has been evicted this moment
            return None
        if stop - start == size and not parts.joined:
            return None
        counter = counters.get(get_ident())
        if counter is None:
            count(1, stop - start)
        else:  # as `Tally.served` does
            counter[0] += 1
            counter[1] += stop - start
        return parts.slice(start, stop)

    return hit
