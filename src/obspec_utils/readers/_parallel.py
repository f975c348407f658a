"""A reader that keeps the chunks used last."""

from __future__ import annotations

from typing import Protocol

from obspec import Get

from obspec_utils._validation import positive_int
from obspec_utils.readers._block_reader import BlockReader

__all__ = ["BlockStoreReader", "ParallelStoreReader"]


class ParallelStoreReader(BlockReader):
    """Read an object as the reads suggest, and keep the pieces used last.

    A read that misses fetches a sixteenth of a chunk or what it asks for. Where reads go on in sequence, go through the
    file from piece to piece, or come back to a zone, more is fetched with them, in steps that grow up to half of what
    is kept, and in up to 18 requests side by side; no more ahead once what was fetched in vain would exceed the
    object's size or what was used, whichever is more. A read longer than what is kept goes around it.

    Memory: at most `chunk_size * max_cached_chunks` bytes, and the read being served. From a server that ignores
    ranges, the object is read from its start as it arrives; reading backwards requests it again.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`.
    path
        The object's path in the store. Nothing is asked for before the first read.
    chunk_size
        Bytes of the first piece, and the unit of what is fetched ahead.
    max_cached_chunks
        How many chunks are kept at most, in blocks of a sixteenth of one.

    Raises
    ------
    ValueError
        If a number is not positive.
    """

    class Store(Get, Protocol):
        """What this reader needs of a store."""

    def __init__(self, store: Store, path: str, chunk_size: int = 1024 * 1024, max_cached_chunks: int = 64) -> None:
        chunk_size = positive_int("chunk_size", chunk_size)
        self._max_cached_chunks = positive_int("max_cached_chunks", max_cached_chunks)
        super().__init__(store, path, chunk_size, chunk_size * self._max_cached_chunks)

    def _arguments(self) -> dict[str, object]:
        return {"chunk_size": self._chunk_size, "max_cached_chunks": self._max_cached_chunks}


class BlockStoreReader(ParallelStoreReader):
    """The same reader, with the parameter names that VirtualiZarr gives it.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`.
    path
        The object's path in the store. Nothing is asked for before the first read.
    block_size
        The other's `chunk_size`, in bytes.
    max_cached_blocks
        The other's `max_cached_chunks`.

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

    def _arguments(self) -> dict[str, object]:
        return {"block_size": self._chunk_size, "max_cached_blocks": self._max_cached_chunks}
