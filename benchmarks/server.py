"""The object server, which the tests use, too (tests/servers/object_server): its networks and objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.files import Layout, netcdf_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers import ObjectServer

__all__ = ["BUCKET", "PROFILES", "Profile", "map_file", "put_copies", "put_file", "put_netcdf", "put_noise"]

BUCKET = "bench"
# Gigabytes of noise would take a minute. A prime, so that no two parts of an object are equal.
_PERIOD = 67_108_879


@dataclass(frozen=True, slots=True)
class Profile:
    """Seconds to the first byte, and bytes per second, of one connection and of all together; 0 is no limit."""

    name: str
    latency: float = 0.0
    bandwidth: float = 0.0
    total_bandwidth: float = 0.0

    def apply(self, server: ObjectServer) -> None:
        """Configure the server."""
        server.configure(latency=self.latency, bandwidth=self.bandwidth, total_bandwidth=self.total_bandwidth)

    def __str__(self) -> str:
        limits = []
        if self.latency:
            limits.append(f"{self.latency * 1000:.0f} ms")
        if self.bandwidth:
            limits.append(f"{self.bandwidth / 1e6:.0f} MB/s a connection")
        if self.total_bandwidth:
            limits.append(f"{self.total_bandwidth / 1e6:.0f} MB/s in total")
        return f"{self.name} ({', '.join(limits) or 'no limits'})"


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("cloud", latency=0.030, bandwidth=50e6),
        Profile("region", latency=0.010, bandwidth=90e6),
        Profile("laptop", latency=0.080, total_bandwidth=50e6),
        Profile("local"),
    )
}


def put_noise(server: ObjectServer, size: int) -> str:
    """Store an object of that many seeded bytes, unless it is there; return its path."""
    path = f"noise-{size}"
    return _once(server, path, lambda: server.put_random(f"{BUCKET}/{path}", size, seed=1, period=_PERIOD))


def put_netcdf(server: ObjectServer, layout: Layout) -> str:
    """Store a NetCDF4 file of that layout, unless it is there; return its path."""
    return put_file(server, layout.name, lambda: netcdf_file(layout))


def put_file(server: ObjectServer, name: str, make: Callable[[], Path]) -> str:
    """Store a file that is on disk or to be made, unless it is there; return its path."""
    return _once(server, name, lambda: server.put(f"{BUCKET}/{name}", make().read_bytes()))


def map_file(server: ObjectServer, name: str, file: Path) -> str:
    """Let the server map a file on disk, which takes no memory, unless it is there; return its path."""
    return _once(server, name, lambda: server.put_file(f"{BUCKET}/{name}", file))


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
