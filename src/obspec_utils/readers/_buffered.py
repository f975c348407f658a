"""A reader for sequential access, in responses that are read as they arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from obspec import Get

from obspec_utils._io.gc_pause import held
from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS, ByteRange
from obspec_utils._validation import positive_int
from obspec_utils.readers._blocks import BlockStrategy
from obspec_utils.readers._file import StoreReader
from obspec_utils.readers._stream import STREAM_STEP
from obspec_utils.readers._version_options import VersionOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obspec_utils._version import CheckVersion
    from obspec_utils.readers._strategy import CachedPiece

__all__ = ["BufferedStoreReader"]

# All constants are in buffers. The memory for random reads: the default of the parallel reader.
_BUDGET = 64
# After a sequential run of the first length, only the second is kept.
_LONG_RUN = 8
_KEPT_BEHIND = 2
# The growth factor of responses, and their maximum. Each response costs a round trip: for 128 MiB at 50 MB/s and 30 ms,
# in seven requests, these are 5 % of the time. Bytes that are not read are not sent, so that a long response is cheap
# to abandon; but a server or a client may close one that is read slowly (obstore: after 30 s).
_GROWTH = 4
_MAX_RESPONSE = 64
# A longer read is fetched in parallel.
_MAX_STREAMED_READ = 4


class _SequentialStrategy(BlockStrategy):
    """Serve sequential reads from one open response at a time, each longer than the one before."""

    def __init__(
        self, store: object, path: str, versions: VersionOptions, buffer_size: int, connections: int | None
    ) -> None:
        connections_or_default = connections or MAX_CONCURRENT_REQUESTS
        super().__init__(store, path, versions, buffer_size, buffer_size * _BUDGET, connections_or_default)
        self._in_parallel = connections is not None
        self._was_sequential = False  # the miss before
        self._response_buffers = 1  # length of the last response
        self._response_stop = 0  # its end in the object
        self._run_bytes = 0  # received in this sequential run

    def _fetch_blocks(self, missing: Sequence[int], wanted: range) -> dict[int, CachedPiece]:
        span = self._span(missing[0], missing[-1])
        was_sequential, self._was_sequential = self._was_sequential, self._policy.is_sequential(span.start)
        # From the second sequential miss on: the first may fetch the rest of a header.
        if not (was_sequential and self._was_sequential and self._can_stream(span)):
            return super()._fetch_blocks(missing, wanted)
        response = self._next_response(span.start)
        with held(self._batches.lock):
            if len(self._absent(missing)) < len(missing):  # another thread was faster
                return {}
            batch = self._batches.add([response])
        with batch:
            blocks = self._open_stream(response, missing, wanted)
        return blocks or super()._fetch_blocks(missing, wanted)

    def _can_stream(self, span: ByteRange) -> bool:
        return (
            self._streams
            and not self._in_parallel
            and not self.ranges_ignored
            and not self._policy.is_throttled(self.size)
            and span.length <= _MAX_STREAMED_READ * self._chunk_size
        )

    def _next_response(self, start: int) -> ByteRange:
        """Return the range to request: longer than the last one if it continues that, else a short one."""
        if start == self._response_stop:
            self._response_buffers = min(self._response_buffers * _GROWTH, _MAX_RESPONSE)
        else:
            self._response_buffers = _GROWTH
            self._run_bytes = 0
        self._response_stop = min(start + self._response_buffers * self._chunk_size, self.size)
        return ByteRange(start, self._response_stop)

    def _max_blocks_after(self, stop: int, received: int) -> int | None:
        if stop != self._response_stop:  # not a response of this run
            return None
        self._run_bytes += received
        if self._run_bytes <= _LONG_RUN * self._chunk_size:
            return None
        return max(_KEPT_BEHIND * self._chunk_size // self._block_size, 2 * STREAM_STEP)


class BufferedStoreReader(StoreReader):
    """Read an object sequentially, with read-ahead.

    Sequential reads are served from one response, which is read as it arrives: while the caller processes one piece,
    the next ones are received. Short skips forward read on in the same response; other jumps abandon it. Each response
    is four times as long as the one before, up to 64 buffers.

    Memory: for sequential reads two buffers, after the first eight, and the receive buffers of the connection. Random
    reads, and reads longer than four buffers, are served as by `ParallelStoreReader`, with up to 64 buffers of memory.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`.
    path
        The object's path in the store. No request is sent before the first read.
    buffer_size
        Bytes of the first request, and the unit of read-ahead.
    max_concurrent_requests
        Read ahead with up to this many requests in flight, instead of one response at a time. That is several times as
        fast if the bandwidth of each connection is limited, and takes up to 64 buffers of memory.
    check_version
        What is compared to notice that the object changed, beside its size: "auto" (the ETag, or else the date),
        "etag", "date", or "size" for nothing else; for servers that send different ETags or dates for the same bytes.
    version
        The id of the version to read, such as a version id of S3, instead of the current one.

    Raises
    ------
    ValueError
        If a number is not positive, or `check_version` is none of these.
    FileNotFoundError
        By the first read, if there is no such object, or no such version of it.
    NotSupportedError
        By the first read, if the store ignores `version`.
    """

    class Store(Get, Protocol):
        """The methods this reader needs of a store."""

    def __init__(
        self,
        store: Store,
        path: str,
        buffer_size: int = 1024 * 1024,
        *,
        max_concurrent_requests: int | None = None,
        check_version: CheckVersion = "auto",
        version: str | None = None,
    ) -> None:
        buffer_size = positive_int("buffer_size", buffer_size)
        if max_concurrent_requests is not None:
            max_concurrent_requests = positive_int("max_concurrent_requests", max_concurrent_requests)
        versions = VersionOptions(check_version, version)
        strategy = _SequentialStrategy(store, path, versions, buffer_size, max_concurrent_requests)
        options = {"buffer_size": buffer_size, "max_concurrent_requests": max_concurrent_requests}
        super().__init__(store, path, strategy, **options, **versions.arguments)
