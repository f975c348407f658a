"""Readers and wrappers of the checkout and of release 0.9.0, whose names are the same."""

from __future__ import annotations

import asyncio
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from obstore.store import HTTPStore

from benchmarks.adapters.obstore import connect
from obspec_utils import readers
from obspec_utils.readers import BlockStoreReader, BufferedStoreReader, EagerStoreReader, ParallelStoreReader
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from obstore.store import S3Store

__all__ = ["LOAD", "OPEN", "STORE", "VIRTUAL", "connect"]

OPEN = {
    "eager": EagerStoreReader,
    "parallel": ParallelStoreReader,
    "block": BlockStoreReader,
    "buffered": BufferedStoreReader,
    "open_reader": getattr(readers, "open_reader", None),  # not in 0.9.0
}


@cache
def _http(url: str, *, by_aiohttp: bool) -> Any:
    if by_aiohttp:
        from obspec_utils.stores import AiohttpStore  # noqa: PLC0415 - in 0.9.0 without aiohttp

        return AiohttpStore(url)
    return HTTPStore(url, client_options={"allow_http": True})


def _over_http(store: S3Store, *, by_aiohttp: bool) -> Any:
    """Return another store of the same bucket."""
    return _http(f"{store.config['endpoint']}/{store.config['bucket']}", by_aiohttp=by_aiohttp)


_STORES = {
    "over HTTPStore": partial(_over_http, by_aiohttp=False),
    "over AiohttpStore": partial(_over_http, by_aiohttp=True),
}


def _parallel_over(over: str, store: S3Store, path: str, **options: Any) -> Any:
    return ParallelStoreReader(_STORES[over](store), path, **options)


OPEN |= {f"parallel {over}": partial(_parallel_over, over) for over in _STORES}


def _eager(store: S3Store, path: str, **options: Any) -> Iterable[Any]:
    # Read piece by piece, once the clock has stopped: reading all of it would copy it.
    reader = EagerStoreReader(store, path, **options)
    return iter(partial(reader.read, 1 << 20), b"")


def _splitting_iterated(store: S3Store, path: str, **options: Any) -> list[Any]:
    return list(SplittingReadableStore(store, **options).get(path))


def _splitting_async(store: S3Store, path: str, **options: Any) -> list[Any]:
    kept: list[Any] = []

    async def load() -> None:  # returns nothing: asyncio.run() would make a repr of the buffers
        result = await SplittingReadableStore(store, **options).get_async(path)
        kept.extend([chunk async for chunk in result])

    asyncio.run(load())
    return kept


def _splitting_buffer(store: S3Store, path: str, **options: Any) -> list[Any]:
    return [SplittingReadableStore(store, **options).get(path).buffer()]


def _cached(store: S3Store, path: str) -> list[Any]:
    return [_stack(store).get(path).buffer()]


def _eager_over(over: str, store: S3Store, path: str, **options: Any) -> Iterable[Any]:
    return _eager(_STORES[over](store), path, **options)


LOAD = {
    "eager": _eager,
    **{f"eager {over}": partial(_eager_over, over) for over in _STORES},
    "splitting iterated": _splitting_iterated,
    "splitting async": _splitting_async,
    "splitting buffer": _splitting_buffer,
    "cached": _cached,
}


def _stack(store: S3Store, max_size: int = 512 << 20) -> CachingReadableStore:
    return CachingReadableStore(SplittingReadableStore(store), max_size=max_size)


STORE = {"cached": lambda store, _path: _stack(store)}


def _virtual(store: S3Store, _path: str, reader: str, *, stacked: bool, **options: Any) -> tuple[Any, Any]:
    return (_stack(store) if stacked else store), partial(OPEN[reader], **options)


VIRTUAL = {"virtual": _virtual}
