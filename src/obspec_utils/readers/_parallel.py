"""A reader for random access: fetch blocks on demand, and ahead if the access pattern suggests it."""

from __future__ import annotations

from typing import Protocol

from obspec import Get

from obspec_utils._validation import positive_int
from obspec_utils.readers._blocks import BlockStrategy
from obspec_utils.readers._file import StoreReader

__all__ = ["BlockStoreReader", "ParallelStoreReader"]


class ParallelStoreReader(StoreReader):
    """Fetch blocks of an object on demand, keep the most recently used, and read ahead by access pattern.

    A miss fetches the missing blocks, a sixteenth of a chunk each. Sequential reads, scans in steps and reads that
    return to the same range fetch more, in steps that grow up to half of the memory, in up to 18 parallel requests.
    Read-ahead stops once the bytes fetched but not used would exceed the object's size or the bytes used, whichever is
    more. A read longer than the memory bypasses it.

    Memory: at most `chunk_size * max_cached_chunks` bytes, and the read being served. From a server that ignores
    ranges, the object is read from its start as it arrives; reading backwards requests it again.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`.
    path
        The object's path in the store. No request is sent before the first read.
    chunk_size
        Bytes of the first request, and the unit of read-ahead.
    max_cached_chunks
        The maximum number of chunks kept in memory, in blocks of a sixteenth of a chunk.

    Raises
    ------
    ValueError
        If a number is not positive.
    """

    class Store(Get, Protocol):
        """The methods this reader needs of a store."""

    def __init__(self, store: Store, path: str, chunk_size: int = 1024 * 1024, max_cached_chunks: int = 64) -> None:
        chunk_size = positive_int("chunk_size", chunk_size)
        max_cached_chunks = positive_int("max_cached_chunks", max_cached_chunks)
        strategy = BlockStrategy(store, path, chunk_size, chunk_size * max_cached_chunks)
        super().__init__(store, path, strategy, chunk_size=chunk_size, max_cached_chunks=max_cached_chunks)


class BlockStoreReader(ParallelStoreReader):
    """Read as `ParallelStoreReader`, with the parameter names that VirtualiZarr uses.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`.
    path
        The object's path in the store. No request is sent before the first read.
    block_size
        `chunk_size` of `ParallelStoreReader`, in bytes.
    max_cached_blocks
        `max_cached_chunks` of `ParallelStoreReader`.

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
        block_size = positive_int("block_size", block_size)
        super().__init__(store, path, block_size, positive_int("max_cached_blocks", max_cached_blocks))
        self._options = {"block_size": block_size, "max_cached_blocks": self._options["max_cached_chunks"]}
