"""A reader for random access: fetch blocks on demand, and ahead if the access pattern suggests it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from obspec import Get

from obspec_utils._validation import check_choice, positive_int
from obspec_utils.readers._blocks import BlockStrategy
from obspec_utils.readers._file import StoreReader
from obspec_utils.readers._structured import StructuredStrategy
from obspec_utils.readers._version_options import VersionOptions

if TYPE_CHECKING:
    from typing import Self

    from obspec_utils._io.response import Response
    from obspec_utils._version import CheckVersion

__all__ = ["BlockStoreReader", "ParallelStoreReader", "ReadAhead", "check_read_ahead", "make_strategy"]

ReadAhead: TypeAlias = Literal["auto", "metadata", "pattern"] | None
_READ_AHEAD: tuple[ReadAhead, ...] = ("auto", "metadata", "pattern", None)


def check_read_ahead(read_ahead: object) -> ReadAhead:
    """Return a valid value of `read_ahead`; raise ValueError otherwise."""
    return check_choice("read_ahead", read_ahead, _READ_AHEAD)


def make_strategy(
    store: object, path: str, versions: VersionOptions, chunk_size: int, budget: int, read_ahead: ReadAhead
) -> BlockStrategy:
    """Return the strategy of a reader that keeps `budget` bytes."""
    if read_ahead in {"auto", "metadata"}:
        return StructuredStrategy(store, path, versions, chunk_size, budget, whole_structure=read_ahead == "metadata")
    return BlockStrategy(store, path, versions, chunk_size, budget, reads_ahead=read_ahead is not None)


class ParallelStoreReader(StoreReader):
    """Fetch blocks of an object on demand, keep the most recently used, and read ahead by access pattern.

    A miss fetches the missing blocks, a sixteenth of a chunk each. Sequential reads, scans in steps and reads that
    return to the same range fetch more, in steps that grow up to half of the memory, in up to 18 parallel requests.
    Read-ahead stops once the bytes fetched but not used would exceed the object's size or the bytes used, whichever is
    more. A read longer than the memory bypasses it.

    Of an HDF5 or NetCDF4 file, a miss on metadata also fetches the metadata that it leads to, and a miss on a chunk the
    chunks that follow it in the order of the reads, in up to 64 parallel requests. The file's structure only decides
    what is fetched ahead: metadata that is damaged or not understood is fetched by access pattern. Of a TIFF file, a
    miss on a tile also fetches those around it, so that a window of an image takes few round trips.

    Memory: at most `chunk_size * max_cached_chunks` bytes, and the read being served; of an HDF5 or TIFF file, half of
    it for what is fetched by structure. From a server that ignores ranges, the object is read from its start as it
    arrives; reading backwards requests it again.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`.
    path
        The object's path in the store. No request is sent before the first read, except by `read_ahead="metadata"`.
    chunk_size
        Bytes of the first request, and the unit of read-ahead.
    max_cached_chunks
        The maximum number of chunks kept in memory, in blocks of a sixteenth of a chunk.
    read_ahead
        What to fetch beside the missing bytes. "auto": by the structure of an HDF5 or TIFF file, and by access pattern
        for all else. "metadata": the same, and all of the file's structure, as far as half of the memory holds
        it, when the reader is made; for parsers that look at everything. "pattern": by access pattern alone. None:
        nothing.
    check_version
        What is compared to notice that the object changed, beside its size: "auto" (the ETag, or else the date),
        "etag", "date", or "size" for nothing else; for servers that send different ETags or dates for the same bytes.
    version
        The id of the version to read, such as a version id of S3, instead of the current one.

    Raises
    ------
    ValueError
        If a number is not positive, or `read_ahead` or `check_version` is none of these.
    FileNotFoundError
        If there is no such object, or no such version of it: by the first read, or if `read_ahead` is "metadata" by
        the constructor.
    NotSupportedError
        If the store ignores `version`: by the first read, or by the constructor.
    """

    class Store(Get, Protocol):
        """The methods this reader needs of a store."""

    def __init__(
        self,
        store: Store,
        path: str,
        chunk_size: int = 1024 * 1024,
        max_cached_chunks: int = 64,
        *,
        read_ahead: ReadAhead = "auto",
        check_version: CheckVersion = "auto",
        version: str | None = None,
    ) -> None:
        versions = VersionOptions(check_version, version)
        self._set_up(store, path, versions, chunk_size, max_cached_chunks, read_ahead)
        if read_ahead == "metadata":
            self._load(0, 1)

    def _set_up(
        self,
        store: object,
        path: str,
        versions: VersionOptions,
        chunk_size: int,
        max_cached_chunks: int,
        read_ahead: ReadAhead,
    ) -> BlockStrategy:
        chunk_size = positive_int("chunk_size", chunk_size)
        max_cached_chunks = positive_int("max_cached_chunks", max_cached_chunks)
        read_ahead = check_read_ahead(read_ahead)
        strategy = make_strategy(store, path, versions, chunk_size, chunk_size * max_cached_chunks, read_ahead)
        options = {"chunk_size": chunk_size, "max_cached_chunks": max_cached_chunks, "read_ahead": read_ahead}
        super().__init__(store, path, strategy, **options, **versions.arguments)
        return strategy

    @classmethod
    def _unread(cls, store: Any, path: str, **options: Any) -> Self:  # noqa: ANN401 - the constructor's arguments
        reader = cls.__new__(cls)
        versions = VersionOptions(options.pop("check_version"), options.pop("version"))
        reader._set_up(store, path, versions, **options)  # noqa: SLF001 - of this class
        return reader

    @classmethod
    def _from_response(
        cls,
        store: Any,  # noqa: ANN401 - the constructor's arguments
        versions: VersionOptions,
        first: Response,
        chunk_size: int,
        max_cached_chunks: int,
        read_ahead: ReadAhead,
    ) -> Self:
        """Make a reader of an object whose first response is there already."""
        reader = cls.__new__(cls)
        strategy = reader._set_up(store, first.path, versions, chunk_size, max_cached_chunks, read_ahead)  # noqa: SLF001 - of this class
        strategy.begin(first, requests=1)
        return reader


class BlockStoreReader(ParallelStoreReader):
    """Read as `ParallelStoreReader`, with the parameter names that VirtualiZarr uses.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`.
    path
        The object's path in the store. No request is sent before the first read, except by `read_ahead="metadata"`.
    block_size
        `chunk_size` of `ParallelStoreReader`, in bytes.
    max_cached_blocks
        `max_cached_chunks` of `ParallelStoreReader`.
    read_ahead, check_version, version
        As of `ParallelStoreReader`, which also raises the same errors.
    """

    def __init__(
        self,
        store: ParallelStoreReader.Store,
        path: str,
        block_size: int = 1024 * 1024,
        max_cached_blocks: int = 64,
        *,
        read_ahead: ReadAhead = "auto",
        check_version: CheckVersion = "auto",
        version: str | None = None,
    ) -> None:
        block_size = positive_int("block_size", block_size)
        max_cached_blocks = positive_int("max_cached_blocks", max_cached_blocks)
        options: dict[str, Any] = {"read_ahead": read_ahead, "check_version": check_version, "version": version}
        super().__init__(store, path, block_size, max_cached_blocks, **options)
        self._options = {"block_size": block_size, "max_cached_blocks": max_cached_blocks, **options}

    @classmethod
    def _unread(cls, store: Any, path: str, **options: Any) -> Self:  # noqa: ANN401 - the constructor's arguments
        given = dict(options)
        sizes = {"chunk_size": given.pop("block_size"), "max_cached_chunks": given.pop("max_cached_blocks")}
        reader = super()._unread(store, path, **sizes, **given)
        reader._options = options  # noqa: SLF001 - of this class
        return reader
