"""The readers and stacks that are compared."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from obspec_utils._ranges import REQUEST_SIZE
from obspec_utils._text import size
from obspec_utils.readers import BufferedStoreReader, EagerStoreReader, ParallelStoreReader, open_reader
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from obspec_utils._explain._workloads import Workload

__all__ = ["Candidate", "candidates"]

Wrap: TypeAlias = "Callable[[Any], Any]"

# A whole object is kept in memory up to here.
_MAX_WHOLE = 1024 * 1024 * 1024
_CACHED_OBJECTS = 256 * 1024 * 1024
# The default memory of open_reader.
_OPENED_WHOLE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Candidate:
    """A reader over a stack of wrappers.

    Attributes
    ----------
    name
        The name, for tables.
    code
        The Python expression that makes the reader of `path` in `store`.
    open
        The function that makes it.
    wrap
        The function that wraps the store.
    again
        The name of a second run over the same wrapped store, or "" for none.
    settings
        What avoids each kind of waste, with fields in braces, see `_advice`. Empty for what is there to compare with
        only.
    refused
        Why it is not run over an object, if it is not.
    """

    name: str
    code: str
    open: Callable[[Any, str], Any]
    wrap: Wrap = lambda store: store
    again: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    refused: str | None = None


def candidates(workload: Workload, object_size: int) -> Iterator[Candidate]:
    """Return what to compare for a workload and an object of a size, the simplest first."""
    if workload.name == "rasterio" and workload.extra:
        yield _RASTER
    yield _OPEN_READER if object_size > _OPENED_WHOLE else replace(_OPEN_READER, settings=_WHOLE)
    yield from (_PARALLEL, _BUFFERED)
    too_large = f"not run: it would keep {size(object_size)} in memory" if object_size > _MAX_WHOLE else None
    yield replace(_EAGER, refused=too_large)
    yield _CACHED_BLOCKS
    if REQUEST_SIZE < object_size <= _CACHED_OBJECTS:
        yield _CACHED_OBJECT
    yield _NO_READ_AHEAD


def _open_raster(store: Any, path: str) -> Any:  # noqa: ANN401 - any store
    return import_module("obspec_utils.rasterio").opener(store).open(path)


_RASTER = Candidate(
    "rasterio.opener",
    "rasterio.open(path, opener=opener(store))",
    _open_raster,
    settings={
        "duplicate bytes": "opener(store, memory={memory}) keeps what it has received",
        "requests in sequence": "Larger windows are fetched in parallel; overviews serve small scales",
        "idle connections": "Larger windows are fetched in parallel",
    },
)


_ON_DEMAND = "ParallelStoreReader(store, path) fetches what is read{parallel}"
_SMALLER = "ParallelStoreReader(store, path, chunk_size=65536) fetches less around each read"
_NOT_SEQUENTIAL = "open_reader(store, path) is for reads that are not sequential{opened}"
_IN_PARALLEL = "max_concurrent_requests=18 fetches in parallel what follows a sequential read"
_LONGER_READS = "Longer reads are fetched in parallel: read several MiB at once, or use EagerStoreReader(store, path)"
_ALL_AT_ONCE = "Where memory allows, EagerStoreReader(store, path) fetches the whole object in two round trips{eager}"

# Of readers that load an object whole.
_WHOLE = {
    "unused bytes": _ON_DEMAND,
    "idle connections": "EagerStoreReader(store, path, request_size=1048576) fetches more parts in parallel",
}

_OPEN_READER = Candidate(
    "open_reader",
    "open_reader(store, path)",
    open_reader,
    settings={
        "duplicate bytes": "open_reader(store, path, memory={memory}) keeps what it has received",
        "unused bytes": _SMALLER,
        "requests in sequence": _ALL_AT_ONCE,
        "idle connections": _LONGER_READS,
    },
)
_PARALLEL = Candidate(
    "ParallelStoreReader",
    "ParallelStoreReader(store, path)",
    ParallelStoreReader,
    settings={
        "duplicate bytes": "max_cached_chunks={chunks} keeps what it has received",
        "unused bytes": _SMALLER,
        "requests in sequence": _ALL_AT_ONCE,
        "idle connections": _LONGER_READS,
    },
)
_BUFFERED = Candidate(
    "BufferedStoreReader",
    "BufferedStoreReader(store, path)",
    BufferedStoreReader,
    settings={
        "duplicate bytes": _NOT_SEQUENTIAL,
        "unused bytes": _NOT_SEQUENTIAL,
        "requests in sequence": _IN_PARALLEL,
        "idle connections": _IN_PARALLEL,
    },
)
_EAGER = Candidate(
    "EagerStoreReader",
    "EagerStoreReader(store, path)",
    EagerStoreReader,
    settings=_WHOLE,
)
_CACHED_BLOCKS = Candidate(
    "open_reader, cached",
    'open_reader(CachingReadableStore(store, block_size="auto"), path)',
    open_reader,
    wrap=partial(CachingReadableStore, block_size="auto"),
    again="open_reader, cached, again",
)
_CACHED_OBJECT = Candidate(
    "open_reader, cached whole",
    "open_reader(CachingReadableStore(SplittingReadableStore(store)), path)",
    open_reader,
    wrap=lambda store: CachingReadableStore(SplittingReadableStore(store)),
)
_NO_READ_AHEAD = Candidate(
    "ParallelStoreReader, no ahead",
    "ParallelStoreReader(store, path, read_ahead=None)",
    partial(ParallelStoreReader, read_ahead=None),
)
