"""Fetch what the structure of a file leads to, together with what is read: metadata, and the next chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obspec_utils._formats import hdf5, tiff
from obspec_utils._io.buffers import BufferList
from obspec_utils._io.gc_pause import held
from obspec_utils._ranges import ByteRange, merge_near
from obspec_utils.readers._chunk_order import ChunkOrder
from obspec_utils.readers._segments import SegmentCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from typing_extensions import Buffer

    from obspec_utils._formats.interface import FileStructure
    from obspec_utils.readers._batch import Batch, RunningBatches
    from obspec_utils.readers._readahead import ReadaheadPolicy
    from obspec_utils.readers._strategy import CachedPiece

__all__ = ["GAP_PART", "MAX_BREADTH", "MAX_GAP", "StructureReadahead", "structure_of", "whole_pages"]

# Structures are small and often adjacent: whole pages are fetched, and what lies close together by one request.
_PAGE = 4096
# A gap of this many bytes takes 1.3 ms at 50 MB/s: less than a request costs in CPU time and in a server's.
MAX_GAP = 64 * 1024
# All gaps together have at most this part of the bytes that are wanted.
GAP_PART = 2
# Structures fetched ahead with each of the first misses, so that opening one dataset of a thousand brings about two
# hundred; then four times as many each time, so that a walk through thousands takes about ten batches.
_FIRST_BREADTH = 32
_FIRST_MISSES = 6
_GROWTH = 4
MAX_BREADTH = 1 << 14
# From so many segments fetched ahead on, one in so many has to be used, else the breadth is halved.
_ALLOWED = 512
_MIN_USE = 16
# Structures are most often followed by what they lead to: so many bytes after a missing one are fetched with it.
_AFTER = 28 * 1024
# A read that ends further from its start than this is not of metadata.
_MAX_METADATA = 1024 * 1024


def structure_of(first: Buffer, size: int) -> FileStructure | None:
    """Return the structure to be parsed of a file of a known format; None for others."""
    begin = memoryview(first).cast("B")[:4096]
    if hdf5.is_hdf5(begin):
        return hdf5.Structure(size)
    return tiff.Structure(size) if tiff.is_tiff(begin) else None


def whole_pages(span: ByteRange, size: int) -> ByteRange:
    """Return the pages that a byte range of an object of `size` bytes is in."""
    return ByteRange(span.start - span.start % _PAGE, min(-(-span.stop // _PAGE) * _PAGE, size))


class StructureReadahead:
    """Plan and keep what the structure of a file leads to.

    A miss on metadata brings the structures that it leads to, breadth first, in a breadth that grows while they are
    used. A miss on a chunk brings the chunks that follow it in the order of the reads.

    Threads share it: the lock is held while one of them plans, never while it fetches.

    Parameters
    ----------
    structure
        The structure, of which nothing is parsed yet.
    size
        Size of the file in bytes.
    budget
        The most bytes to keep.
    fetch
        Fetch byte ranges; return the bytes of each, or None after an error.
    find_block, peek_block
        Return the block that holds a position, from the cache of blocks; note its use, or not.
    policy
        Counts the bytes that were fetched and used, for the whole reader.
    batches
        What the threads of the reader are fetching.

    Attributes
    ----------
    has_failed
        Whether a request has failed, after which nothing is read ahead.
    """

    def __init__(
        self,
        structure: FileStructure,
        size: int,
        budget: int,
        fetch: Callable[[Sequence[ByteRange]], list[bytes] | None],
        find_block: Callable[[int], CachedPiece],
        peek_block: Callable[[int], CachedPiece],
        policy: ReadaheadPolicy,
        batches: RunningBatches,
    ) -> None:
        self._structure = structure
        self._size = size
        self._budget = budget
        self._fetch = fetch
        self._find_block = find_block
        self._peek_block = peek_block
        self._policy = policy
        self._batches = batches
        self._breadth = _FIRST_BREADTH
        self._misses = 0
        self.has_failed = False
        self._unused: set[int] = set()  # starts of the cached segments of metadata that no read has used
        self._fetched = self._used = 0  # segments of metadata
        self._chunks: list[int] = []  # starts of the segments of the last batch of chunks
        self.segments = SegmentCache(budget, policy)
        self._order = ChunkOrder(structure, budget // 2, self.segments.used)
        self.find = self.segments.find

    def cached(self, start: int, stop: int) -> tuple[BufferList, CachedPiece] | None:
        """Return the bytes from `start` to `stop`, if all of them are in memory."""
        pieces = self._pieces(start, stop, self._find)
        return None if pieces is None else (BufferList([piece[2] for piece in pieces], pieces[0][0]), pieces[-1])

    def is_cached(self, start: int, stop: int) -> bool:
        """Return whether all bytes from `start` to `stop` are in memory."""
        return self._pieces(start, stop, self._peek) is not None

    def load(self, start: int, stop: int) -> tuple[BufferList, CachedPiece] | None:
        """Return the bytes from `start` to `stop`; fetch them if they are of a known structure or chunk.

        Threads plan one after the other. What another thread is fetching is waited for, not fetched again.
        """
        wanted = ByteRange(start, stop)
        while True:
            with held(self._batches.lock):
                found = self.cached(start, stop)
                if found is not None:
                    return found
                running = self._batches.overlapping(wanted)
                batch = self._plan(wanted) if running is None else None
            if batch is not None:
                self._fetch_batch(batch)
                return self.cached(start, stop)
            if running is None:
                return None
            running.done.result()

    def is_understood(self) -> bool:
        """Return whether the first bytes of the file lead to others."""
        self._structure.parse(self._read)
        return bool(self._structure.chunks or self._structure.wanted(1))

    def load_all(self) -> None:
        """Fetch the whole structure, as far as the budget goes."""
        while True:
            with held(self._batches.lock):
                self._structure.parse(self._read)
                batch = self._claim(self._pages(self._structure.wanted(MAX_BREADTH), self._budget - self.segments.size))
            self._fetch_batch(batch)
            if not batch.parts or self.has_failed:
                return

    # What is in memory.

    def _pieces(self, start: int, stop: int, find: Callable[[int], CachedPiece]) -> list[CachedPiece] | None:
        """Return the pieces that hold the bytes from `start` to `stop`; None if some are missing."""
        pieces: list[CachedPiece] = []
        position = start
        while position < stop:
            piece = find(position)
            if not piece[1]:
                return None
            if pieces and piece[0] < position:
                piece = (position, piece[1], piece[2][position - piece[0] :])
            pieces.append(piece)
            position = piece[1]
        return pieces

    def _read(self, start: int, stop: int) -> bytes | memoryview | None:
        pieces = self._pieces(start, min(stop, self._size), self._peek)
        if not pieces:
            return None
        first = pieces[0][0]
        if len(pieces) == 1:
            return memoryview(pieces[0][2])[start - first : stop - first]
        return b"".join(bytes(data) for _, _, data in pieces)[start - first : stop - first]

    def split(self, ranges: Iterable[ByteRange]) -> tuple[list[ByteRange], list[BufferList]]:
        """Return the parts of byte ranges that are to be fetched, and those in memory.

        Neither has what another thread is fetching.
        """
        missing: list[ByteRange] = []
        cached: list[BufferList] = []
        for wanted in ranges:
            position = begun = wanted.start
            while position < wanted.stop:
                first, stop, data = self._peek(position)
                known = min(stop or self._batches.stop_at(position), wanted.stop)
                if not known:
                    page = min(wanted.stop, position - position % _PAGE + _PAGE)
                    position = self.segments.next_start(position, self._batches.next_start(position, page))
                    continue
                if begun < position:
                    missing.append(ByteRange(begun, position))
                if stop:
                    cached.append(BufferList([memoryview(data)[position - first : known - first]], position))
                position = begun = known
            if begun < position:
                missing.append(ByteRange(begun, position))
        return missing, cached

    def _find(self, position: int) -> CachedPiece:
        segment = self.find(position)
        return segment if segment[1] else self._find_block(position)

    def _peek(self, position: int) -> CachedPiece:
        segment = self.segments.peek(position)
        return segment if segment[1] else self._peek_block(position)

    # What to fetch.

    def _plan(self, missing: ByteRange) -> Batch | None:
        """Return what to fetch to have missing bytes and what comes next; None if nothing is known of them."""
        structure = self._structure
        most = self._size - (self._policy.fetched_bytes - self._policy.used_bytes)
        if most <= 0 or self.has_failed:
            return None
        structure.parse(self._read)
        chunks = self._order.plan(missing, most)
        if chunks is not None:
            # h5py keeps the chunks that it has read.
            self.segments.demote([start for start in self._chunks if start in self.segments.used])
            batch = self._claim(chunks)
            self._chunks = batch.starts
            return batch
        if missing.length > _MAX_METADATA or not structure.wanted(1, near=missing.start, only=True):
            return None
        with_next = ByteRange(missing.start, min(missing.stop + _AFTER, self._size))
        pages = self._pages([with_next, *structure.wanted(self._breadth, near=missing.start)], most)
        if not pages or not pages[0].start <= missing.start:
            return None
        batch = self._claim(pages)
        self._unused.update(batch.starts)
        self._fetched += len(batch.starts)
        self._adapt()
        return batch

    def _claim(self, ranges: list[ByteRange]) -> Batch:
        """Return a batch of what is neither in memory nor being fetched, which this thread has to fetch."""
        batch = self._batches.add(self.split(ranges)[0])
        self.segments.evict(batch.length)
        return batch

    def _fetch_batch(self, batch: Batch) -> None:
        with batch:
            bodies = self._fetch(batch.parts) if batch.parts else []
            if bodies is None:
                self.has_failed = True
                return
            with held(self._batches.lock):
                self._policy.fetched_bytes += batch.length
                self.segments.add(
                    [(part.start, part.stop, body) for part, body in zip(batch.parts, bodies, strict=True)]
                )

    def _adapt(self) -> None:
        """Increase the breadth of the next batch, or halve it if few of the structures fetched ahead were used."""
        self._misses += 1
        used = self._unused & self.segments.used
        self._used += len(used)
        self._unused -= used
        if self._fetched > _ALLOWED and self._used * _MIN_USE < self._fetched:
            self._breadth = max(self._breadth // 2, 1)
        elif self._misses > _FIRST_MISSES:
            self._breadth = min(_GROWTH * self._breadth, MAX_BREADTH)

    def _pages(self, ranges: Sequence[ByteRange], most: int) -> list[ByteRange]:
        """Return the first of some byte ranges in whole pages, at most `most` bytes and half of the budget in all.

        Those that lie close together are returned as one.
        """
        most = min(most, self._budget // 2)
        pages: dict[int, ByteRange] = {}
        length = 0
        for span in ranges:
            page = whole_pages(span, self._size)
            known = pages.get(page.start)
            if known and page.stop <= known.stop:
                continue
            more = page.length - (known.length if known else 0)
            if length + more <= most:
                length += more
                pages[page.start] = page
        # With a small budget, gaps would evict what they lie between.
        max_gap = min(MAX_GAP, self._budget // 512)
        return merge_near(sorted(pages.values()), max_gap, min(most - length, length // GAP_PART))
