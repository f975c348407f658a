"""A file over pieces that something else provides: its position, and reads of all kinds."""

from __future__ import annotations

import io
import sys
from operator import index
from typing import TYPE_CHECKING

from obspec_utils.readers._cached_piece import NO_PIECE
from obspec_utils.readers._lines import LineReader

if TYPE_CHECKING:
    from typing import Self

    from typing_extensions import Buffer

    from obspec_utils._io.buffers import BufferList
    from obspec_utils.readers._cached_piece import CachedPiece

__all__ = ["PositionedReader"]

_MAX_POSITION = sys.maxsize
_CALLED_BY_H5PY = ("flush", "readinto", "seek", "tell", "truncate", "write")


class PositionedReader(LineReader):
    """A file that behaves as `io.BytesIO` does; what its bytes are is for subclasses to say.

    A read inside the window, the piece the last read ended in, takes no lock and does nothing but slice. The window is
    one tuple, replaced at once, so that threads that share a reader never see half of one and half of another.
    """

    # What every read asks for, in slots because those are faster than the attributes of a subclass of io.IOBase.
    # `_open` stands for `closed`, which takes longer to ask than a small read takes.
    __slots__ = ("_open", "_position", "_window")

    def __init_subclass__(cls, **options: object) -> None:
        """Give each class methods of its own, which are found where h5py calls them while an error is set.

        CPython 3.11 and 3.12 then look no further than the object's very class, so that h5py over a missing object
        would now and then raise AttributeError.
        """
        super().__init_subclass__(**options)
        for name in _CALLED_BY_H5PY:
            setattr(cls, name, getattr(cls, name))

    def __new__(cls, *_: object, **__: object) -> Self:
        """Make a reader that is closed: what its constructor refuses is so when it goes."""
        reader = super().__new__(cls)
        reader._open = False
        return reader

    def __init__(self) -> None:
        super().__init__()
        self._position = 0
        self._window: CachedPiece = NO_PIECE
        self._open = True

    # What subclasses answer.

    @property
    def size(self) -> int:
        """How many bytes there are."""
        raise NotImplementedError

    def _find(self, position: int) -> CachedPiece:  # noqa: ARG002 - the hook's signature
        """Return the piece at hand that holds a position, which becomes the window; `NOTHING` if there is none."""
        return NO_PIECE

    def _load(self, start: int, stop: int) -> BufferList | None:
        """Return parts that hold the bytes from `start` to `stop` or to the end; None if there are none."""
        raise NotImplementedError

    def _release(self) -> None:
        """Let go of everything that is kept."""
        self._window = NO_PIECE

    # What they build on.

    def _at(self, position: int, end: int) -> bytes:
        """Return the bytes from `position` to `end`, as far as there are any, and move nothing."""
        start, stop, data = self._window
        if start <= position and end <= stop:
            return bytes(data[position - start : end - start])
        self._check_open()
        parts = self._load(position, end)
        return b"" if parts is None else b"".join(parts.pieces(position, min(end, self.size)))

    def _check_open(self) -> None:
        if not self._open:
            msg = f"I/O operation on closed file: {self!r}"
            raise ValueError(msg)

    # io.BufferedIOBase.

    def readable(self) -> bool:
        """Return True."""
        self._check_open()
        return True

    def seekable(self) -> bool:
        """Return True."""
        self._check_open()
        return True

    def tell(self) -> int:
        """Return the position."""
        if not self._open:
            self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to an offset from the start, from the position (1) or from the end (2); return the position.

        Nothing is fetched but, from the end, the first piece if the size is not known yet.
        """
        if whence == 0 and type(offset) is int and 0 <= offset <= _MAX_POSITION and self._open:
            self._position = offset
            return offset
        offset, whence = index(offset), index(whence)
        self._check_open()
        if whence == io.SEEK_SET:
            if offset < 0:
                msg = f"negative seek value {offset}"
                raise ValueError(msg)
        elif whence == io.SEEK_CUR:
            offset += self._position
        elif whence == io.SEEK_END:
            offset += self.size
        else:
            msg = f"invalid whence ({whence}, should be 0, 1 or 2)"
            raise ValueError(msg)
        if offset > _MAX_POSITION:
            msg = f"new position {offset} is too large"
            raise OverflowError(msg)
        self._position = max(0, offset)
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Return `size` bytes, fewer only at the end of the object; all that are left if it is negative or None."""
        position = self._position
        start, stop, data = self._window
        if type(size) is int:  # what follows is the way of nearly all reads: each step counts
            end = position + size
            if not start <= position < stop:
                start, stop, data = self._find(position)
            if start <= position < end <= stop:
                self._position = end
                piece = data[position - start : end - start]
                return piece if type(piece) is bytes else piece.tobytes()  # type: ignore[union-attr]
        end = self._end(position, size)
        self._check_open()
        parts = self._load(position, end) if position < end else None
        if parts is None:
            return b""
        data = b"".join(parts.pieces(position, min(end, self.size)))
        self._position = position + len(data)
        return data

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill a writable buffer, short only at the end of the object; return how many bytes were written."""
        position = self._position
        try:
            target = memoryview(buffer)
        except ValueError:
            return self._readinto_opaque(buffer)
        if not target.nbytes and not target.readonly:
            self._check_open()
            return 0
        target = target.cast("B")
        if target.readonly:
            msg = f"readinto() needs a writable buffer, got a read-only {type(buffer).__name__}"
            raise TypeError(msg)
        end = position + target.nbytes
        start, stop, data = self._window
        if not start <= position < stop:
            start, stop, data = self._find(position)
        if start <= position and end <= stop:
            target[:] = data[position - start : end - start]
            self._position = end
            return end - position
        self._check_open()
        parts = self._load(position, end) if position < end else None
        if parts is None:
            return 0
        filled = 0
        for piece in parts.pieces(position, min(end, self.size)):
            target[filled : filled + piece.nbytes] = piece
            filled += piece.nbytes
        self._position = position + filled
        return filled

    def _readinto_opaque(self, buffer: Buffer) -> int:
        """Fill a buffer that memoryview refuses but io does not, such as a NumPy array of datetime64."""
        io.BytesIO().readinto(buffer)  # writes nothing, but raises where the buffer can't be written to
        length = io.BytesIO().write(buffer)
        return io.BytesIO(self.read(length)).readinto(buffer)

    # As of io.BytesIO, whose read1 is read: a read never returns less than it was asked for.
    read1 = read
    readinto1 = readinto

    def readall(self) -> bytes:
        """Return all that is left."""
        return self.read()

    def close(self) -> None:
        """Close the reader and free what it keeps."""
        if self._open:
            self._open = False
            self._release()
        super().close()
