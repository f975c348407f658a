"""What a caching store has in the memory of its process: versions of objects, and blocks of them."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING

from obspec_utils._io.buffers import BufferList
from obspec_utils._ranges import ByteRange
from obspec_utils.caches._lru import LruCache
from obspec_utils.wrappers.caching._entry import BlockKey, Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from obspec_utils.caches import MemoryCache

__all__ = ["EntryTable"]

# How many versions are known although nothing of them is in memory, which take about 1.5 kB each. More are, if they are
# less than a third of those of which something is: of so many at a time is one forgotten.
_BARE = 4096
_LOOKS = 4


class EntryTable:
    """Which version each path has, and the blocks of these versions that are in memory.

    Blocks go as the budget of `memory` wants it; what is known of a version stays for a while. So a version without
    blocks tells nothing by itself: what is fetched for it is compared with it.

    Parameters
    ----------
    memory
        Where blocks are kept; None if they are kept elsewhere only.
    """

    def __init__(self, memory: MemoryCache | None) -> None:
        self.memory = memory
        # Each change is one operation of a dict, which is atomic; who changes it has the lock of the flights.
        self._known: OrderedDict[str, Entry] = OrderedDict()
        self._values: LruCache[Hashable, BufferList] = LruCache(1) if memory is None else memory.values
        self.entries = self._values.entries
        # One call less on the way of every hit.
        self.find: Callable[[str], Entry | None] = self._known.get
        self.block: Callable[[Hashable], BufferList | None] = self._values.get

    def held(self, entry: Entry, span: ByteRange) -> BufferList | None:
        """Return parts that hold a span of a version, if all of it is in memory."""
        block_size = entry.block_size
        first, last = span.start // block_size, (span.stop - 1) // block_size
        if first >= last:
            return self.block((entry, first))
        found: list[BufferList] = []
        for number in range(first, last + 1):
            parts = self.block((entry, number))
            if parts is None:
                return None
            found.append(parts)
        return concat(found)

    def has_all(self, entry: Entry | None) -> bool:
        """Tell whether all of a version is in memory."""
        return entry is not None and self.held(entry, ByteRange(0, entry.size)) is not None

    def put(self, path: str, entry: Entry) -> None:
        """Take a version for the one that a path has; another one that was known before is forgotten."""
        former = self._known.get(path)
        entry.is_current = True
        if former is not None and former is not entry and former.is_of(entry):
            former.validated_at = max(former.validated_at, entry.validated_at)
            entry.canonical = former
            return
        self._known[path] = entry
        if former is entry:
            return
        if former is not None:
            self._discard(former)
        elif len(self._known) > _BARE:
            self._make_room()

    def _make_room(self) -> None:
        """Forget versions of which nothing is in memory, those known for longest first; one at a time on average."""
        for path in list(islice(self._known, _LOOKS)):
            if self._known[path].blocks:
                self._known.move_to_end(path)
            else:
                self.drop(path)

    def keep(self, entry: Entry, number: int, parts: BufferList) -> None:
        """Keep a block in memory, within the budget."""
        entry = entry.canonical or entry
        if self.memory is None or not entry.is_current:
            return
        entry.blocks.add(number)  # first: where there is no room for it, it is told at once that it has left
        self._values.put(BlockKey(entry, number), parts, len(parts))

    def drop(self, path: str, entry: Entry | None = None) -> None:
        """Forget a path, or only one version of it."""
        found = self._known.get(path)
        if found is not None and (entry is None or found is entry):
            self._known.pop(path, None)
            self._discard(found)

    def clear(self) -> None:
        """Forget everything."""
        for path in list(self._known):
            self.drop(path)

    def _discard(self, entry: Entry) -> None:
        entry.is_current = False
        for number in list(entry.blocks):
            self._values.delete(BlockKey(entry, number))

    def _mine(self) -> list[tuple[str, Entry]]:
        return [(path, entry) for path, entry in list(self._known.items()) if entry.blocks]

    @property
    def size(self) -> int:
        """How many bytes are in memory, those of other stores with the same memory included."""
        return 0 if self.memory is None else self.memory.size

    @property
    def paths(self) -> list[str]:
        """The paths of the objects of which something is in memory, the one not used for longest first."""
        paths = {entry: path for path, entry in self._mine()}
        used = dict.fromkeys(key[0] for key in reversed(self._values.keys()) if isinstance(key, tuple))
        return [paths[entry] for entry in reversed(used) if entry in paths]


def concat(found: list[BufferList]) -> BufferList:
    """Return the parts of consecutive blocks as those of one piece, without copying any."""
    if len(found) == 1:
        return found[0]
    pieces = [piece for parts in found for piece in parts.pieces(parts.start, parts.stop)]
    return BufferList(pieces, found[0].start if found else 0)
