"""Put objects into the object server that the tests use, too (tests/servers/object_server)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.files import Layout, netcdf_file
from benchmarks.measure import BUCKET
from benchmarks.profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers import ObjectServer

__all__ = ["put_copies", "put_netcdf", "put_noise"]

# Gigabytes of noise would take a minute. A prime, so that no two parts of an object are equal.
_PERIOD = 67_108_879


def put_noise(server: ObjectServer, size: int) -> str:
    """Store an object of that many seeded bytes, unless it is there; return its path."""
    path = f"noise-{size}"
    return _once(server, path, lambda: server.put_random(f"{BUCKET}/{path}", size, seed=1, period=_PERIOD))


def put_netcdf(server: ObjectServer, layout: Layout) -> str:
    """Store a NetCDF4 file of that layout, unless it is there; return its path."""
    return _once(server, layout.name, lambda: server.put(f"{BUCKET}/{layout.name}", netcdf_file(layout).read_bytes()))


def put_copies(server: ObjectServer, path: str, count: int) -> str:
    """Store an object again as `{path}.copies/0`, `…/1` and so on; return the path before the slash."""
    folder = f"{path}.copies"
    store = server.s3_store(BUCKET)
    PROFILES["local"].apply(server)  # not the network of the table before
    for number in range(count):  # in the server, where all copies share their bytes
        store.copy(path, f"{folder}/{number}")
    return folder


def _once(server: ObjectServer, path: str, put: Callable[[], object]) -> str:
    try:
        server.s3_store(BUCKET).head(path)
    except FileNotFoundError:
        put()
    return path
