"""A reader that keeps the chunks used last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from obspec import Get

from obspec_utils._buffers import Parts
from obspec_utils._checks import positive
from obspec_utils._plan import Span, align, merge
from obspec_utils.caches import LruCache
from obspec_utils.readers._base import REQUEST_SIZE, StoreReader

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BlockStoreReader", "ParallelStoreReader"]


class ParallelStoreReader(StoreReader):
    """Read an object by chunks, fetched when they are needed, the ones used last kept.

    Neighbouring missing chunks are one request, long runs of them several in parallel. A read longer than the cache
    goes around it. Memory: at most `chunk_size * max_cached_chunks` bytes, and the read being served.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`.
    path
        The object's path in the store. Nothing is asked for before the first read.
    chunk_size
        Bytes a chunk.
    max_cached_chunks
        The most chunks kept.

    Raises
    ------
    ValueError
        If a number is not positive.
    """

    class Store(Get, Protocol):
        """What this reader needs of a store."""

    def __init__(self, store: Store, path: str, chunk_size: int = 1024 * 1024, max_cached_chunks: int = 64) -> None:
        self._chunk_size = positive("chunk_size", chunk_size)
        self._chunks: LruCache[int, memoryview] = LruCache(positive("max_cached_chunks", max_cached_chunks))
        super().__init__(store, path)

    def _arguments(self) -> dict[str, object]:
        return {"chunk_size": self._chunk_size, "max_cached_chunks": self._chunks.max_size}

    def _first_length(self, start: int, stop: int) -> int:
        if start >= self._chunk_size:
            return self._chunk_size
        # The read's end where it is near, in one request; of a long read, the rest follows in parallel.
        aligned = -(-stop // self._chunk_size) * self._chunk_size
        return max(self._chunk_size, min(aligned, REQUEST_SIZE))

    def _keep(self, parts: Parts) -> None:
        self._keep_chunks(parts, align(Span(0, parts.stop), self.size, self._chunk_size))

    def _span(self, chunk: int) -> Span:
        return Span(chunk * self._chunk_size, min((chunk + 1) * self._chunk_size, self.size))

    def _keep_chunks(self, parts: Parts, chunks: Sequence[int]) -> None:
        """Keep the chunks that parts hold whole; a copy, but of a part that is one chunk and nothing else."""
        for chunk in chunks[-self._chunks.max_size :]:
            span = self._span(chunk)
            if parts.stop >= span.stop:
                start, stop, view = parts.window(span.start)
                alone = (start, stop) == span
                self._chunks.put(chunk, view if alone else memoryview(b"".join(parts.pieces(*span))), 1)

    def _fetch(self, start: int, stop: int) -> Parts:
        wanted = align(Span(start, stop), self.size, self._chunk_size)
        pieces = {self._span(chunk): view for chunk in wanted if (view := self._chunks.get(chunk)) is not None}
        missing = [chunk for chunk in wanted if self._span(chunk) not in pieces]
        runs = list(merge(missing, self._chunk_size, self.size))
        around = stop - start > self._chunks.max_size * self._chunk_size
        if around:
            runs = [Span(max(run.start, start), min(run.stop, stop)) for run in runs]
        pieces.update(self._request(runs))
        spans = sorted(pieces)
        parts = Parts([pieces[span] for span in spans], start=spans[0].start)
        if not around:
            self._keep_chunks(parts, missing)
            self._open_window(wanted[-1])
        return parts

    def _open_window(self, chunk: int) -> None:
        view = self._chunks.get(chunk)
        if view is not None:
            self._window = (*self._span(chunk), view)

    def _release(self) -> None:
        super()._release()
        self._chunks.clear()


class BlockStoreReader(ParallelStoreReader):
    """The same reader, with the parameter names that VirtualiZarr gives it.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`.
    path
        The object's path in the store. Nothing is asked for before the first read.
    block_size
        Bytes a block.
    max_cached_blocks
        The most blocks kept.

    Raises
    ------
    ValueError
        If a number is not positive.
    """

    def __init__(
        self,
        store: ParallelStoreReader.Store,
        path: str,
        block_size: int = 1024 * 1024,
        max_cached_blocks: int = 64,
    ) -> None:
        block_size = positive("block_size", block_size)
        super().__init__(store, path, block_size, positive("max_cached_blocks", max_cached_blocks))

    def _arguments(self) -> dict[str, object]:
        return {"block_size": self._chunk_size, "max_cached_blocks": self._chunks.max_size}
