"""The lines of a file."""

from __future__ import annotations

import sys
from operator import index

__all__ = ["Lines"]

# readline() searches pieces that double between these lengths.
_MIN_LINE_PIECE, _MAX_LINE_PIECE = 8192, 1024 * 1024


class Lines:
    """Methods that read lines, for a file that reads at any offset."""

    _position: int

    def _check_open(self) -> None:
        raise NotImplementedError

    def _end(self, position: int, size: int | None) -> int:
        raise NotImplementedError

    def _read_at(self, start: int, stop: int) -> bytes:
        raise NotImplementedError

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line with its newline, cut at `size` bytes if that is not negative."""
        begin = position = self._position
        end = self._end(begin, size)
        self._check_open()
        pieces: list[bytes] = []
        length = _MIN_LINE_PIECE
        while position < end and (piece := self._read_at(position, min(end, position + length))):
            newline = piece.find(b"\n") + 1
            pieces.append(piece[:newline] if newline else piece)
            position += len(pieces[-1])
            if newline:
                break
            length = min(2 * length, _MAX_LINE_PIECE)
        self._position = position
        return b"".join(pieces)

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Return the remaining lines; with a positive `hint`, stop after the line that reaches that many bytes."""
        enough = sys.maxsize if hint is None or index(hint) <= 0 else index(hint)
        lines: list[bytes] = []
        total = 0
        while total < enough and (line := self.readline()):
            lines.append(line)
            total += len(line)
        return lines
