"""The checkout, and release 0.9.0: they share names, so what is measured is written once."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from benchmarks.adapters.obstore import connect
from benchmarks.tasks import NotThereError
from obspec_utils import readers
from obspec_utils.readers import BlockStoreReader, BufferedStoreReader, EagerStoreReader, ParallelStoreReader
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

if TYPE_CHECKING:
    from obstore.store import S3Store

__all__ = ["LOAD", "OPEN", "STORE", "VIRTUAL", "connect"]


def _open_reader(store: Any, path: str, **options: Any) -> Any:
    if not hasattr(readers, "open_reader"):
        msg = "open_reader is not there yet"
        raise NotThereError(msg)
    return readers.open_reader(store, path, **options)


def _buffered(store: S3Store, path: str, **options: Any) -> BufferedStoreReader:
    for name in options:
        if name not in inspect.signature(BufferedStoreReader).parameters:
            msg = f"BufferedStoreReader({name}=…) is not there yet"
            raise NotThereError(msg)
    return BufferedStoreReader(store, path, **options)


OPEN = {
    "eager": EagerStoreReader,
    "parallel": ParallelStoreReader,
    "block": BlockStoreReader,
    "buffered": _buffered,
    "open_reader": _open_reader,
}


def _eager(store: S3Store, path: str, **options: Any) -> list[Any]:
    # The reader alone: reading it out would copy.
    return _Pieces(EagerStoreReader(store, path, **options))


class _Pieces(list[Any]):
    """What an eager reader holds, read piece by piece when somebody wants to see it."""

    def __init__(self, reader: Any) -> None:
        super().__init__()
        self._reader = reader

    def __iter__(self) -> Any:
        while piece := self._reader.read(1 << 20):
            yield piece


def _splitting_parts(store: S3Store, path: str, **options: Any) -> list[Any]:
    result = SplittingReadableStore(store, **options).get(path)
    if not hasattr(result, "parts"):
        msg = "results have no parts"
        raise NotThereError(msg)
    return list(result.parts().pieces(0, result.meta["size"]))


def _splitting_iterated(store: S3Store, path: str, **options: Any) -> list[Any]:
    return list(SplittingReadableStore(store, **options).get(path))


def _splitting_async(store: S3Store, path: str, **options: Any) -> list[Any]:
    async def load() -> list[Any]:
        result = await SplittingReadableStore(store, **options).get_async(path)
        return [chunk async for chunk in result]

    kept: list[Any] = []

    async def main() -> None:  # returns nothing: asyncio.run() would make a repr of the buffers
        kept.extend(await load())

    asyncio.run(main())
    return kept


def _splitting_buffer(store: S3Store, path: str, **options: Any) -> list[Any]:
    return [SplittingReadableStore(store, **options).get(path).buffer()]


def _cached(store: S3Store, path: str) -> list[Any]:
    return [_stack(store).get(path).buffer()]


LOAD = {
    "eager": _eager,
    "splitting parts": _splitting_parts,
    "splitting iterated": _splitting_iterated,
    "splitting async": _splitting_async,
    "splitting buffer": _splitting_buffer,
    "cached": _cached,
}


def _stack(store: S3Store, max_size: int = 512 << 20) -> CachingReadableStore:
    return CachingReadableStore(SplittingReadableStore(store), max_size=max_size)


STORE = {"cached": lambda store, _path: _stack(store)}


def _virtual(store: S3Store, _path: str, reader: str, *, stacked: bool = False) -> tuple[Any, Any]:
    opened: Any = OPEN[reader]
    if reader == "open_reader" and not hasattr(readers, "open_reader"):
        msg = "open_reader is not there yet"
        raise NotThereError(msg)
    return (_stack(store) if stacked else store), opened


VIRTUAL = {"virtual": _virtual}
