"""A file that notes which bytes are read."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from obspec_utils._explain._timeline import union

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from typing_extensions import Buffer

__all__ = ["RecordingFile"]


class RecordingFile(io.BufferedIOBase):
    """A file that forwards to another one, and notes the byte ranges that were read.

    It defines the methods that h5py calls itself, see `readers._file`.

    Parameters
    ----------
    file
        The file to read.
    after_read
        Called after each read, in the thread that reads.
    """

    def __init__(self, file: BinaryIO, after_read: Callable[[], None]) -> None:
        self._file = file
        self._after_read = after_read
        self._ranges: list[tuple[int, int]] = []

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The byte ranges that were read, in order and joined."""
        return [(int(start), int(stop)) for start, stop in union(self._ranges)]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of the file
        """Forward what a file of this library has beside the interface of `io`, such as `size`."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._file, name)

    @property
    def mode(self) -> str:
        """Return "rb"."""
        return "rb"

    def readable(self) -> bool:
        """Return True."""
        return self._file.readable()

    def seekable(self) -> bool:
        """Return True."""
        return self._file.seekable()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def read(self, size: int | None = -1, /) -> bytes:
        """Read bytes."""
        start = self._file.tell()
        data = self._file.read(-1 if size is None else size)
        self._note(start, len(data))
        return data

    def readall(self) -> bytes:
        """Read all remaining bytes."""
        return self.read()

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill a buffer."""
        start = self._file.tell()
        count: int = self._file.readinto(buffer)  # type: ignore[attr-defined] # of any file of this library
        self._note(start, count)
        return count

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line."""
        start = self._file.tell()
        line = self._file.readline(-1 if size is None else size)
        self._note(start, len(line))
        return line

    read1 = read
    readinto1 = readinto

    def flush(self) -> None:
        """Do nothing."""

    def truncate(self, size: int | None = None, /) -> int:
        """Raise UnsupportedOperation."""
        return super().truncate(size)

    def write(self, buffer: Buffer, /) -> int:
        """Raise UnsupportedOperation."""
        return super().write(buffer)

    def close(self) -> None:
        """Close both."""
        self._file.close()
        super().close()

    def _note(self, start: int, count: int) -> None:
        self._ranges.append((start, start + count))  # atomic: threads may share the file
        self._after_read()
