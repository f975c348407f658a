"""Read-only binary files over objects in a store: position, lines and pickling. A strategy provides the bytes."""

from __future__ import annotations

import io
import sys
from functools import partial
from operator import index
from typing import TYPE_CHECKING

from obspec_utils._io.interruptible import interruptible
from obspec_utils._io.not_found import raise_not_found
from obspec_utils._redact import redacted
from obspec_utils._validation import check_path, check_store
from obspec_utils.readers._lines import Lines
from obspec_utils.readers._strategy import NO_PIECE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, BinaryIO, Self

    from typing_extensions import Buffer

    from obspec_utils._io.buffers import BufferList
    from obspec_utils._version import Version
    from obspec_utils.readers._stats import ReaderStats
    from obspec_utils.readers._strategy import CachedPiece, Strategy

    class _BinaryFile(io.BufferedIOBase, BinaryIO):  # as io.BytesIO is declared
        name: Any

else:
    _BinaryFile = io.BufferedIOBase

__all__ = ["StoreReader"]

_CALLED_BY_H5PY = ("flush", "readinto", "seek", "tell", "truncate", "write")


class StoreReader(Lines, _BinaryFile):
    """A file with the behaviour of `io.BytesIO`, read-only.

    A read inside the current piece, in which the last read ended, takes no lock and only slices. The piece is one
    tuple, replaced at once, so that threads that share a reader never combine two pieces.
    `options` are the arguments of the subclass's constructor beside store and path, for copies and pickles.
    """

    # Slots are faster than the attributes of a subclass of io.IOBase, and `_open` is faster than `closed`.
    __slots__ = ("_find", "_open", "_piece", "_position")

    def __init_subclass__(cls, **options: object) -> None:
        """Copy the methods that h5py calls into each class.

        h5py calls them while an error is set. CPython 3.11 and 3.12 then find only methods in the object's own class,
        so that h5py over a missing object would sometimes raise AttributeError.
        """
        super().__init_subclass__(**options)
        for name in _CALLED_BY_H5PY:
            setattr(cls, name, getattr(cls, name))

    def __new__(cls, *_: object, **__: object) -> Self:
        """Make a closed reader: if its constructor raises, there is nothing to close."""
        reader = super().__new__(cls)
        reader._open = False
        return reader

    def __init__(self, store: object, path: str, strategy: Strategy, **options: object) -> None:
        check_store(store, path)
        check_path(path)
        super().__init__()
        self._store = store
        self._path = path
        self._options = options
        self._strategy = strategy
        self._find = strategy.find
        self._piece: CachedPiece = NO_PIECE
        self._position = 0
        self._open = True

    @property
    def path(self) -> str:
        """The path of the object in its store."""
        return self._path

    @property
    def size(self) -> int:
        """The size of the object in bytes. Before the first read, this sends the first request."""
        if self._strategy.version is None:
            self._check_open()
            with raise_not_found(self._store, self._path, self._options.get("version")):
                interruptible(self._fetch, 0, 0)
        return self._strategy.size

    @property
    def mode(self) -> str:
        """Return "rb", as an open binary file does."""
        return "rb"

    def __repr__(self) -> str:
        size = "" if self._strategy.version is None else f", size {self._strategy.size}"
        state = f"{size}, position {self._position}{'' if self._open else ', closed'}"
        return f"<{type(self).__name__} {redacted(f'{self._path!r} of {self._store!r}')}{state}>"

    def readable(self) -> bool:
        """Return True."""
        self._check_open()
        return True

    seekable = readable

    def tell(self) -> int:
        """Return the position."""
        if not self._open:
            self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to an offset from the start, from the position (1) or from the end (2); return the position.

        Only a seek from the end may send a request: the first one, whose response has the size.
        """
        if whence == 0 and type(offset) is int and 0 <= offset <= sys.maxsize and self._open:
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
        if offset > sys.maxsize:
            msg = f"new position {offset} is too large"
            raise OverflowError(msg)
        self._position = max(0, offset)
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Return `size` bytes, fewer only at the end of the object; all remaining if it is negative or None."""
        position = self._position
        start, stop, data = self._piece
        if not start <= position < stop:
            start, stop, data = self._piece = self._find(position)
            if not self._open:  # closed by another thread
                self._release()
        if type(size) is int and position < (end := position + size) <= stop:
            self._position = end
            piece = data[position - start : end - start]
            return piece if type(piece) is bytes else piece.tobytes()  # type: ignore[union-attr]
        data = b"".join(self._load(position, self._end(position, size)))
        self._position = position + len(data)
        return data

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill a writable buffer, short only at the end of the object; return the number of bytes written."""
        position = self._position
        try:
            target = memoryview(buffer)
        except ValueError:
            return self._readinto_opaque(buffer)
        if target.readonly:
            msg = f"readinto() needs a writable buffer, got a read-only {type(buffer).__name__}"
            raise TypeError(msg)
        if not target.nbytes:
            self._check_open()
            return 0
        target = target.cast("B")
        end = position + target.nbytes
        start, stop, data = self._piece
        if not start <= position < stop:
            start, stop, data = self._piece = self._find(position)
            if not self._open:  # closed by another thread
                self._release()
        if end <= stop:
            target[:] = data[position - start : end - start]
            self._position = end
            return end - position
        filled = 0
        for piece in self._load(position, end):
            target[filled : filled + piece.nbytes] = piece
            filled += piece.nbytes
        self._position = position + filled
        return filled

    def _readinto_opaque(self, buffer: Buffer) -> int:
        """Fill a buffer that io accepts but memoryview refuses, such as a NumPy array of datetime64."""
        io.BytesIO().readinto(buffer)  # writes nothing, but raises if the buffer is read-only
        length = io.BytesIO().write(buffer)
        return io.BytesIO(self.read(length)).readinto(buffer)

    # As in io.BytesIO: a read never returns fewer bytes than requested before the end, so these are the same.
    read1 = read
    readinto1 = readinto

    def readall(self) -> bytes:
        """Return all remaining bytes."""
        return self.read()

    def stats(self) -> ReaderStats:
        """Return what was requested, used and kept so far."""
        return self._strategy.stats()

    def close(self) -> None:
        """Close the reader and free its memory."""
        if self._open:
            self._open = False
            self._release()
        super().close()

    def _check_open(self) -> None:
        if not self._open:
            msg = f"I/O operation on closed file: {self!r}"
            raise ValueError(msg)

    def _release(self) -> None:
        self._piece = NO_PIECE
        self._strategy.clear()

    def _end(self, position: int, size: int | None) -> int:
        """Return the end of a read of `size` bytes, if the object is that long."""
        length = -1 if size is None else index(size)
        if length > sys.maxsize:
            msg = f"can't read {length} bytes at once"
            raise OverflowError(msg)
        return sys.maxsize if length < 0 else position + length

    def _read_at(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop`, or to the object's end, without moving."""
        first, last, data = self._piece
        if not first <= start < last:
            first, last, data = self._piece = self._find(start)
            if not self._open:  # closed by another thread
                self._release()
        if start < stop <= last:
            return bytes(data[start - first : stop - first])
        return b"".join(self._load(start, stop))

    def _load(self, start: int, stop: int) -> Iterator[memoryview]:
        """Return the bytes from `start` to `stop`, or to the object's end, in pieces."""
        self._check_open()
        if start >= stop:
            return iter(())
        loaded = self._strategy.cached(start, stop)
        if loaded is None:
            with raise_not_found(self._store, self._path, self._options.get("version")):
                loaded = interruptible(self._fetch, start, stop)
        buffers, self._piece = loaded
        if not self._open:
            self._release()
        return buffers.pieces(start, min(stop, buffers.stop))

    def _fetch(self, start: int, stop: int) -> tuple[BufferList, CachedPiece]:
        loaded = self._strategy.load_once(start, stop)
        if not self._open:  # closed meanwhile by another thread, or after an interrupt
            self._release()
        return loaded

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[()], tuple[int, Version | None, bool]]:
        self._check_open()  # copies and pickles have the position and the version, without cached bytes
        make = partial(type(self)._unread, self._store, self._path, **self._options)  # noqa: SLF001 - of this class
        return make, (), (self._position, self._strategy.version, self._strategy.ranges_ignored)

    def __setstate__(self, state: tuple[int, Version | None, bool]) -> None:
        self._position, version, self._strategy.ranges_ignored = state
        if version is not None:
            self._strategy.pin(version)

    @classmethod
    def _unread(cls, store: Any, path: str, **options: Any) -> Self:  # noqa: ANN401 - the constructor's arguments
        """Make a reader that sends no request before its first read."""
        return cls(store, path, **options)
