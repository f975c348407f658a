"""The blocks of an object in memory: what is read without a request."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from obspec_utils._ranges import ByteRange, block_indices
from obspec_utils.readers._block_cache import BlockCache, copy_blocks, in_order
from obspec_utils.readers._readahead import ReadaheadPolicy
from obspec_utils.readers._strategy import NO_PIECE, Strategy

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence

    from obspec_utils._io.buffers import BufferList
    from obspec_utils.readers._strategy import CachedPiece
    from obspec_utils.readers._version_options import VersionOptions

__all__ = ["CachedBlocks"]

_BLOCKS_PER_CHUNK = 16
# The overhead of smaller blocks would exceed the cost of fetching them.
_MIN_BLOCK_SIZE = 4096


class CachedBlocks(Strategy):
    """Keep blocks of an object, a sixteenth of a chunk each, up to `budget` bytes."""

    __slots__ = ("_block_size", "_get", "_note_read", "_touch")  # faster, for `find`

    def __init__(self, store: object, path: str, versions: VersionOptions, chunk_size: int, budget: int) -> None:
        super().__init__(store, path, versions)
        self._chunk_size = chunk_size
        self._block_size = max(chunk_size // _BLOCKS_PER_CHUNK, min(chunk_size, _MIN_BLOCK_SIZE))
        self._cache = BlockCache(max(1, budget // self._block_size))
        self._policy = ReadaheadPolicy(chunk_size, budget)
        self._get = self._cache.get
        self._touch = self._cache.touch
        self._note_read = self._policy.note_read

    def find(self, position: int) -> CachedPiece:
        self._note_read(position)
        number = position // self._block_size
        block = self._get(number)
        try:
            self._touch(number)
        except KeyError:  # not used before, or just evicted by another thread
            block = block or self._promote(number)
        return block or NO_PIECE

    def cached(self, start: int, stop: int) -> tuple[BufferList, CachedPiece] | None:
        wanted = self._block_indices(ByteRange(start, max(start, min(stop, self.size))))
        if not 0 < len(wanted) <= self._cache.max_blocks:
            return None
        blocks = self._cached(wanted)
        return in_order(blocks, wanted) if len(blocks) == len(wanted) else None

    def _block_indices(self, span: ByteRange) -> range:
        return block_indices(span, self.size, self._block_size)

    def _span(self, first: int, last: int) -> ByteRange:
        """Return the byte range from the first block to the last."""
        return ByteRange(first * self._block_size, min((last + 1) * self._block_size, self.size))

    def _promote(self, number: int) -> CachedPiece | None:
        block = self._cache.promote(number)
        if block is not None:
            self._policy.used_bytes += len(block[2])
        return block

    def _cached(self, numbers: Sequence[int]) -> dict[int, CachedPiece]:
        """Return the cached ones of the blocks, and count this as a use of them."""
        blocks: dict[int, CachedPiece] = {}
        for number in numbers:
            block = self._get(number) or self._promote(number)
            if block is not None:
                blocks[number] = block
                with suppress(KeyError):  # just evicted by another thread
                    self._touch(number)
        return blocks

    def _add_blocks(
        self, fetched: deque[BufferList], numbers: Sequence[int], used: range, max_blocks: int | None = None
    ) -> dict[int, CachedPiece]:
        """Copy blocks out of `fetched`, keep them and return them."""
        blocks = copy_blocks(fetched, numbers, self._block_size, self.size)
        self._cache.add(blocks, used, max_blocks)
        length = sum(len(block[2]) for number, block in blocks.items() if number in used)
        self._policy.used_bytes += length
        return blocks
