"""What every reader is: a read-only binary file over one version of one object."""

from __future__ import annotations

import io
import sys
from operator import index
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar, cast

from obspec_utils._buffers import Parts
from obspec_utils._fetch import fetch
from obspec_utils._pickling import pickled
from obspec_utils._plan import Span, split
from obspec_utils._requests import Version, begin
from obspec_utils.readers._lines import LineReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from obspec import ObjectMeta
    from typing_extensions import Buffer

__all__ = ["MAX_CONCURRENT_REQUESTS", "REQUEST_SIZE", "StoreReader"]

R = TypeVar("R", bound="StoreReader")

# Parts of a read that is longer than one request, as the eager reader and the splitting store have them by default.
REQUEST_SIZE = 12 * 1024 * 1024
MAX_CONCURRENT_REQUESTS = 18

_NOTHING = (0, 0, memoryview(b""))


class StoreReader(LineReader):
    """The file over an object: position, size, closing and pickling.

    How bytes are fetched and what is kept of them is a subclass's: `_fetch` and `_keep`.

    A read inside the window, the piece the last read ended in, takes no lock and does nothing but slice. The window is
    one tuple, replaced at once, so that threads that share a reader never see half of one and half of another.
    """

    # `closed` of io.IOBase takes longer to ask than a small read takes. False until a reader is made: what its
    # constructor refused is closed, too, when it goes.
    _open = False
    # Set once for each reader, by whichever thread is first to know it.
    _version: Version | None = None

    def __init__(self, store: object, path: str) -> None:
        super().__init__()
        self._store = store
        self._path = path
        self._position = 0
        self._window = _NOTHING
        self._open = True

    # What subclasses answer.

    def _first_length(self, start: int, stop: int) -> int:
        """Return how many bytes the first request asks for, when a read from `start` to `stop` is to be served."""
        raise NotImplementedError

    def _keep(self, parts: Parts) -> None:
        """Keep the first piece of the object, or as much of it as the budget allows."""
        raise NotImplementedError

    def _fetch(self, start: int, stop: int) -> Parts:
        """Return parts that hold at least the bytes from `start` to `stop`, which lie within the object.

        Sets the window to a piece that is kept.
        """
        raise NotImplementedError

    def _release(self) -> None:
        """Let go of everything that is kept."""
        self._window = _NOTHING

    def _arguments(self) -> dict[str, object]:
        """Return the options the reader was made with, by the names its constructor has for them."""
        raise NotImplementedError

    # What they build on.

    def _request(self, spans: Sequence[Span]) -> dict[Span, memoryview]:
        """Fetch spans of this version side by side, long ones in several parts; return each part by its span."""
        parts = [part for span in spans for part in split(span, REQUEST_SIZE, MAX_CONCURRENT_REQUESTS)]
        buffers = fetch(self._store, self._path, parts, self._known(), MAX_CONCURRENT_REQUESTS)
        return {part: memoryview(buffer) for part, buffer in zip(parts, buffers, strict=True)}

    def _known(self) -> Version:
        if self._version is None:
            self._begin(0, 0)
        return cast("Version", self._version)

    def _begin(self, start: int, stop: int) -> Parts:
        """Ask for the first piece, which tells size and version."""
        answer = begin(self._store, self._path, self._first_length(start, stop))
        found = Version.of(cast("ObjectMeta", answer.meta))
        parts = Parts([answer.body()])
        # One operation: of two threads that begin at the same time, the second must have met the version of the first.
        first: Version = vars(self).setdefault("_version", found)
        first.check(self._path, found)
        self._keep(parts)
        if not self._open:  # closed meanwhile by another thread: nothing may stay
            self._release()
        return parts

    def _load(self, start: int, stop: int) -> Parts | None:
        """Return parts that hold the bytes from `start` to `stop` or to the end; None if there are none."""
        try:
            return self._loaded(start, stop)
        finally:
            if not self._open:  # closed meanwhile by another thread: nothing may stay
                self._release()

    def _loaded(self, start: int, stop: int) -> Parts | None:
        first = self._begin(start, stop) if self._version is None else None
        stop = min(stop, self.size)
        if start >= stop:
            return None
        if first is None or start >= first.stop:
            return self._fetch(start, stop)
        if stop <= first.stop:
            return first
        rest = self._fetch(first.stop, stop)
        return Parts([*first.pieces(start, first.stop), *rest.pieces(first.stop, stop)], start=start)

    def _at(self, position: int, end: int) -> bytes:
        """Return the bytes from `position` to `end`, as far as there are any, and move nothing."""
        start, stop, view = self._window
        if start <= position and end <= stop:
            return bytes(view[position - start : end - start])
        self._check_open()
        parts = self._load(position, end)
        return b"" if parts is None else b"".join(parts.pieces(position, min(end, self.size)))

    def _check_open(self) -> None:
        if not self._open:
            msg = f"I/O operation on closed file: the reader of {self._path!r} was closed"
            raise ValueError(msg)

    @property
    def path(self) -> str:
        """The path of the object in its store."""
        return self._path

    @property
    def size(self) -> int:
        """The size of the object in bytes. The first piece is fetched to learn it, if nothing was read yet."""
        if self._version is None:
            self._check_open()
        return self._known().size

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

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to an offset from the start, from the position (1) or from the end (2); return the position.

        Nothing is fetched but, from the end, the first piece if the size is not known yet.
        """
        if whence == io.SEEK_SET and self._open and type(offset) is int and 0 <= offset <= sys.maxsize:
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
        """Return `size` bytes, fewer only at the end of the object; all that are left if it is negative or None."""
        position = self._position
        start, stop, view = self._window
        if type(size) is int and start <= position and size > 0 and position + size <= stop:
            end = position + size
            data = bytes(view[position - start : end - start])
            self._position = end
            return data
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
        target = memoryview(buffer)
        if not target.nbytes and not target.readonly:
            self._check_open()
            return 0
        target = target.cast("B")
        if target.readonly:
            msg = f"readinto() needs a writable buffer, got a read-only {type(buffer).__name__}"
            raise TypeError(msg)
        end = position + target.nbytes
        start, stop, view = self._window
        if start <= position < end <= stop:
            target[:] = view[position - start : end - start]
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

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._path!r} of {self._store!r}>"

    # Copies and pickles: everything but what is kept of the object's bytes.

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Callable[..., StoreReader], tuple[object, ...]]:
        self._check_open()
        store = pickled(self._store, index(protocol))
        return _restore, (type(self), store, self._path, self._arguments(), (self._position, self._version))

    @classmethod
    def _restored(cls, store: Any, path: str, arguments: dict[str, Any]) -> Self:  # noqa: ANN401 - as it was given
        """Make a reader without fetching anything."""
        return cls(store, path, **arguments)


def _restore(
    kind: type[R], store: object, path: str, arguments: dict[str, object], state: tuple[int, Version | None]
) -> R:
    reader = kind._restored(store, path, arguments)  # noqa: SLF001 - of the same family
    reader._position, version = state  # noqa: SLF001
    if version is not None:
        reader._version = version  # noqa: SLF001
    return reader
