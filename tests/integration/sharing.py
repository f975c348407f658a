"""What worker processes run that read the same files at the same time, and what the object server saw of it."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.work import digest

if TYPE_CHECKING:
    from tests.servers import ObjectServer

WORKERS = 4


def meet(place: str, count: int = WORKERS) -> None:
    """Wait until so many have come: then all of them go on at once."""
    Path(place).mkdir(exist_ok=True)
    Path(place, str(os.getpid())).touch()
    while len(list(Path(place).iterdir())) < count:
        time.sleep(0.001)


def read_together(store, sizes: dict[str, int], place: str, how: str) -> dict:
    """Read all files at the same time as the other workers do, and tell what was found."""
    arrived_with = store.cache_size
    meet(place)
    return {
        "process": os.getpid(),
        "arrived_with": arrived_with,
        "digests": HOW[how](store, sizes),
        "info": store.cache_info(),
    }


def _whole(store, sizes):
    return {path: digest(store.get(path).buffer()) for path in sizes}


def _pieces(store, sizes):
    """Read pieces that lie across the blocks, the last ones first, so that a read finds some of its blocks there."""
    found = {}
    for path, size in sizes.items():
        starts = range(0, size, 150_000)
        pieces = {at: bytes(store.get_range(path, start=at, end=at + 150_000)) for at in reversed(starts)}
        found[path] = digest(b"".join(pieces[at] for at in starts))
    return found


def _tasks(store, sizes):
    async def read(path):
        return digest(await (await store.get_async(path)).buffer_async())

    async def read_all():
        return dict(zip(sizes, await asyncio.gather(*map(read, sizes)), strict=True))

    return asyncio.run(read_all())


HOW = {"whole": _whole, "pieces": _pieces, "tasks": _tasks}


def read_again_and_again(store, path: str, place: str, times: int) -> set[str]:
    """Read a file that is replaced meanwhile; return what it was each time."""
    meet(place)
    return {digest(store.get(path).buffer()) for _ in range(times)}


def get_stuck(store, path: str, size: int, lease_ms: int) -> None:
    """Read both ends of a file, and be killed when the server lets one of them wait.

    In Redis a lease ends by itself; here it does so sooner than by default.
    """
    from obspec_utils.caches import _redis

    _redis._LEASE_MS = lease_ms
    for at in (0, size - 1):
        store.get_range(path, start=at, length=1)


def spans_asked_for(server: ObjectServer, sizes: dict[str, int]) -> dict[str, list[tuple[int, int]]]:
    """Return the bytes of each object that were asked for, in order; the whole object where no range was."""
    spans: dict[str, list[tuple[int, int]]] = {path: [] for path in sizes}
    for request in server.log():
        path = request.path.partition("/")[2]
        if request.method == "GET" and request.status != 304:
            spans[path].append((request.start or 0, sizes[path] if request.stop is None else request.stop))
    return {path: sorted(found) for path, found in spans.items()}


def each_byte_once(server: ObjectServer, sizes: dict[str, int]) -> bool:
    """Tell whether the requests of each object lie end to end, from its first byte to its last."""
    for path, spans in spans_asked_for(server, sizes).items():
        ends = [0, *(stop for _, stop in spans)]
        starts = [*(start for start, _ in spans), sizes[path]]
        if starts != ends:
            return False
    return sum(request.sent for request in server.log()) == sum(sizes.values())
