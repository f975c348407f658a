"""Choose the reader by the object's size."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from obspec_utils._io.interruptible import interruptible
from obspec_utils._io.not_found import raise_not_found
from obspec_utils._io.request import request_first
from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS, REQUEST_SIZE
from obspec_utils._validation import check_path, check_store, positive_int
from obspec_utils.readers._eager import EagerStoreReader
from obspec_utils.readers._parallel import ParallelStoreReader

if TYPE_CHECKING:
    from obspec import Get, ObjectMeta

    from obspec_utils.readers._blocks import BlockStrategy

__all__ = ["open_reader"]

_CHUNK_SIZE = 1024 * 1024
# Read-ahead needs this many chunks of memory: with less memory, chunks are smaller.
_MIN_CHUNKS = 16


def open_reader(store: Get, path: str, *, memory: int = 64 * 1024 * 1024) -> EagerStoreReader | ParallelStoreReader:
    """Open an object with the reader that suits its size.

    The response to the first request, for at most 1 MiB, has the size. An object of up to `memory` bytes is loaded
    whole, in parallel parts; a larger one is read on demand, with read-ahead, and `memory` bytes of it are cached.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`.
    path
        The object's path in the store.
    memory
        The maximum number of bytes kept in memory, besides the read being served.

    Returns
    -------
    EagerStoreReader or ParallelStoreReader
        A binary file, open for reading, as `io.BufferedIOBase` describes it.

    Raises
    ------
    FileNotFoundError
        If there is no such object.
    ObjectChangedError
        If a later part is of another version than the first: by ETag, else Last-Modified, else size alone.
    ValueError
        If `memory` is not positive.
    """
    memory = positive_int("memory", memory)
    check_store(store, path)
    check_path(path)
    with raise_not_found(store, path):
        return interruptible(_open, store, path, memory)


def _open(store: Get, path: str, memory: int) -> EagerStoreReader | ParallelStoreReader:
    chunk_size = min(_CHUNK_SIZE, max(1, memory // _MIN_CHUNKS))
    first = request_first(store, path, chunk_size)
    if cast("ObjectMeta", first.meta)["size"] <= memory:
        # One batch of parts, unless they would be too small or too large.
        part_size = min(max(chunk_size, -(-memory // MAX_CONCURRENT_REQUESTS)), REQUEST_SIZE)
        return EagerStoreReader._from_response(store, path, first, part_size)  # noqa: SLF001 - of this package
    reader = ParallelStoreReader(store, path, chunk_size, memory // chunk_size)
    cast("BlockStrategy", reader._strategy).begin(first)  # noqa: SLF001 - of this package
    return reader
