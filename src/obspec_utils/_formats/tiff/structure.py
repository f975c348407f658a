"""The structure of a TIFF file: its directories, the values of their fields, and where tiles and strips lie."""

from __future__ import annotations

from collections import deque
from functools import partial
from itertools import compress
from struct import error as StructError  # noqa: N812 # the name it has is that of no class
from typing import TYPE_CHECKING, TypeAlias

from obspec_utils._formats.chunks import MAX_CHUNKS, ChunkIndex, Chunks
from obspec_utils._formats.tiff.directory import (
    DIRECTORIES,
    STRIP_BYTE_COUNTS,
    STRIP_OFFSETS,
    TILE_BYTE_COUNTS,
    TILE_OFFSETS,
    Grid,
    directory_size,
    grid_of,
    parse_directory,
    parse_values,
)
from obspec_utils._formats.tiff.header import HEADER_SIZE, Layout, parse_header
from obspec_utils._ranges import ByteRange

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Sequence

    from typing_extensions import Buffer

    from obspec_utils._formats.tiff.directory import Field

__all__ = ["Structure"]

# As much as a directory of 40 entries takes in a BigTIFF.
_DIRECTORY_GUESS = 1024
# A longer table of tiles is read in parts by those who read such files, as GDAL does, and not all at once.
_MAX_VALUES_SIZE = 1 << 20
# Each directory of a chain is only known by the one before it. Of a long chain, such as of the pages of a stack, the
# first are fetched ahead, and the others are left to the access pattern.
_MAX_DEPTH = 16

# Bounds for damaged files. Beyond them only read-ahead is lost.
_MAX_DIRECTORIES = 1 << 16
_MAX_PENDING = 1 << 12
_MAX_ENTRIES = 1 << 20

# What parsing damaged bytes raises.
_DAMAGE = (StructError, ValueError, OverflowError)


class _Node:
    """A byte range of the file that is to be parsed. `depth` is the number of directories before it in its chain."""

    __slots__ = ("depth", "parse", "start", "stop")

    def __init__(self, start: int, stop: int, depth: int, parse: Parser) -> None:
        self.start = start
        self.stop = stop
        self.depth = depth
        self.parse = parse


class _Image:
    """The tiles or strips of a directory: known once both their offsets and their sizes are."""

    __slots__ = ("columns", "grid", "start", "tags")

    def __init__(self, start: int) -> None:
        self.tags: set[int] = set()  # whose values were parsed: a tag counts once
        self.start = start
        self.grid = Grid(1, ())
        self.columns: dict[int, array[int]] = {}


class Structure:
    """Parse a TIFF file without reading it, see `FileStructure`.

    Parameters
    ----------
    size
        Size of the file in bytes.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._index: ChunkIndex[Chunks] = ChunkIndex(size)
        self._series: dict[tuple[int, ...], tuple[int, int]] = {}  # the table of a series, and how many strips it has
        self._seen: set[int] = set()  # offsets of directories
        self._entries = self._tiles = 0
        self._layout: Layout | None = None
        self._pending: dict[int, _Node] = {}
        self._discovered: deque[_Node] = deque()
        self._visit(0, min(HEADER_SIZE, size), 0, self._parse_header)

    def parse(self, read: Callable[[int, int], Buffer | None]) -> None:
        """Parse the pending byte ranges that are in memory, and those that they lead to."""
        self._discovered = queue = deque(self._pending.values())
        while queue:  # which parsing makes longer
            node = queue.popleft()
            data = read(node.start, node.stop)
            if data is None:
                continue
            del self._pending[node.start]
            try:
                node.parse(node, memoryview(data))
            except _DAMAGE:
                continue

    def wanted(self, limit: int, *, near: int | None = None, only: bool = False) -> list[ByteRange]:
        """Return pending byte ranges in the order of their discovery, the one that has the byte at `near` first."""
        nodes = [node for node in self._pending.values() if node.depth < _MAX_DEPTH]
        here = [node for node in nodes if near is not None and node.start <= near < node.stop]
        if not only:
            here += [node for node in nodes if node not in here]
        return [ByteRange(node.start, node.stop) for node in here[:limit]]

    @property
    def chunks(self) -> Sequence[Chunks]:
        """The tiles or strips of the images found so far."""
        return self._index.tables

    def find_chunk(self, offset: int) -> tuple[Chunks, int] | None:
        """Return the table of the tile or strip that has the byte at an offset, and its position in the table."""
        return self._index.find(offset)

    def _visit(self, start: int, size: int, depth: int, parse: Parser) -> None:
        stop = min(start + size, self._size)
        if 0 <= start < stop and len(self._pending) < _MAX_PENDING and start not in self._pending:
            node = self._pending[start] = _Node(start, stop, depth, parse)
            self._discovered.append(node)

    def _parse_header(self, _: _Node, data: memoryview) -> None:
        self._layout, first = parse_header(data)
        self._visit_directory(first, 0)

    def _visit_directory(self, start: int, depth: int) -> None:
        if start and start not in self._seen and len(self._seen) < _MAX_DIRECTORIES:
            self._seen.add(start)
            self._visit(start, _DIRECTORY_GUESS, depth, self._parse_directory)

    def _parse_directory(self, node: _Node, data: memoryview) -> None:
        assert self._layout is not None  # noqa: S101 - for type checkers: the header leads to directories
        size = directory_size(self._layout, data)
        if size > len(data):
            if node.stop < min(node.start + size, self._size) and size <= _MAX_VALUES_SIZE:
                self._visit(node.start, size, node.depth, self._parse_directory)
            return
        fields, following = parse_directory(self._layout, data[:size])
        image = _Image(node.start)
        numbers: dict[int, int] = {}
        for field in fields:
            self._entries += 1
            if self._entries > _MAX_ENTRIES:
                return
            if field.offset is None:
                self._use(image, node.depth, field, field.inline)
                if field.count == 1 and field.tag not in numbers:
                    numbers[field.tag] = int.from_bytes(field.inline[: field.size], self._layout.byte_order)
            elif field.size <= _MAX_VALUES_SIZE:
                parse = partial(self._parse_values, image, field)
                self._visit(field.offset, field.size, node.depth, parse)
        image.grid = grid_of(numbers)
        self._add(image)
        self._visit_directory(following, node.depth + 1)

    def _parse_values(self, image: _Image, field: Field, node: _Node, data: memoryview) -> None:
        self._use(image, node.depth, field, data)
        self._add(image)

    def _use(self, image: _Image, depth: int, field: Field, data: memoryview | bytes) -> None:
        """Take over what a field tells of tiles, strips and further directories."""
        assert self._layout is not None  # noqa: S101 - for type checkers
        if field.tag in DIRECTORIES:
            for start in parse_values(self._layout, field, data)[:_MAX_DEPTH]:
                self._visit_directory(start, depth + 1)
        elif field.tag in _COLUMNS and field.tag not in image.tags:
            image.tags.add(field.tag)
            image.columns[field.tag] = parse_values(self._layout, field, data)

    def _add(self, image: _Image) -> None:
        """Keep where the tiles or strips of an image are, if that is known."""
        for offsets_tag, sizes_tag in ((TILE_OFFSETS, TILE_BYTE_COUNTS), (STRIP_OFFSETS, STRIP_BYTE_COUNTS)):
            offsets, sizes = image.columns.get(offsets_tag), image.columns.get(sizes_tag)
            if offsets is None or sizes is None:
                continue
            image.columns.clear()
            count = min(len(offsets), len(sizes))
            self._tiles += count
            if self._tiles > MAX_CHUNKS:
                return
            table, first = self._table(image, len(offsets))
            numbers: Sequence[int] = range(first, first + count)
            if 0 in offsets or 0 in sizes:  # what is not stored: all its pixels have the fill value
                stored = [bool(offset and size) for offset, size in zip(offsets, sizes, strict=False)]
                numbers = list(compress(numbers, stored))
                self._index.add(table, numbers, list(compress(offsets, stored)), list(compress(sizes, stored)))
            else:
                self._index.add(table, numbers, offsets[:count], sizes[:count])

    def _table(self, image: _Image, count: int) -> tuple[int, int]:
        """Return the index of the table of an image, and the number of its first tile or strip in it."""
        key = image.grid.key
        known = self._series.get(key)
        table, first = known or (len(self._index.tables), 0)
        if known is None:
            self._index.tables.append(Chunks(image.start, image.grid.row_length))
        self._series[key] = table, first + count
        return table, first


_COLUMNS = frozenset({TILE_OFFSETS, TILE_BYTE_COUNTS, STRIP_OFFSETS, STRIP_BYTE_COUNTS})

if TYPE_CHECKING:
    Parser: TypeAlias = Callable[[_Node, memoryview], None]
