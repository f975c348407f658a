"""Read rasters with rasterio through any obspec store, wrapped ones too."""

from __future__ import annotations

import logging
import threading
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NoReturn, cast

try:
    from rasterio.abc import MultiByteRangeResourceContainer  # type: ignore[import-untyped]
except ImportError as error:
    _message = "opener requires rasterio 1.4 or newer: install it with `pip install 'obspec-utils[rasterio]'`"
    raise ImportError(_message) from error

from obspec_utils._io.buffers import BufferList, concat
from obspec_utils._io.fetch import fetch
from obspec_utils._io.interruptible import interruptible
from obspec_utils._io.response import has_method
from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS, REQUEST_SIZE, ByteRange, coalesce, touching
from obspec_utils._redact import redacted
from obspec_utils._validation import check_store, positive_int
from obspec_utils.exceptions import IncompleteReadError
from obspec_utils.readers import ParallelStoreReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obspec import List
    from typing_extensions import Buffer

    from obspec_utils._version import Version

__all__ = ["opener"]

# As GDAL's documentation advises for its own reader (GDAL_INGESTED_BYTES_AT_OPEN): the directories of most COGs.
_FIRST_REQUEST = 32 * 1024

_log = logging.getLogger(__name__)


def opener(store: ParallelStoreReader.Store, *, memory: int = 64 * 1024 * 1024) -> MultiByteRangeResourceContainer:
    """Return an opener for `rasterio.open(path, opener=...)`, which reads from a store.

    Opening a file sends one request of 32 KiB, and further ones if its directories are longer; then a window one batch
    of requests for all of its tiles, of one version. Where the store can list, side files such as `a.tif.ovr` are found
    by one request more, which `rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR")` saves; where it can't, there are
    none.

    rasterio reports few errors of openers by their text, so they are logged, too. A dataset has to be closed by the
    thread that opened it.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`. Paths are paths in the store.
    memory
        The maximum number of bytes of one open file that are kept in memory, besides the window being read; 64 MiB by
        default. GDAL keeps decoded tiles itself.

    Raises
    ------
    TypeError, ValueError
        If `store` is not a store, or `memory` is not positive.

    Examples
    --------
    ```python
    with rasterio.open("a.tif", opener=opener(store)) as image:
        window = image.read(1, window=((0, 512), (0, 512)))
    ```
    """
    check_store(store)
    return _Container(store, positive_int("memory", memory))


class _RasterFile(ParallelStoreReader):
    """A file that can read many byte ranges at once."""

    def get_byte_ranges(self, offsets: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        """Return the bytes of ranges, fetched by one batch of requests."""
        self._check_open()
        if self._strategy.version is None:
            self._read_at(0, 1)
        spans = [ByteRange(start, start + size) for start, size in zip(offsets, sizes, strict=True)]
        return interruptible(self._fetch_ranges, spans, self._strategy.version)

    def _fetch_ranges(self, spans: Sequence[ByteRange], version: Version) -> list[bytes]:
        for span in spans:
            if span.stop > version.size:
                msg = (
                    f"{redacted(self._path)!r} ends at {version.size}, but bytes {span.start} to {span.stop} are needed"
                )
                raise IncompleteReadError(msg)
        known = [self._cached_start(span) for span in spans]
        missing = [ByteRange(parts.stop, span.stop) for parts, span in zip(known, spans, strict=True)]
        requests = coalesce([span for span in missing if span.length], 0, REQUEST_SIZE)
        bodies = fetch(self._store, self._path, requests, version, MAX_CONCURRENT_REQUESTS)
        fetched = [BufferList([body], request.start) for request, body in zip(requests, bodies, strict=True)]
        return [
            b"".join([*parts.pieces(span.start, parts.stop), *_pieces(rest, requests, fetched)])
            for span, parts, rest in zip(spans, known, missing, strict=True)
        ]

    def _cached_start(self, span: ByteRange) -> BufferList:
        """Return what is in memory of a range, from its start on."""
        pieces: list[Buffer] = []
        position = span.start
        while position < span.stop and (found := self._strategy.find(position))[1]:
            first, stop, data = found
            stop = min(stop, span.stop)
            pieces.append(memoryview(data)[position - first : stop - first])
            position = stop
        return BufferList(pieces, span.start)


def _pieces(span: ByteRange, requests: Sequence[ByteRange], fetched: Sequence[BufferList]) -> list[memoryview]:
    """Return the bytes of a range out of the bodies of requests."""
    if not span.length:
        return []
    return list(concat([fetched[number] for number in touching(requests, span)]).pieces(*span))


class _Opened(threading.local):
    """The dataset that a thread opened last, and the names that GDAL may find beside it, once it has asked for them."""

    path = PurePosixPath()
    size = 0
    sizes: dict[str, int] | None = None


class _Container(MultiByteRangeResourceContainer):  # type: ignore[misc] # rasterio has no type hints
    """The files of a store, as rasterio's plugin for GDAL asks for them."""

    def __init__(self, store: ParallelStoreReader.Store, memory: int) -> None:
        self._store = store
        self._memory = memory
        self._opened = _Opened()

    def open(self, path: str, mode: str = "rb", **_: object) -> _RasterFile:
        """Open a file; without a request if it is a side file that is known to be absent."""
        if not set(mode) <= set("rb"):
            self._refuse(path)
        found, opened = PurePosixPath(path), self._opened
        if self._is_side_file(found) and opened.sizes is not None and found.name not in opened.sizes:
            raise FileNotFoundError(path)
        try:
            file = _RasterFile(self._store, path, _FIRST_REQUEST, max(1, self._memory // _FIRST_REQUEST))
            size = file.size
        except Exception as error:
            if not self._is_side_file(found):
                _log.error("Could not open %r: %s", redacted(path), redacted(str(error)))
            raise
        if not self._is_side_file(found):
            opened.path, opened.size, opened.sizes = found, size, None
        return file

    def _is_side_file(self, path: PurePosixPath) -> bool:
        """Return whether GDAL looks for a path because of the dataset that was opened last."""
        opened = self._opened.path
        same_name = path.parent == opened.parent and path.name.startswith(f"{opened.stem}.")
        return bool(opened.name) and same_name and path.suffix != opened.suffix

    def ls(self, path: str) -> list[str]:
        """Return the names of the dataset that was opened last and of its side files."""
        opened = self._opened
        if PurePosixPath(path) != opened.path.parent:
            return []
        opened.sizes = {opened.path.name: opened.size, **self._side_files(opened.path)}
        return list(opened.sizes)

    def _side_files(self, path: PurePosixPath) -> dict[str, int]:
        """Return the sizes of the files whose names begin as that of a dataset, by one page of a list."""
        if not has_method(self._store, "list"):
            return {}
        folder = "" if str(path.parent) in {".", "/"} else str(path.parent).strip("/")
        start = f"{folder}/{path.stem}".strip("/")  # all names that begin so are listed after it
        try:
            page = next(iter(cast("List", self._store).list(folder or None, offset=start)), ())
        except Exception as error:  # noqa: BLE001 - such as a missing permission to list: the dataset can be read
            _log.debug("Could not list the side files of %r: %s", redacted(str(path)), redacted(str(error)))
            return {}
        names = {str(meta["path"])[len(folder) :].lstrip("/"): meta["size"] for meta in page}
        return {name: size for name, size in names.items() if name.startswith(path.stem) and "/" not in name}

    def isfile(self, path: str) -> bool:
        """Return whether a file is the dataset that was opened last, or one of its side files."""
        return self._size_of(path) is not None

    def isdir(self, path: str) -> bool:  # noqa: ARG002 - rasterio's interface
        """Return False: nothing asks for folders by name."""
        return False

    def size(self, path: str) -> int:
        """Return the size of the dataset that was opened last, or of a side file, in bytes.

        rasterio asks for the size of a file that does not exist when it registers an opener.
        """
        size = self._size_of(path)
        if size is None:
            raise FileNotFoundError(path)
        return size

    def _size_of(self, path: str) -> int | None:
        found, opened = PurePosixPath(path), self._opened
        if found.parent != opened.path.parent:
            return None
        return (opened.sizes or {opened.path.name: opened.size}).get(found.name)

    def mtime(self, path: str) -> int:  # noqa: ARG002 - rasterio's interface
        """Return 0: the time is not known without a request."""
        return 0

    def rm(self, path: str) -> None:
        """Raise an error: files are only read."""
        self._refuse(path)

    def _refuse(self, path: str) -> NoReturn:
        msg = f"{redacted(path)!r} can't be written or removed: obspec_utils.rasterio.opener is read-only"
        _log.error(msg)
        raise PermissionError(msg)
