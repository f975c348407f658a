"""Open a raster in a file object, for GDAL."""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import rasterio  # type: ignore[import-untyped]
from rasterio.abc import FileContainer  # type: ignore[import-untyped]
from rasterio.errors import RasterioError  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

__all__ = ["opened"]

_NAME = "raster"
_OPENED = re.compile(rf"'?/vsiriopener_\w+/{_NAME}'?")


@contextmanager
def opened(file: BinaryIO) -> Iterator[Any]:
    """Open a file with rasterio, by ranges: `rasterio.open(file)` would read all of it.

    An error of the file is raised as it is, and not as GDAL reports it.
    """
    container = _Container(file)
    try:
        with rasterio.open(_NAME, opener=container) as dataset:
            yield dataset
    except RasterioError as error:
        if container.errors:
            raise container.errors[0] from None
        # GDAL's name of the file is another one each time.
        error.args = (_OPENED.sub("the file", str(error)),)
        raise


class _Container(FileContainer):  # type: ignore[misc] # rasterio has no type hints
    """A folder with one file, without side files."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.errors: list[Exception] = []
        self._size = file.seek(0, io.SEEK_END)

    def open(self, path: str, mode: str = "rb", **_: object) -> _Handle:  # noqa: ARG002 - rasterio's interface
        """Open the file."""
        if path != _NAME:
            raise FileNotFoundError(path)
        return _Handle(self._file, self.errors)

    def isfile(self, path: str) -> bool:
        """Return whether it is the file."""
        return path == _NAME

    def isdir(self, path: str) -> bool:  # noqa: ARG002 - rasterio's interface
        """Return False."""
        return False

    def ls(self, path: str) -> list[str]:  # noqa: ARG002 - rasterio's interface
        """Return the name of the file."""
        return [_NAME]

    def mtime(self, path: str) -> int:  # noqa: ARG002 - rasterio's interface
        """Return 0."""
        return 0

    def size(self, path: str) -> int:  # noqa: ARG002 - rasterio's interface
        """Return the size of the file."""
        return self._size

    def rm(self, path: str) -> None:
        """Raise an error."""
        raise PermissionError(path)


class _Handle(io.RawIOBase):
    """The file at a position of its own: GDAL opens it more than once. After an error it returns no bytes.

    An exception would stay set while GDAL goes on, and hide GDAL's error.
    """

    def __init__(self, file: BinaryIO, errors: list[Exception]) -> None:
        self._file = file
        self._errors = errors
        self._position = 0

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move."""
        if whence == io.SEEK_SET:
            self._position = offset
        else:
            self._file.seek(self._position)
            self._position = self._file.seek(offset, whence)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes."""
        try:
            self._file.seek(self._position)
            data = self._file.read(size)
        except Exception as error:  # noqa: BLE001 - raised when GDAL has ended
            self._errors.append(error)
            return b""
        self._position += len(data)
        return data
