"""Let Dask workers read the same files without a cache, with a cache each, and through one Redis server.

Run it with `python -m examples.dask_redis`. It starts a small S3 server with 30 ms latency, and a Redis server if
redis-server is installed. It needs dask, distributed and redis-py. With your own data and servers, all you need is

    redis = RedisCache("redis://cache.example:6379/0")
    store = obstore.store.S3Store("my-bucket", region="us-east-1")
    store = CachingReadableStore(store, block_size="auto", cache=[MemoryCache(256 * 1024 * 1024), redis])

and to pass `store` to the tasks.
"""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING, NamedTuple

from obspec_utils.caches import MemoryCache, RedisCache
from obspec_utils.readers import EagerStoreReader
from obspec_utils.wrappers import CachingReadableStore
from tests.servers import ObjectServer, ServerUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from obspec_utils.protocols import ReadableStore
    from tests.servers.redis_server import RedisServer

BUCKET = "demo"
PATHS = [f"model/2026-01-{day:02}.nc" for day in range(1, 7)]
SIZE = 4_000_000
WORKERS = 4
PASSES = 2
MEMORY = 64 * 1024 * 1024
NEEDED = "This example needs {}: pip install dask distributed 'obspec-utils[redis]', and redis-server on the PATH."


class Row(NamedTuple):
    """Requests and bytes of all workers at the origin."""

    label: str
    requests: int
    megabytes: float
    checksums: set[tuple[int, ...]]


def read_all(store: ReadableStore, paths: list[str]) -> tuple[int, ...]:
    """Open every file, more than once, and compute a checksum: the task of each worker."""
    for _ in range(PASSES):
        checksums = []
        for path in paths:
            with EagerStoreReader(store, path) as file:
                checksums.append(zlib.crc32(file.read()))
    return tuple(checksums)


def measure(client: object, server: ObjectServer, label: str, store: ReadableStore) -> Row:
    """Let every worker read everything at the same time, and return the requests and bytes at the origin."""
    server.clear()
    addresses = list(client.scheduler_info(n_workers=-1)["workers"])  # type: ignore[attr-defined]
    submit = client.submit  # type: ignore[attr-defined]
    tasks = [submit(read_all, store, PATHS, workers=[address], pure=False) for address in addresses]
    checksums = set(client.gather(tasks))  # type: ignore[attr-defined]
    log = server.log()
    return Row(label, len(log), sum(request.sent for request in log) / 1e6, checksums)


def stores(store: ReadableStore, url: str) -> Iterator[tuple[str, ReadableStore]]:
    """Yield the stores to compare by name. Each worker gets a copy with an empty memory."""
    shared = CachingReadableStore(store, block_size="auto", cache=[MemoryCache(MEMORY), RedisCache(url)])
    yield "no cache", store
    yield "a cache in memory each", CachingReadableStore(store, MEMORY, block_size="auto")
    yield "memory, and one Redis", shared
    yield "the same, another job", shared


def show(row: Row) -> None:
    """Print one line of the table."""
    print(f"{row.label:<24}  {row.requests:>8}  {row.megabytes:>6.0f}")


def run(distributed: ModuleType, redis: RedisServer) -> None:
    """Print the cost of each store."""
    total = len(PATHS) * SIZE / 1e6
    settings = {"n_workers": WORKERS, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    with (
        ObjectServer.start(latency=0.030) as server,
        distributed.LocalCluster(**settings) as cluster,
        distributed.Client(cluster) as client,
    ):
        for seed, path in enumerate(PATHS):
            server.put_random(f"{BUCKET}/{path}", SIZE, seed)
        print(f"{len(PATHS)} files, {total:.0f} MB; each of {WORKERS} workers reads all of them {PASSES} times.\n")
        print("                            at the origin")
        print("cache                     requests      MB")
        rows = []
        for label, store in stores(server.s3_store(BUCKET), redis.url):
            rows.append(measure(client, server, label, store))
            show(rows[-1])
    same = len(set.union(*(row.checksums for row in rows))) == 1
    print(f"\nEvery worker computed {'the same' if same else 'SOMETHING ELSE'} each time.")


def main() -> None:
    """Start the servers, or name the missing requirement."""
    try:
        import distributed  # noqa: PLC0415 - to report its absence

        from tests.servers.redis_server import RedisServer  # noqa: PLC0415 - needs redis-py
    except ModuleNotFoundError as error:
        sys.exit(NEEDED.format(error.name))
    try:
        redis = RedisServer.start()
    except ServerUnavailable as error:
        sys.exit(f"{NEEDED.format('redis-server')}\n({error})")
    with redis:
        run(distributed, redis)


if __name__ == "__main__":
    main()
