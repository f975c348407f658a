"""Memory index of a caching store: the version of each object, and the blocks of it that are in memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from functools import partial
from itertools import islice
from math import inf, nextafter
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from obspec_utils._io.buffers import concat
from obspec_utils._io.single_flight import SingleFlight
from obspec_utils._ranges import ByteRange, block_indices
from obspec_utils._version import Version
from obspec_utils.caches._lru import LruCache
from obspec_utils.wrappers.caching._sequences import Sequences

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from obspec import Attributes, ObjectMeta

    from obspec_utils._io.buffers import BufferList
    from obspec_utils._version import CheckVersion
    from obspec_utils.caches import MemoryCache

__all__ = ["BlockKey", "Entry", "EntryTable"]

# Entries without blocks in memory take about 1.5 kB each. This many are kept, or up to a third of the number of entries
# with blocks if that is more: each insertion beyond the limit examines the oldest few.
_MAX_EMPTY = 4096
_EXAMINED = 4
# The maximum number of invalidated paths to keep.
_MAX_INVALIDATED = 65_536


class Entry:
    """One version of one object.

    Parameters
    ----------
    meta
        The object's metadata.
    attributes
        Its further attributes, such as its content type.
    block_size
        Bytes in each block but the last; at least the object's size if it is cached whole.
    validated_at
        Time of the request that returned this version (`time.time()`).
    check_version
        What of the metadata tells versions apart.

    Attributes
    ----------
    blocks
        The numbers of the blocks in memory.
    is_current
        Whether this is the latest known version of its object. Blocks of other entries are not kept.
    """

    __slots__ = (
        "_sequences",
        "attributes",
        "block_size",
        "blocks",
        "is_current",
        "meta",
        "size",
        "validated_at",
        "version",
    )

    def __init__(
        self,
        meta: ObjectMeta,
        attributes: Attributes,
        block_size: int,
        validated_at: float,
        check_version: CheckVersion = "auto",
    ) -> None:
        self.meta = meta
        self.attributes = attributes
        self.version = Version.of(meta, check_version)
        self.size = self.version.size
        self.block_size = block_size
        self.validated_at = validated_at
        self.blocks: set[int] = set()
        self.is_current = False
        self._sequences: Sequences | None = None  # of few entries

    @property
    def sequences(self) -> Sequences:
        """The sequential reads of its blocks."""
        if self._sequences is None:
            self._sequences = Sequences()
        return self._sequences

    def metadata(self) -> ObjectMeta:
        """Return a copy of the object's metadata."""
        return cast("ObjectMeta", dict(self.meta))

    def is_same(self, other: Entry) -> bool:
        """Return whether another entry is certainly of the same version, in blocks of the same size."""
        same = (self.version, self.block_size) == (other.version, other.block_size)
        return same and self.version.comparable(other.version)

    def block_range(self, number: int) -> ByteRange:
        """Return the byte range of a block."""
        return ByteRange(number * self.block_size, min((number + 1) * self.block_size, self.size))

    def block_numbers(self, ranges: Iterable[ByteRange]) -> list[int]:
        """Return the numbers of the blocks that byte ranges touch, in order."""
        return sorted({number for span in ranges for number in block_indices(span, self.size, self.block_size)})


class BlockKey(NamedTuple):
    """Key of a block in memory. The cache calls `on_evict` after removing the block."""

    entry: Entry
    block: int

    def on_evict(self) -> None:
        """Remove the block from its entry."""
        self.entry.blocks.discard(self.block)


class EntryTable:
    """The entry of each object, and its blocks in memory.

    Entries outlive their blocks for a while. Bytes fetched for an entry are checked against its version.

    Parameters
    ----------
    memory
        Cache of the blocks; None to keep none in memory.
    max_age
        Seconds for which a validated version is trusted; None for ever.
    shared
        Whether shared caches may have the blocks of an entry that has none in memory.

    Attributes
    ----------
    in_flight
        The running fetches. Its lock guards every change of this table; each change is atomic for readers.
    """

    def __init__(self, memory: MemoryCache | None, max_age: float | None = None, *, shared: bool = False) -> None:
        self.memory = memory
        self.max_age = max_age
        self._shared = shared
        self.in_flight: SingleFlight[Any] = SingleFlight()
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._values: LruCache[Hashable, BufferList] = LruCache(1) if memory is None else memory.values
        # Versions validated before these times have to be validated again.
        self._cleared_at = 0.0
        self._invalidated_at: LruCache[str, float] = LruCache(_MAX_INVALIDATED)
        # Bound methods, for speed on hits.
        self.values = self._values.entries
        self.find: Callable[[str], Entry | None] = self._entries.get
        self.block: Callable[[Hashable], BufferList | None] = self._values.get
        self.trusted: Callable[[str], Entry | None] = self.find if max_age is None and not shared else self.current

    # Lookup.

    def current(self, key: str) -> Entry | None:
        """Return the entry of an object if it is fresh and a cache may have blocks of it."""
        entry = self._entries.get(key)
        if entry is None or not (entry.blocks or self._shared):
            return None
        # Invalidated entries are not in the table.
        return entry if self.max_age is None or self.is_fresh(entry, time.time() - self.max_age) else None

    def is_fresh(self, entry: Entry, min_validated_at: float) -> bool:
        """Return whether an entry was validated late enough, and not in the future: clocks differ, and are set back."""
        return min_validated_at <= entry.validated_at and (self.max_age is None or entry.validated_at <= time.time())

    def min_validated_at(self, key: str) -> float:
        """Return the earliest time of validation that is fresh for a read that starts now."""
        least = 0.0 if self.max_age is None else time.time() - self.max_age
        return max(least, self._cleared_at, self._invalidated_at.peek(key) or 0.0)

    def held(self, entry: Entry, span: ByteRange) -> BufferList | None:
        """Return the blocks that hold a byte range, if all of them are in memory."""
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
        """Return whether all blocks of an entry are in memory."""
        return entry is not None and self.held(entry, ByteRange(0, entry.size)) is not None

    # Changes, under the lock of `in_flight`.

    def put(self, key: str, entry: Entry) -> Entry:
        """Make an entry the current one of an object; return it, or the existing entry of the same version."""
        former = self._entries.get(key)
        if former is not None and former is not entry and former.is_same(entry):
            former.validated_at = max(former.validated_at, entry.validated_at)
            return former
        entry.is_current = True
        self._entries[key] = entry
        if former is not None and former is not entry:
            self._discard(former)
        elif former is None and len(self._entries) > _MAX_EMPTY:
            self._evict_empty()
        return entry

    def _evict_empty(self) -> None:
        """Examine the oldest entries and evict those without blocks in memory."""
        for key in list(islice(self._entries, _EXAMINED)):
            if self._entries[key].blocks:
                self._entries.move_to_end(key)
            else:
                self.drop(key)

    def keep(self, entry: Entry, number: int, parts: BufferList) -> None:
        """Keep a block in memory, within the budget, if its entry is current."""
        if self.memory is None or not entry.is_current:
            return
        entry.blocks.add(number)  # first: `on_evict` is called at once if the block does not fit
        self._values.put(BlockKey(entry, number), parts, len(parts))

    def drop(self, key: str, entry: Entry | None = None) -> None:
        """Drop the entry of an object and its blocks, or only if it is the given entry."""
        found = self._entries.get(key)
        if found is not None and (entry is None or found is entry):
            self._entries.pop(key, None)
            self._discard(found)

    def _discard(self, entry: Entry) -> None:
        entry.is_current = False
        for number in list(entry.blocks):
            self._values.delete(BlockKey(entry, number))

    def _clear(self) -> None:
        for key in list(self._entries):
            self.drop(key)

    # Invalidation, which takes the lock.

    def invalidate(self, keys: Iterable[str] | None) -> None:
        """Drop objects (None: all) and discard the results of their running fetches."""
        now = time.time()
        if keys is None:
            self._cleared_at = now
            self.in_flight.invalidate(None, self._clear)
            return
        for key in keys:
            self._invalidated_at.put(key, now, 1)
            self.in_flight.invalidate([key], partial(self.drop, key))

    def invalidate_version(self, key: str, entry: Entry) -> None:
        """Remove an outdated version; copies validated before are not trusted."""
        since = max(self._invalidated_at.peek(key) or 0.0, nextafter(entry.validated_at, inf))
        self._invalidated_at.put(key, since, 1)
        self.in_flight.invalidate([], partial(self.drop, key, entry))

    def evict_missing(self, key: str) -> None:
        """Drop an object that does not exist any more; a running fetch may find a new one."""
        self.in_flight.invalidate([], partial(self.drop, key))

    # Statistics.

    @property
    def size(self) -> int:
        """Bytes in memory, including those of other stores that share the memory cache."""
        return 0 if self.memory is None else self.memory.size

    @property
    def paths(self) -> list[str]:
        """Keys of the objects with blocks in memory, the least recently used first."""
        keys = {entry: key for key, entry in list(self._entries.items()) if entry.blocks}
        used = dict.fromkeys(key[0] for key in reversed(self._values.keys()) if isinstance(key, tuple))
        return [keys[entry] for entry in reversed(used) if entry in keys]
