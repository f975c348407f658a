"""Networks that the object server simulates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.servers import ObjectServer

__all__ = ["PROFILES", "Profile"]


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
