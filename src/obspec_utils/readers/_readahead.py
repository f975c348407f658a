"""How much to fetch around a miss. Offsets in, offsets out: no I/O and no store, so that it can be run on traces."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from obspec_utils._ranges import ByteRange

__all__ = ["Plan", "ReadaheadPolicy"]

# In chunks. Where three misses in a row lie this near to each other, a file is being gone through, and what lies
# between them and ahead will be wanted: the metadata of a NetCDF4 file of 120 MB lies about one chunk apart.
_SCAN_REACH = 16
_SCAN_MISSES = 3
# In chunks. Where two of the last 20 reads lie this near, they come back to one zone more often than chance would.
_ZONE_REACH = 3
_ZONE_READS = 2
_REMEMBERED_READS = 20
# In chunks: the first step of reading ahead through a file. A wave of requests takes as long as one of them. Also what
# the first jump fetches: files laid out for the cloud have their metadata in few pages of that size.
_FIRST_STEP = 4


class Plan(NamedTuple):
    """What to have after a miss, and how long a part of it should be at least."""

    span: ByteRange
    least_part: int


class ReadaheadPolicy:
    """Tell by the reads so far what a reader should fetch beside the bytes it misses.

    - Reads that go on where the last fetch ended are read ahead of, in steps that double.
    - Misses that lie near each other, one after the other, are a way through the file: the same, with a quarter of
      the step before the miss, since such ways go back and forth.
    - The first jump, if it does not go far, fetches a page.
    - Reads that come back to a zone fetch that zone, as far as it can be told from them.
    - All others fetch what they ask for.

    Once as many bytes were fetched as the object has, only what was asked for is fetched, unless at least half of it
    was used. So what is read in vain never adds up to the object's size, or to more than one step beyond what was used.

    Several threads may use one of these: what they tell each other in the wrong order makes a plan worse, never wrong.

    Parameters
    ----------
    chunk_size
        The unit of all distances, in bytes.
    budget
        How many bytes the reader keeps. No plan is for more than half of them beyond what is asked for.
    """

    def __init__(self, chunk_size: int, budget: int) -> None:
        self._chunk_size = chunk_size
        self._most = budget // 2
        self._step = chunk_size
        self._fetched_to = 0
        self._misses: deque[int] = deque(maxlen=_SCAN_MISSES)
        self._reads: deque[int] = deque(maxlen=_REMEMBERED_READS)
        self.note_read = self._reads.append
        self.fetched_bytes = 0
        self.used_bytes = 0

    def note_fetch(self, stop: int, length: int) -> None:
        """Note that `length` bytes were fetched, the last of them before `stop`."""
        self._fetched_to = stop
        self.fetched_bytes += length

    def is_throttled(self, size: int) -> bool:
        """Tell whether nothing may be fetched ahead: as much as the object has was fetched, and less than half used."""
        return 2 * self.used_bytes < self.fetched_bytes and self.fetched_bytes >= size - size // 64

    def is_sequential(self, start: int) -> bool:
        """Tell whether a read goes on where the last fetch ended, or after a short skip."""
        return self.fetched_bytes > 0 and 0 <= start - self._fetched_to <= self._chunk_size // 4

    def plan(self, missing: ByteRange, size: int) -> Plan:
        """Return what to have, at least what is missing, of an object of `size` bytes.

        The read must have been noted before.
        """
        distance = missing.start - self._fetched_to
        first_jump = self.fetched_bytes and not self._misses and 0 <= distance <= _SCAN_REACH * self._chunk_size
        self._misses.append(missing.start)
        wanted = self._wanted(missing)
        step = min(_FIRST_STEP * self._chunk_size, self._most)
        if wanted == missing and first_jump and missing.length < step:
            # In one request: it may be all there is to find.
            span = ByteRange(missing.start, missing.start + step)
            return Plan(self._clip(missing, span, size), max(step, self._chunk_size))
        return Plan(self._clip(missing, wanted, size), self._chunk_size)

    def _wanted(self, missing: ByteRange) -> ByteRange:
        start = missing.start
        if not self.fetched_bytes:
            return ByteRange(start, start + self._chunk_size)
        if self.is_sequential(start):
            self._step = self._grow(self._chunk_size)
            return ByteRange(start, start + self._step)
        if self._scans(start):
            longer = self._grow(self._chunk_size) if start >= self._fetched_to else min(self._step, self._most)
            self._step = max(longer, min(_FIRST_STEP * self._chunk_size, self._most))
            return ByteRange(start - self._step // 4, start + self._step * 3 // 4)
        self._step = max(self._step // 2, self._chunk_size)
        return self._zone(missing) or missing

    def _grow(self, least: int) -> int:
        return min(max(self._step, least) * 2, self._most)

    def _scans(self, start: int) -> bool:
        reach = max(_SCAN_REACH * self._chunk_size, self._step)
        misses = list(self._misses)
        return len(misses) == _SCAN_MISSES and all(abs(miss - start) <= reach for miss in misses)

    def _zone(self, missing: ByteRange) -> ByteRange | None:
        reach = _ZONE_REACH * self._chunk_size
        *reads, _ = list(self._reads)
        near = [read for read in reads if abs(read - missing.start) <= reach]
        if len(near) < _ZONE_READS:
            return None
        first, last = min(*near, missing.start), max(*near, missing.stop)
        # k points drawn from a zone leave out, at each end, about the part of their spread that lies between two.
        margin = max((last - first) // (len(near) + 1), self._chunk_size // 4)
        # A zone that would take much of the memory is worth less than what it would push out.
        return ByteRange(first - margin, last + margin) if last - first + 2 * margin <= self._most // 4 else None

    def _clip(self, missing: ByteRange, wanted: ByteRange, size: int) -> ByteRange:
        span = ByteRange(max(0, min(wanted.start, missing.start)), min(size, max(wanted.stop, missing.stop)))
        allowed = size - size // 64 - self.fetched_bytes
        if 2 * self.used_bytes >= self.fetched_bytes or span.length <= allowed:
            return span
        if allowed < self._chunk_size:
            return missing
        return ByteRange(missing.start, max(missing.stop, min(span.stop, missing.start + allowed)))
