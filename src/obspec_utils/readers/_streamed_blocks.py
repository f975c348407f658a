"""Read an open response on, as far as the missing blocks are in it."""

from __future__ import annotations

from collections import deque
from logging import INFO
from typing import TYPE_CHECKING, cast

from obspec_utils._io.gc_pause import held
from obspec_utils._io.logs import log
from obspec_utils._ranges import ByteRange
from obspec_utils.readers._batch import RunningBatches
from obspec_utils.readers._cached_blocks import CachedBlocks
from obspec_utils.readers._fetcher import Fetcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obspec_utils._version import Version
    from obspec_utils.readers._batch import Batch
    from obspec_utils.readers._strategy import CachedPiece
    from obspec_utils.readers._stream import ResponseStream
    from obspec_utils.readers._version_options import VersionOptions

__all__ = ["MAX_DRAIN", "StreamedBlocks"]

# If no more than this is left of an open response, it is read to its end before other requests are sent (chunks).
MAX_DRAIN = 4


class StreamedBlocks(CachedBlocks):
    """Keep blocks of an object, and one response open for the next read."""

    def __init__(
        self, store: object, path: str, versions: VersionOptions, chunk_size: int, budget: int, connections: int
    ) -> None:
        super().__init__(store, path, versions, chunk_size, budget)
        self._fetcher = Fetcher(store, path, versions, connections, budget)
        self._batches = RunningBatches()
        self._stream: ResponseStream | None = None  # the one open response
        self._streams = True  # whether responses can be read as they arrive

    def _read_stream(self, missing: Sequence[int], wanted: range) -> dict[int, CachedPiece]:
        """Read on in the open response, if it reaches the missing blocks soon, to the last of them or to its end."""
        span = self._span(missing[0], missing[-1])
        with held(self._batches.lock):
            stream = self._stream
            if stream is None or not stream.reaches_soon(span) or self._batches.overlapping(span):
                return {}
            batch = self._take_stream(stream)
        with batch:
            return self._read_on(stream, span.stop, missing, wanted)

    def _take_stream(self, stream: ResponseStream) -> Batch:
        """Take the open response out, so that other threads wait for its rest. The caller holds the lock."""
        self._stream = None
        return self._batches.add([ByteRange(stream.position, stream.stop)])

    def _read_on(
        self, stream: ResponseStream, stop: int, missing: Sequence[int], wanted: range
    ) -> dict[int, CachedPiece]:
        """Read on in a response that was taken out, and keep it open if there is more."""
        begun = stream.position
        try:
            parts = stream.read_to(min(stop, stream.stop))
        except Exception as error:  # noqa: BLE001 - the blocks are requested again, which raises the error
            log(INFO, "Request the rest of %r again: %s", self._path, error)
            return {}
        received = stream.position - begun
        self._policy.note_fetch(stream.position, received)
        numbers = self._block_indices(ByteRange(begun, stream.position))
        blocks = self._add_blocks(deque([parts]), numbers, wanted, self._max_blocks_after(stream.stop, received))
        if stream.position < stream.stop and self._streams:
            self._stream = stream  # in place of another thread's, of which the rest is requested again
        return {number: blocks[number] for number in missing if number in blocks}

    def _max_blocks_after(self, stop: int, received: int) -> int | None:  # noqa: ARG002 - for subclasses
        """Return the number of blocks to keep after receiving `received` bytes of a response that ends at `stop`."""
        return None

    def _open_stream(self, span: ByteRange, missing: Sequence[int], wanted: range) -> dict[int, CachedPiece]:
        """Request a range and read it as it arrives, to the last missing block, if the store supports that."""
        stream = self._fetcher.stream(span, cast("Version", self.version), self._block_size)
        if stream is None:
            self._streams = False
            return {}
        return self._read_on(stream, self._span(missing[0], missing[-1]).stop, missing, wanted)

    def _drain_stream(self, *, whole: bool) -> None:
        """Free the connection for other requests: abandon a response with a long rest; if `whole`, read a short one."""
        with held(self._batches.lock):
            stream = self._stream
            if stream is None or self.ranges_ignored:
                return
            if stream.remaining > MAX_DRAIN * self._chunk_size:
                self._stream = None
                # About this much has been sent, into the connection's buffers.
                self._policy.fetched_bytes += MAX_DRAIN * self._chunk_size
                return
            if not whole:
                return
            batch = self._take_stream(stream)
        with batch:
            self._read_on(stream, stream.stop, (), range(0))
