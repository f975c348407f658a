"""Lines of a file that is read in pieces."""

from __future__ import annotations

import io
import sys
from operator import index
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, BinaryIO

    class _BinaryFile(io.BufferedIOBase, BinaryIO):  # as io.BytesIO is declared
        name: Any

else:
    _BinaryFile = io.BufferedIOBase

__all__ = ["LineReader"]

# How much is looked through for the end of a line, at first and at most.
_LINE_PIECE = 8192
_LONGEST_LINE_PIECE = 1024 * 1024


class LineReader(_BinaryFile):
    """A file that finds its lines by reading pieces, where io would read byte by byte."""

    @property
    def mode(self) -> str:
        """Return "rb", as an open binary file does."""
        return "rb"

    _position: int

    def _check_open(self) -> None:
        raise NotImplementedError

    def _at(self, position: int, end: int) -> bytes:
        raise NotImplementedError

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line with its newline, cut at `size` bytes if that is not negative."""
        begin_at = self._position
        end = self._end(begin_at, size)
        self._check_open()
        position = begin_at
        pieces: list[bytes] = []
        length = _LINE_PIECE
        while position < end and (piece := self._at(position, min(end, position + length))):
            newline = piece.find(b"\n") + 1
            pieces.append(piece[:newline] if newline else piece)
            position += len(pieces[-1])
            if newline:
                break
            length = min(2 * length, _LONGEST_LINE_PIECE)
        self._position = position
        return b"".join(pieces)

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Return the lines that are left, of a positive `hint` only as many as hold that many bytes."""
        enough = sys.maxsize if hint is None or index(hint) <= 0 else index(hint)
        lines: list[bytes] = []
        total = 0
        while total < enough and (line := self.readline()):
            lines.append(line)
            total += len(line)
        return lines

    def _end(self, position: int, size: int | None) -> int:
        """Return where a read of `size` bytes ends, as far as the object goes that far."""
        length = -1 if size is None else index(size)
        if length > sys.maxsize:
            msg = f"can't read {length} bytes at once"
            raise OverflowError(msg)
        return sys.maxsize if length < 0 else position + length
