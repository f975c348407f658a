"""Which tiles of an image are read next: a window is a rectangle of tiles, read row by row."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from obspec_utils._formats.chunks import Chunks

__all__ = ["TileWindow"]

# Rows and columns of tiles that are fetched with the first missing tile of a window, and their size: tiles of 512 x 512
# pixels have up to 1 MiB. They are requested in parallel, so more of them take more bytes, but little more time.
_FIRST_ROWS = _FIRST_COLUMNS = 2
_MAX_FIRST = 4 * 1024 * 1024
# After so many windows, at least half of the rows fetched ahead must have been used, else nothing is fetched ahead.
_TRIALS = 4


class TileWindow:
    """The window of an image that is being read, as far as its tiles were fetched.

    The first tile that is missing next to it doubles its columns and rows, each further one its columns or its rows. A
    tile elsewhere begins another window.

    Parameters
    ----------
    used
        Starts of the cached byte ranges that were used.
    """

    __slots__ = ("_ahead", "_columns", "_is_first", "_rows", "_used", "_used_windows", "_windows")

    def __init__(self, used: Collection[int]) -> None:
        self._used = used
        self._rows = self._columns = range(0)
        self._is_first = True
        self._ahead: int | None = None  # the start of what this window fetched ahead
        self._windows = self._used_windows = 0  # of those before, and how many of them used that

    def plan(self, table: Chunks, position: int, most: int) -> list[int]:
        """Return the positions of the missing tile and of those to fetch with it, of at most so many bytes in all."""
        row, column = divmod(table.numbers[position], table.row_length)
        if self._is_first and (found := self._doubled(table, row, column, most)):
            return found
        rows, columns = self._next(row, column, table.row_length)
        if self._is_first:
            most = min(most, _MAX_FIRST)
        while True:
            found = _tiles(table, rows, columns)
            if _size(table, found) <= most or len(rows) == len(columns) == 1:
                break
            if len(rows) > 1:
                rows = rows[: (len(rows) + 1) // 2]
            else:
                columns = columns[: (len(columns) + 1) // 2]
        self._extend(rows, columns)
        return found

    def note_ahead(self, starts: Sequence[int]) -> None:
        """Note the starts of the byte ranges that are fetched, but for that of the missing tile."""
        if self._is_first:
            self._ahead = starts[0] if starts else None

    def _doubled(self, table: Chunks, row: int, column: int, most: int) -> list[int]:
        """Return the tiles that double the columns and the rows, if the missing one is next to the window."""
        rows, columns = self._rows, self._columns
        if not (column == columns.stop and row in rows) and not (row == rows.stop and column in columns):
            return []
        more_rows = range(rows.start, rows.stop + len(rows))
        more_columns = range(columns.start, min(columns.stop + len(columns), table.row_length))
        fetched = set(_tiles(table, rows, columns))
        found = [tile for tile in _tiles(table, more_rows, more_columns) if tile not in fetched]
        if _size(table, found) > most:
            return []
        self._rows, self._columns, self._is_first = more_rows, more_columns, False
        return found

    def _next(self, row: int, column: int, row_length: int) -> tuple[range, range]:
        """Return the rows and the columns to fetch with a missing tile."""
        rows, columns = self._rows, self._columns
        self._is_first = False
        if column == columns.stop and row in rows:
            return range(row, rows.stop), range(column, min(column + len(columns), row_length))
        if row == rows.stop and column in columns:
            return range(row, row + len(rows)), range(column, columns.stop)
        self._is_first = True
        self._rows = self._columns = range(0)
        if not self._is_worth_it():
            return range(row, row + 1), range(column, column + 1)
        return range(row, row + _FIRST_ROWS), range(column, min(column + _FIRST_COLUMNS, row_length))

    def _is_worth_it(self) -> bool:
        """Return whether the windows before used what they fetched ahead."""
        if self._ahead is not None:
            self._windows += 1
            self._used_windows += self._ahead in self._used
        return self._windows < _TRIALS or 2 * self._used_windows >= self._windows

    def _extend(self, rows: range, columns: range) -> None:
        """Add fetched rows or columns to the window, if that stays a rectangle; else they are the window."""
        if columns.start == self._columns.stop and rows == self._rows:
            self._columns = range(self._columns.start, columns.stop)
        elif rows.start == self._rows.stop and columns == self._columns:
            self._rows = range(self._rows.start, rows.stop)
        else:
            self._rows, self._columns = rows, columns


def _size(table: Chunks, tiles: Sequence[int]) -> int:
    return sum(table.sizes[tile] for tile in tiles)


def _tiles(table: Chunks, rows: range, columns: range) -> list[int]:
    """Return the positions of the stored tiles of a rectangle."""
    numbers = table.numbers
    found: list[int] = []
    for row in rows:
        first = bisect_left(numbers, row * table.row_length + columns.start)
        found += range(first, bisect_left(numbers, row * table.row_length + columns.stop, first))
    return found
