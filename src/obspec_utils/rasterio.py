"""Read rasters with rasterio through any obspec store, wrapped ones too."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from pathlib import PurePosixPath
from posixpath import normpath
from typing import TYPE_CHECKING, NoReturn, cast

try:
    from rasterio.abc import FileContainer  # type: ignore[import-untyped]
except ImportError as error:
    _message = "opener requires rasterio 1.4 or newer: install it with `pip install 'obspec-utils[rasterio]'`"
    raise ImportError(_message) from error

from obspec_utils._io.listing import checked_listing
from obspec_utils._io.response import has_method, unwrap
from obspec_utils._redact import redacted
from obspec_utils._validation import check_choice, check_store, positive_int
from obspec_utils._version import CHECK_VERSION
from obspec_utils.readers import ParallelStoreReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obspec import List, ObjectMeta

    from obspec_utils._version import CheckVersion

__all__ = ["opener"]

# As GDAL's documentation advises for its own reader (GDAL_INGESTED_BYTES_AT_OPEN): the directories of most COGs.
_FIRST_REQUEST = 32 * 1024

# Files that GDAL opens to see whether they are there.
_SIDE_FILES = frozenset({".aux", ".xml", ".ovr", ".msk", ".tab"})
# Stores that list paths in order and can start at any path.
_SORTED = frozenset({"S3Store", "GCSStore", "AzureStore"})

_log = logging.getLogger(__name__)


def opener(
    store: ParallelStoreReader.Store, *, memory: int = 64 * 1024 * 1024, check_version: CheckVersion = "auto"
) -> FileContainer:
    """Return an opener for `rasterio.open(path, opener=...)`, which reads from a store.

    Opening a file sends one request of 32 KiB, and further ones if its directories are longer. A window of up to 4 x 4
    tiles takes one or two batches of requests, by the structure of the file; all bytes are of one version. Side files
    such as `a.tif.ovr` are found by one list of the names that begin as the file's, where the store can list; where it
    can't, there are none.
    `rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR")` saves that request.

    rasterio reports few errors of openers by their text, so they are logged, too. Read and close a dataset in the
    thread that opened it.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`. Paths are paths in the store.
    memory
        The maximum number of bytes of one open file that are kept in memory, besides the window being read; 64 MiB by
        default. GDAL keeps decoded tiles itself.
    check_version
        What is compared to notice that a file changed, as of `open_reader`.

    Raises
    ------
    TypeError, ValueError
        If `store` is not a store, `memory` is not positive, or `check_version` is no such value.

    Examples
    --------
    ```python
    import rasterio
    from obspec_utils.rasterio import opener

    with rasterio.open("a.tif", opener=opener(store)) as image:
        window = image.read(1, window=((0, 512), (0, 512)))
    ```
    """
    check_store(store)
    check_choice("check_version", check_version, CHECK_VERSION)
    return _Container(store, positive_int("memory", memory), check_version)


# The open files. rasterio keeps them by thread, and would free them with it while GDAL still reads from them.
_open_files: set[_RasterFile] = set()


class _RasterFile(ParallelStoreReader):
    """A file that GDAL reads, which no exception may leave."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read bytes; after an error, which is logged, none: GDAL takes that for an error.

        An exception would stay set while GDAL goes on. Then rasterio misses GDAL's error, and returns an array with
        pixels that were never read. So rasterio's interface for several ranges, which has only exceptions, is not used.
        """
        try:
            with _logged("read", self._path):
                return super().read(size)
        except BaseException:  # noqa: BLE001 - Ctrl-C, too
            return b""

    def close(self) -> None:
        """Close the file."""
        _open_files.discard(self)
        super().close()


class _Opened(threading.local):
    """The dataset that a thread opened last, and the sizes of its side files, once GDAL has looked for one."""

    path = PurePosixPath()
    size = 0
    sizes: dict[str, int] | None = None


class _Container(FileContainer):  # type: ignore[misc] # rasterio has no type hints
    """The files of a store, as rasterio's plugin for GDAL asks for them."""

    def __init__(self, store: ParallelStoreReader.Store, memory: int, check_version: CheckVersion) -> None:
        self._arguments = store, memory, check_version
        self._opened = _Opened()

    def __reduce__(self) -> tuple[type[_Container], tuple[object, ...]]:
        return type(self), self._arguments

    def open(self, path: str, mode: str = "rb", **_: object) -> _RasterFile:
        """Open a file; without a request if it is a side file that is known to be absent."""
        if not set(mode) <= set("rbt"):
            self._refuse(path)
        found = _normal(path)
        is_side_file = found.suffix.lower() in _SIDE_FILES and self._is_beside(found)
        if is_side_file and found.name not in self._sizes():
            raise FileNotFoundError(path)
        store, memory, check_version = self._arguments
        chunks = max(1, memory // _FIRST_REQUEST)
        with _logged("open", path):
            file = _RasterFile(store, str(found), _FIRST_REQUEST, chunks, check_version=check_version)
            size = file.size
        _open_files.add(file)
        if not is_side_file:
            self._opened.path, self._opened.size, self._opened.sizes = found, size, None
        return file

    def _is_beside(self, path: PurePosixPath) -> bool:
        """Return whether a path is in the folder of the dataset that was opened last, and begins as it."""
        opened = self._opened.path
        return bool(opened.name) and path.parent == opened.parent and path.name.startswith(opened.stem)

    def _sizes(self) -> dict[str, int]:
        """Return the sizes of the dataset that was opened last and of its side files, which are listed once."""
        opened = self._opened
        if opened.sizes is None:
            opened.sizes = {**_list_beside(self._arguments[0], opened.path), opened.path.name: opened.size}
        return opened.sizes

    def ls(self, path: str) -> list[str]:
        """Return the names of the dataset that was opened last and of its side files."""
        return list(self._sizes()) if _normal(path) == self._opened.path.parent else []

    def isfile(self, path: str) -> bool:
        """Return whether a file is the dataset that was opened last, or one of its side files."""
        found = _normal(path)
        return found == self._opened.path or (self._is_beside(found) and found.name in self._sizes())

    def isdir(self, path: str) -> bool:  # noqa: ARG002 - rasterio's interface
        """Return False: nothing asks for folders by name."""
        return False

    def size(self, path: str) -> int:
        """Return the size of the dataset that was opened last, or of a side file, in bytes.

        rasterio asks for the size of a file that does not exist when it registers an opener.
        """
        found = _normal(path)
        if found == self._opened.path:
            return self._opened.size
        if not self.isfile(path):
            raise FileNotFoundError(path)
        return self._sizes()[found.name]

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


def _normal(path: str) -> PurePosixPath:
    """Return a path in a store, without "..", which virtual datasets have in the paths of their sources."""
    return PurePosixPath(normpath(path).lstrip("/"))


def _list_beside(store: object, path: PurePosixPath) -> dict[str, int]:
    """Return the sizes of the files in the folder of a dataset whose names begin as the dataset's."""
    folder = "" if str(path.parent) == "." else str(path.parent)
    begin = f"{folder}/{path.stem}".lstrip("/")
    try:
        if type(unwrap(store)).__name__ in _SORTED:
            found = _list_sorted(cast("List", store), folder, begin)
        elif has_method(store, "list_with_delimiter"):
            with checked_listing(store) as lister:
                found = list(lister.list_with_delimiter(folder or None)["objects"])
        else:
            found = []
    except Exception as error:  # noqa: BLE001 - such as a missing permission to list: the dataset can be read
        _log.warning("Could not list the side files of %r: %s", redacted(str(path)), redacted(str(error)))
        return {}
    sizes = {str(meta["path"])[len(folder) :].lstrip("/"): meta["size"] for meta in found}
    return {name: size for name, size in sizes.items() if name.startswith(path.stem) and "/" not in name}


def _list_sorted(store: List, folder: str, begin: str) -> list[ObjectMeta]:
    """List the paths that begin with `begin`; those with a dot, which GDAL asks for, come first."""
    found: list[ObjectMeta] = []
    for page in store.list(folder or None, offset=f"{begin}-\U0010ffff"):
        found += [meta for meta in page if str(meta["path"]).startswith(begin)]
        if not str(page[-1]["path"]).startswith(begin):
            break
    return found


@contextmanager
def _logged(action: str, path: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        _log.error("Could not %s %r: %s", action, redacted(path), redacted(str(error)))
        raise
