"""Decide how much to fetch around a miss. Offsets in, offsets out, no I/O: the policy can be run on recorded traces."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from obspec_utils._ranges import ByteRange

__all__ = ["Plan", "ReadaheadPolicy"]

# In chunks. Three misses in a row within this distance are a scan, and the bytes between and after them will be read:
# the metadata of a NetCDF4 file of 120 MB lies about one chunk apart.
_SCAN_DISTANCE = 16
_SCAN_MISSES = 3
# In chunks. Two of the last 20 reads within this distance are repeated reads of one range, not a coincidence.
_REPEATED_DISTANCE = 3
_REPEATED_READS = 2
_REMEMBERED_READS = 20
# In chunks: the first step of a scan, since a batch of requests takes as long as one of them. Also the page that the
# first jump fetches: files laid out for the cloud have their metadata in a few pages of that size.
_FIRST_STEP = 4


class Plan(NamedTuple):
    """The byte range to fetch after a miss, and the minimum size of a part."""

    span: ByteRange
    least_part: int


class ReadaheadPolicy:
    """Decide from the previous reads what to fetch in addition to missing bytes.

    - Sequential reads: read ahead, in steps that double.
    - Scans (successive misses near each other): the same, with a quarter of the step before the miss, since scans move
      back and forth.
    - The first jump, if it is short: a page.
    - Repeated reads of one range: that range, estimated from those reads.
    - Other reads: only the missing bytes.

    Once as many bytes were fetched as the object has, only missing bytes are fetched, unless at least half of the
    fetched bytes were used. So wasted bytes never exceed the object's size, or the used bytes by more than one step.

    Threads may share a policy: events in the wrong order make a plan worse, never wrong.

    Parameters
    ----------
    chunk_size
        The unit of all distances, in bytes.
    budget
        The bytes that the reader keeps. A plan adds at most half of that to the missing bytes.

    Attributes
    ----------
    note_read
        Note the start of a read.
    fetched_bytes, used_bytes
        Bytes fetched, and of these bytes returned to callers, in blocks.
    """

    def __init__(self, chunk_size: int, budget: int) -> None:
        self._chunk_size = chunk_size
        self._max_step = budget // 2
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
        """Return whether read-ahead stops: the object's size was fetched, and less than half of the bytes were used."""
        return 2 * self.used_bytes < self.fetched_bytes and self.fetched_bytes >= size - size // 64

    def is_sequential(self, start: int) -> bool:
        """Return whether a read starts where the last fetch ended, or after a short skip."""
        return self.fetched_bytes > 0 and 0 <= start - self._fetched_to <= self._chunk_size // 4

    def plan(self, missing: ByteRange, size: int) -> Plan:
        """Return the byte range to fetch, at least the missing one, of an object of `size` bytes.

        Call `note_read` first.
        """
        distance = missing.start - self._fetched_to
        first_jump = self.fetched_bytes and not self._misses and 0 <= distance <= _SCAN_DISTANCE * self._chunk_size
        self._misses.append(missing.start)
        span, least_part = self._extended(missing), self._chunk_size
        page = min(_FIRST_STEP * self._chunk_size, self._max_step)
        if span == missing and first_jump and missing.length < page:
            # In one request: there may be nothing else to read.
            span, least_part = ByteRange(missing.start, missing.start + page), max(page, self._chunk_size)
        return Plan(self._clip(missing, span, size), least_part)

    def _extended(self, missing: ByteRange) -> ByteRange:
        """Return the byte range that the access pattern suggests to fetch."""
        start = missing.start
        if not self.fetched_bytes:
            return ByteRange(start, start + self._chunk_size)
        if self.is_sequential(start):
            self._step = self._doubled_step()
            return ByteRange(start, start + self._step)
        if self._is_scan(start):
            step = self._doubled_step() if start >= self._fetched_to else min(self._step, self._max_step)
            self._step = max(step, min(_FIRST_STEP * self._chunk_size, self._max_step))
            return ByteRange(start - self._step // 4, start + self._step * 3 // 4)
        self._step = max(self._step // 2, self._chunk_size)
        return self._repeated_range(missing) or missing

    def _doubled_step(self) -> int:
        return min(max(self._step, self._chunk_size) * 2, self._max_step)

    def _is_scan(self, start: int) -> bool:
        distance = max(_SCAN_DISTANCE * self._chunk_size, self._step)
        misses = list(self._misses)
        return len(misses) == _SCAN_MISSES and all(abs(miss - start) <= distance for miss in misses)

    def _repeated_range(self, missing: ByteRange) -> ByteRange | None:
        distance = _REPEATED_DISTANCE * self._chunk_size
        near = [read for read in list(self._reads)[:-1] if abs(read - missing.start) <= distance]
        if len(near) < _REPEATED_READS:
            return None
        first, last = min(*near, missing.start), max(*near, missing.stop)
        # k random points in a range leave at each end about as much of it as there is between two of them.
        margin = max((last - first) // (len(near) + 1), self._chunk_size // 4)
        # A range that would take much of the memory is worth less than the blocks it would evict.
        return ByteRange(first - margin, last + margin) if last - first + 2 * margin <= self._max_step // 4 else None

    def _clip(self, missing: ByteRange, wanted: ByteRange, size: int) -> ByteRange:
        """Limit a range to the object and to the bytes that may still be fetched."""
        span = ByteRange(max(0, min(wanted.start, missing.start)), min(size, max(wanted.stop, missing.stop)))
        allowed = size - size // 64 - self.fetched_bytes
        if 2 * self.used_bytes >= self.fetched_bytes or span.length <= allowed:
            return span
        if allowed < self._chunk_size:
            return missing
        return ByteRange(missing.start, max(missing.stop, min(span.stop, missing.start + allowed)))
