"""B9: what loading costs by size, by requests in flight and by the size of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.catalogue import ours
from benchmarks.measure import Row, Work
from benchmarks.results import MEBIBYTE, ScenarioResult, Table
from benchmarks.server import put_noise

if TYPE_CHECKING:
    from benchmarks.measure import Bench
    from benchmarks.profiles import Profile

_SIZES = (1, 4, 16, 64, 256, 1024, 4096)
_IN_FLIGHT = (1, 4, 8, 12, 18, 32, 64)
_REQUEST_SIZES = (1, 2, 4, 8, 12, 16, 32, 64)
_LARGE = 1024
_REPEAT = 2


def run(bench: Bench) -> ScenarioResult:
    """Measure the eager reader on the networks with a limit per connection."""
    tables = []
    for profile in bench.profiles("cloud") if bench.quick else bench.profiles("cloud", "region"):
        tables += [_by_size(bench, profile), _by_requests_in_flight(bench, profile), _by_request_size(bench, profile)]
    return ScenarioResult("B9", "Cost by size and by requests in flight", tables, [])


def _by_size(bench: Bench, profile: Profile) -> Table:
    """Load objects of 1 MiB to 4 GiB (only on "cloud"); the rows are of one table, though their objects differ."""
    tables = []
    sizes = _SIZES[:4] if bench.quick else _SIZES if profile.name == "cloud" else _SIZES[:-1]
    for size in sizes:
        path = put_noise(bench.server, size * MEBIBYTE)
        threads = {"size": size * MEBIBYTE}
        rows = [
            ours(f"{size} MiB", "eager", None),
            Row(f"obstore 18 threads, {size} MiB", "obstore", "obstore", "threads", threads),
        ]
        if size <= _LARGE // 16:  # one connection takes 20 s a GiB
            rows.append(Row(f"obstore get(), {size} MiB", "obstore", "obstore", "get"))
        repeat = 1 if size >= _LARGE else _REPEAT
        work = Work("load", path, warm=size > _SIZES[0], patience=300.0)
        tables.append(bench.table("", "", profile, rows, work, repeat=repeat))
    return Table(
        f"B9-size-{profile.name}",
        f"EagerStoreReader by the object's size, {profile}",
        [row for table in tables for row in table.rows],
        differing=True,
    )


def _by_requests_in_flight(bench: Bench, profile: Profile) -> Table:
    size = 64 if bench.quick else 256
    rows = [
        ours(f"{count} in flight", "eager", None, max_concurrent_requests=count, request_size=4 * MEBIBYTE)
        for count in (_IN_FLIGHT[::3] if bench.quick else _IN_FLIGHT)
    ]
    work = Work("load", put_noise(bench.server, size * MEBIBYTE))
    title = f"EagerStoreReader of {size} MiB by requests in flight, in parts of 4 MiB"
    return bench.table(f"B9-flight-{profile.name}", title, profile, rows, work, repeat=_REPEAT)


def _by_request_size(bench: Bench, profile: Profile) -> Table:
    size = 64 if bench.quick else 256
    rows = [
        ours(f"{request} MiB", "eager", None, request_size=request * MEBIBYTE)
        for request in (_REQUEST_SIZES[::3] if bench.quick else _REQUEST_SIZES)
    ]
    work = Work("load", put_noise(bench.server, size * MEBIBYTE))
    title = f"EagerStoreReader of {size} MiB by request_size, up to 18 in flight"
    return bench.table(f"B9-request-{profile.name}", title, profile, rows, work, repeat=_REPEAT)
