"""Every reader and every wrapper as a way to read a whole object, for checks that hold for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obspec_utils.readers import (
    BlockStoreReader,
    BufferedStoreReader,
    EagerStoreReader,
    ParallelStoreReader,
    open_reader,
)
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ASYNC_WAYS", "READERS", "WAYS", "read_async"]

# Pieces so small that the objects of these tests take several requests, and the caches hold only some of them.
PIECE = 16

READERS: dict[str, Callable[[Any, str], Any]] = {
    "eager": lambda store, path: EagerStoreReader(store, path, PIECE, None, 2),
    "parallel": lambda store, path: ParallelStoreReader(store, path, PIECE, 2),
    "block": lambda store, path: BlockStoreReader(store, path, PIECE, 2),
    "buffered": lambda store, path: BufferedStoreReader(store, path, PIECE),
    "buffered in batches": lambda store, path: BufferedStoreReader(store, path, PIECE, max_concurrent_requests=2),
    "opened": lambda store, path: open_reader(store, path, memory=90),
}


def _read_slowly(make: Callable[[Any, str], Any]) -> Callable[[Any, str], bytes]:
    def read(store: Any, path: str) -> bytes:
        with make(store, path) as reader:
            return b"".join(iter(lambda: reader.read(5), b""))

    return read


def _read_at_once(make: Callable[[Any, str], Any]) -> Callable[[Any, str], bytes]:
    def read(store: Any, path: str) -> bytes:
        with make(store, path) as reader:
            return reader.read()

    return read


_WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "caching": CachingReadableStore,
    "splitting": lambda store: SplittingReadableStore(store, PIECE, 2),
    "caching over splitting": lambda store: CachingReadableStore(SplittingReadableStore(store, PIECE, 2)),
    "splitting over caching": lambda store: SplittingReadableStore(CachingReadableStore(store), PIECE, 2),
}


def _get(wrap: Callable[[Any], Any]) -> Callable[[Any, str], bytes]:
    return lambda store, path: bytes(wrap(store).get(path).buffer())


WAYS: dict[str, Callable[[Any, str], bytes]] = (
    {f"{name} reader, in small reads": _read_slowly(make) for name, make in READERS.items()}
    | {f"{name} reader, in one read": _read_at_once(make) for name, make in READERS.items()}
    | {f"{name} store": _get(wrap) for name, wrap in _WRAPPERS.items()}
)
ASYNC_WAYS = _WRAPPERS


async def read_async(way: str, store: Any, path: str) -> bytes:
    """Read a whole object through a wrapper's async methods."""
    result = await _WRAPPERS[way](store).get_async(path)
    return bytes(await result.buffer_async())
