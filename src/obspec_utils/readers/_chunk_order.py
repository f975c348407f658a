"""The order in which the chunks of datasets, or the tiles of images, are read: which ones come next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obspec_utils._ranges import ByteRange
from obspec_utils.readers._tile_window import TileWindow

if TYPE_CHECKING:
    from collections.abc import Collection

    from obspec_utils._formats.chunks import Chunks
    from obspec_utils._formats.interface import FileStructure

__all__ = ["FIRST_BATCH", "GROWTH", "MAX_FIRST", "MIN_CHUNK", "ChunkOrder", "merge_chunks"]

# Chunks fetched ahead once two reads are as far apart as the two before; then four times as many each time. With the
# first chunk of a dataset, which is rarely read alone, as many of those that lie next to it, up to this size.
FIRST_BATCH = 16
MAX_FIRST = 1024 * 1024
GROWTH = 4
# Smaller chunks are left to be fetched by blocks, which hold many of them.
MIN_CHUNK = 4096
# Chunks that lie this close together are one request.
_MAX_GAP = 64 * 1024
_MAX_REQUEST = 512 * 1024


class _Sequence:
    """The reads of the chunks of one dataset."""

    __slots__ = ("batch", "expected", "position", "stride")

    def __init__(self, position: int) -> None:
        self.position = position
        self.stride = 1
        self.batch = 0
        self.expected = position + 1


class ChunkOrder:
    """Plan the chunks to fetch with a missing one: those that follow it, at any stride and in either direction.

    Of an image in tiles, those of the same window.

    Parameters
    ----------
    structure
        The structure of the file.
    max_size
        The most bytes of one batch.
    used
        Starts of the cached byte ranges that were used.
    """

    def __init__(self, structure: FileStructure, max_size: int, used: Collection[int] = ()) -> None:
        self._structure = structure
        self._max_size = max_size
        self._used = used
        self._sequences: dict[int, _Sequence] = {}
        self._windows: dict[int, TileWindow] = {}

    def plan(self, missing: ByteRange, most: int) -> list[ByteRange] | None:
        """Return the chunk that holds the missing bytes, and those that come next, up to `most` bytes in all.

        Return None if there is no such chunk.
        """
        found = self._structure.find_chunk(missing.start)
        if found is None:
            return None
        table, position = found
        chunk = _chunk(table, position)
        if missing.stop > chunk.stop or not MIN_CHUNK <= chunk.length <= self._max_size // 2:
            return None
        if table.row_length > 1:
            return self._plan_window(table, position, most)
        wanted = [chunk]
        size = chunk.length
        is_first = table.address not in self._sequences
        most = min(most, self._max_size, MAX_FIRST if is_first else self._max_size)
        for number in self._following(table, position):
            chunk = _chunk(table, number)
            size += chunk.length
            if size > most or (is_first and not 0 <= chunk.start - wanted[-1].stop <= _MAX_GAP):
                break
            wanted.append(chunk)
        sequence = self._sequences[table.address]
        sequence.batch = len(wanted) - 1
        sequence.expected = position + len(wanted) * sequence.stride
        return merge_chunks(wanted)

    def _plan_window(self, table: Chunks, position: int, most: int) -> list[ByteRange]:
        """Return the tile at a position, and those of the same window."""
        window = self._windows.get(table.address)
        if window is None:
            window = self._windows[table.address] = TileWindow(self._used)
        tiles = window.plan(table, position, min(most, self._max_size))
        merged = merge_chunks([_chunk(table, tile) for tile in tiles])
        start = table.offsets[position]
        window.note_ahead([span.start for span in merged if not span.start <= start < span.stop])
        return merged

    def _following(self, table: Chunks, position: int) -> range:
        """Return the positions of the chunks that come next."""
        sequence = self._sequences.get(table.address)
        if sequence is None:
            self._sequences[table.address] = _Sequence(position)
            return range(1, min(1 + FIRST_BATCH, len(table))) if position == 0 else range(0)
        stride = position - sequence.position
        if position == sequence.expected:
            sequence.batch = max(FIRST_BATCH, GROWTH * sequence.batch)
        elif stride:
            sequence.batch = 0
            sequence.stride = stride
        sequence.position = position
        first = position + sequence.stride
        stop = first + sequence.batch * sequence.stride
        return range(first, min(stop, len(table)) if sequence.stride > 0 else max(stop, -1), sequence.stride)


def _chunk(table: Chunks, position: int) -> ByteRange:
    offset = table.offsets[position]
    return ByteRange(offset, offset + table.sizes[position])


def merge_chunks(chunks: list[ByteRange]) -> list[ByteRange]:
    """Return the byte ranges of chunks in order of their offsets, those that lie close together as one."""
    merged: list[ByteRange] = []
    for chunk in sorted(chunks):
        last = merged[-1] if merged else None
        if last and chunk.start <= last.stop + _MAX_GAP and chunk.stop - last.start <= _MAX_REQUEST:
            merged[-1] = ByteRange(last.start, max(last.stop, chunk.stop))
        else:
            merged.append(chunk)
    return merged
