"""Choose the reader by the object's size."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from obspec_utils._io.backends import ASYNC
from obspec_utils._io.cache_threads import Threads
from obspec_utils._io.concurrency import MAX_HELPERS, limiter
from obspec_utils._io.gc_pause import current_scope
from obspec_utils._io.interruptible import with_progress
from obspec_utils._io.not_found import raise_not_found
from obspec_utils._io.request import request_first
from obspec_utils._progress import CountedFor, progress_setting
from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS, REQUEST_SIZE
from obspec_utils._validation import check_path, check_store, positive_int
from obspec_utils.readers._eager import EagerStoreReader
from obspec_utils.readers._parallel import ParallelStoreReader, check_read_ahead
from obspec_utils.readers._version_options import VersionOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from obspec import Get, ObjectMeta

    from obspec_utils._io.gc_pause import PauseScope
    from obspec_utils._progress import ProgressArgument, ProgressSetting
    from obspec_utils._version import CheckVersion
    from obspec_utils.readers._parallel import ReadAhead

    Reader: TypeAlias = EagerStoreReader | ParallelStoreReader

__all__ = ["open_reader", "open_reader_async"]

_opening = Threads(MAX_HELPERS)

_CHUNK_SIZE = 1024 * 1024
# Read-ahead needs this many chunks of memory: with less memory, chunks are smaller.
_MIN_CHUNKS = 16


def open_reader(
    store: Get,
    path: str,
    *,
    memory: int = 64 * 1024 * 1024,
    read_ahead: ReadAhead = "auto",
    check_version: CheckVersion = "auto",
    version: str | None = None,
    progress: ProgressArgument = None,
) -> EagerStoreReader | ParallelStoreReader:
    """Open an object with the reader that suits its size.

    The response to the first request, for at most 1 MiB, has the size. An object of up to `memory` bytes is loaded
    whole, in parallel parts; a larger one is read on demand, with read-ahead, and `memory` bytes of it are cached. Of a
    larger HDF5, NetCDF4 or TIFF file, the metadata, chunks and tiles that reads will need are fetched ahead, wherever
    they lie.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`.
    path
        The object's path in the store.
    memory
        The maximum number of bytes kept in memory, besides the read being served.
    read_ahead
        What to fetch of an object larger than `memory`, beside the missing bytes. "auto": by the structure of an HDF5
        or TIFF file, and by access pattern for all else. "metadata": the same, and all of the file's structure,
        as far as half of the memory holds it, when the reader is made; for parsers that look at everything. "pattern":
        by access pattern alone. None: nothing.
    check_version
        What is compared to notice that the object changed, beside its size: "auto" (the ETag, or else the date),
        "etag", "date", or "size" for nothing else; for servers that send different ETags or dates for the same bytes.
    version
        The id of the version to read, such as a version id of S3, instead of the current one.
    progress
        Show how many bytes of an object that is loaded whole have arrived: True for a bar by tqdm (extra `progress`) if
        standard error is a terminal or this is a notebook; an fsspec `Callback`; or a function of the number of bytes
        so far and in all. Called in the caller's thread, at most 10 times a second, and once all bytes have arrived. If
        it raises, so does the call. None (default) for nothing.

    Returns
    -------
    EagerStoreReader or ParallelStoreReader
        A binary file, open for reading, as `io.BufferedIOBase` describes it.

    Raises
    ------
    FileNotFoundError
        If there is no such object, or no such version of it.
    ObjectChangedError
        If a later part is of another version than the first: by ETag, else Last-Modified, else size alone.
    NotSupportedError
        If the store ignores `version`.
    ValueError
        If `memory` is not positive, or `read_ahead` or `check_version` is none of these.

    Examples
    --------
    ```python
    import xarray as xr
    from obspec_utils.readers import open_reader

    with open_reader(store, "a.nc") as file, xr.open_dataset(file) as dataset:
        mean = float(dataset["temperature"].mean())
    ```
    """
    memory = positive_int("memory", memory)
    check_store(store, path)
    check_path(path)
    versions, setting = VersionOptions(check_version, version), progress_setting(progress)
    with raise_not_found(store, path, version):
        return with_progress(setting, _open, store, path, versions, memory, check_read_ahead(read_ahead), setting)


async def open_reader_async(
    store: Get,
    path: str,
    *,
    memory: int = 64 * 1024 * 1024,
    read_ahead: ReadAhead = "auto",
    check_version: CheckVersion = "auto",
    version: str | None = None,
    progress: ProgressArgument = None,
) -> EagerStoreReader | ParallelStoreReader:
    """Open an object as `open_reader` does, without blocking the event loop.

    The reader is the same: its own methods block. Up to 128 objects are opened at a time, each by a thread.

    Parameters
    ----------
    store, path, memory, read_ahead, check_version, version
        See `open_reader`.
    progress
        See `open_reader`. Progress is shown by the calling task.

    Returns
    -------
    EagerStoreReader or ParallelStoreReader
        A binary file, open for reading, as `io.BufferedIOBase` describes it.
    """
    opening = partial(open_reader, memory=memory, read_ahead=read_ahead, check_version=check_version, version=version)
    setting = progress_setting(progress)
    shown = None if setting is None else setting.start(path)
    if shown is None:
        return await _opening.call(_counted, opening, store, path)
    scopes: list[PauseScope] = []
    counted: Any = CountedFor(shown)  # an argument of this library's own
    try:
        opened = _opening.call(_counted, partial(opening, progress=counted), store, path, scopes)
        return await ASYNC.show_progress(shown, opened)
    except BaseException:
        for scope in scopes:
            scope.interrupted = True  # the thread sends no further request
        raise


def _counted(
    opening: Callable[[Get, str], Reader], store: Get, path: str, scopes: list[PauseScope] | None = None
) -> Reader:
    """Open an object in a thread that counts among the helper threads of the process, if there may be one more."""
    scope = current_scope()
    if scopes is not None and scope is not None:
        scopes.append(scope)
    counts = limiter.acquire()
    try:
        return opening(store, path)
    finally:
        if counts:
            limiter.release()


def _open(
    store: Get,
    path: str,
    versions: VersionOptions,
    memory: int,
    read_ahead: ReadAhead,
    progress: ProgressSetting | None,
) -> EagerStoreReader | ParallelStoreReader:
    chunk_size = min(_CHUNK_SIZE, max(1, memory // _MIN_CHUNKS))
    first = request_first(store, path, chunk_size, versions.options)
    if cast("ObjectMeta", first.meta)["size"] <= memory:
        # One batch of parts, unless they would be too small or too large.
        part_size = min(max(chunk_size, -(-memory // MAX_CONCURRENT_REQUESTS)), REQUEST_SIZE)
        return EagerStoreReader._from_response(store, versions, first, part_size, progress)  # noqa: SLF001 - of this package
    return ParallelStoreReader._from_response(store, versions, first, chunk_size, memory // chunk_size, read_ahead)  # noqa: SLF001 - of this package
