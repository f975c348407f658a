"""CachingReadableStore, of the checkout and of release 0.9.0."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from benchmarks.adapters import obstore
from benchmarks.environments import SCRATCH
from obspec_utils.wrappers import CachingReadableStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obstore.store import S3Store

__all__ = ["OVER", "STORE", "close", "connect"]


class _Client:
    """A store without a cache, and the shared caches to empty in the end."""

    def __init__(self, store: S3Store) -> None:
        self.store = store
        self.remains = ExitStack()


def connect(url: str, bucket: str) -> _Client:
    """Return a store of the bucket; it has no connection yet."""
    return _Client(obstore.connect(url, bucket))


def close(client: _Client) -> None:
    """Empty the shared caches."""
    client.remains.close()


def _caching(client: _Client, _path: str, caches: Sequence[str] = (), **options: Any) -> CachingReadableStore:
    """Return a new cache over `memory`, `disk`, or the URL of a Redis server."""
    if caches:
        options["cache"] = [_cache(client, name) for name in caches]
    return CachingReadableStore(client.store, **options)


def _cache(client: _Client, name: str) -> Any:
    from obspec_utils.caches import DiskCache, MemoryCache, RedisCache  # noqa: PLC0415 - not in 0.9.0

    if name == "memory":
        return MemoryCache()
    if name == "disk":
        SCRATCH.mkdir(parents=True, exist_ok=True)
        folder = client.remains.enter_context(tempfile.TemporaryDirectory(prefix="cache-", dir=SCRATCH))
        return DiskCache(folder, 1 << 30)
    shared = RedisCache(name, prefix=f"{uuid4()}:")
    client.remains.callback(shared.clear)
    return shared


STORE = {"caching": _caching}
OVER = {"caching": CachingReadableStore}
