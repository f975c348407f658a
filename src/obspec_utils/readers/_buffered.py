"""A reader for going through an object from front to back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from obspec import Get

from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS, ByteRange
from obspec_utils._validation import positive_int
from obspec_utils.readers._block_reader import BlockReader
from obspec_utils.readers._stream import STEP, ResponseStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obspec_utils.readers._cached_piece import CachedPiece

__all__ = ["BufferedStoreReader"]

# All in buffers. What reads that jump about may keep: as much as the parallel reader by default.
_KEPT = 64
# After so much in sequence nothing is kept but the last two.
_LONG_RUN = 8
_KEPT_BEHIND = 2
# How much longer each response is than the one before, and the longest. Each costs a round trip: through 128 MiB at
# 50 MB/s and 30 ms, in seven requests, they are 5 % of the time. What nobody takes of a response is not sent, so
# that a long one costs little if it is left; but a server or a client may end one that is read slowly (obstore:
# after 30 seconds).
_GROWTH = 4
_LONGEST = 64
# A longer read is fetched in parallel.
_LONGEST_STEP = 4


class BufferedStoreReader(BlockReader):
    """Read an object in sequence, ahead of what is asked for.

    Reads in sequence are served from one response, which is read as it arrives: while the caller works on one piece,
    the next ones come in. Short skips forward read on in the same response; other jumps leave it. Each response is
    four times as long as the one before, up to 64 buffers.

    Memory: in sequence two buffers, after the first eight, and what the operating system receives ahead for the
    connection. Where reads jump about, or are longer than four buffers, they are served as by `ParallelStoreReader`,
    and up to 64 buffers are kept.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`.
    path
        The object's path in the store. Nothing is asked for before the first read.
    buffer_size
        Bytes of the first piece, and the unit of all that is read ahead.
    max_concurrent_requests
        Read ahead with up to that many requests in flight, in place of one response at a time: several times as fast
        where each connection has a bandwidth of its own, for up to 64 buffers of memory.

    Raises
    ------
    ValueError
        If a number is not positive.
    """

    class Store(Get, Protocol):
        """What this reader needs of a store."""

    def __init__(
        self,
        store: Store,
        path: str,
        buffer_size: int = 1024 * 1024,
        *,
        max_concurrent_requests: int | None = None,
    ) -> None:
        buffer_size = positive_int("buffer_size", buffer_size)
        self._max_concurrent_requests = max_concurrent_requests
        if max_concurrent_requests is None:
            connections = MAX_CONCURRENT_REQUESTS
        else:
            connections = positive_int("max_concurrent_requests", max_concurrent_requests)
        self._goes_on = False
        self._stream_stop = 0
        self._steps = 1
        self._run = 0
        super().__init__(store, path, buffer_size, buffer_size * _KEPT, connections)

    def _arguments(self) -> dict[str, object]:
        return {"buffer_size": self._chunk_size, "max_concurrent_requests": self._max_concurrent_requests}

    def _fetch_blocks(self, missing: Sequence[int], wanted: range) -> dict[int, CachedPiece]:
        span = ByteRange(self._span(missing[0]).start, self._span(missing[-1]).stop)
        is_sequential, self._goes_on = self._goes_on, self._readahead.is_sequential(span.start)
        # Once is chance: what goes on from the first piece may be the rest of a header.
        in_sequence = is_sequential and self._goes_on and self._max_concurrent_requests is None
        in_sequence = in_sequence and not self._readahead.is_throttled(self.size) and not self._ranges_ignored
        if not in_sequence or not self._streams or span.length > _LONGEST_STEP * self._chunk_size:
            return super()._fetch_blocks(missing, wanted)
        self._stream = self._grow_stream(span.start)
        blocks = self._read_stream(missing, wanted)
        rest = [number for number in missing if number not in blocks]
        if not blocks:
            return super()._fetch_blocks(missing, wanted)
        return {**blocks, **self._fetch_blocks(rest, wanted)} if rest else blocks  # where it ends within the read

    def _grow_stream(self, start: int) -> ResponseStream:
        """Return a stream that is longer than the one before if it goes on from there, else a short one."""
        is_sequential = start == self._stream_stop
        steps = min(self._steps * _GROWTH, _LONGEST) if is_sequential else _GROWTH
        self._steps = steps
        self._run = self._run if is_sequential else 0
        self._stream_stop = min(start + steps * self._chunk_size, self.size)
        return ResponseStream(
            self._store, self._path, self._pinned_version(), ByteRange(start, self._stream_stop), self._block_size
        )

    def _keep_limit(self, stop: int, received: int) -> int | None:
        if stop != self._stream_stop:  # a response that is none of those in sequence
            return None
        self._run += received
        if self._run <= _LONG_RUN * self._chunk_size:
            return None
        return max(_KEPT_BEHIND * self._chunk_size // self._block_size, 2 * STEP)
