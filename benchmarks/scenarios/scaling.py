"""Time of loading by object size, by requests in flight and by request size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.catalogue import ours
from benchmarks.measure import Row, Work
from benchmarks.results import MEBIBYTE, ScenarioResult, Table
from benchmarks.server import put_noise

if TYPE_CHECKING:
    from benchmarks.measure import Bench
    from benchmarks.server import Profile

_SIZES = (1, 4, 16, 64, 256, 1024, 4096)
_IN_FLIGHT = (1, 4, 8, 12, 18, 32, 64)
_REQUEST_SIZES = (1, 2, 4, 8, 12, 16, 32, 64)
_LARGE = 1024
_REPEAT = 2


def run(bench: Bench) -> ScenarioResult:
    """Measure the eager reader on the networks with a limit per connection."""
    tables = []
    for profile in bench.profiles("cloud") if bench.quick else bench.profiles("cloud", "region"):
        tables += [
            _by_size(bench, profile),
            _sweep(bench, profile, "flight", _IN_FLIGHT),
            _sweep(bench, profile, "request", _REQUEST_SIZES),
        ]
    return ScenarioResult("scaling", "Scaling by size and by requests in flight", tables, [])


def _by_size(bench: Bench, profile: Profile) -> Table:
    """Load objects of 1 MiB to 1 GiB, on "cloud" to 4 GiB; one table, though the objects differ."""
    rows = []
    sizes = _SIZES[:4] if bench.quick else _SIZES if profile.name == "cloud" else _SIZES[:-1]
    for size in sizes:
        path = put_noise(bench.server, size * MEBIBYTE)
        threads = {"size": size * MEBIBYTE}
        of_size = [
            ours(f"{size} MiB", "eager"),
            Row(f"obstore 18 threads, {size} MiB", "obstore", "obstore", "threads", threads),
        ]
        if size <= _LARGE // 16:  # one connection takes 20 s a GiB
            of_size.append(Row(f"obstore get(), {size} MiB", "obstore", "obstore", "get"))
        repeat = 1 if size >= _LARGE else _REPEAT
        work = Work("load", path, warm=size > _SIZES[0], patience=300.0)
        rows += bench.table("", "", profile, of_size, work, repeat=repeat).rows
    title = f"EagerStoreReader by the object's size, {profile}"
    return Table(f"scaling-size-{profile.name}", title, rows, differing=True)


def _sweep(bench: Bench, profile: Profile, question: str, numbers: tuple[int, ...]) -> Table:
    """Load one object with other requests in flight, or other request sizes in MiB."""
    size = 64 if bench.quick else 256
    rows = []
    for number in numbers[::3] if bench.quick else numbers:
        if question == "flight":
            options = {"max_concurrent_requests": number, "request_size": 4 * MEBIBYTE}
            rows.append(ours(f"{number} in flight", "eager", **options))
        else:
            rows.append(ours(f"{number} MiB", "eager", request_size=number * MEBIBYTE))
    by = "requests in flight, in parts of 4 MiB" if question == "flight" else "request_size, up to 18 in flight"
    work = Work("load", put_noise(bench.server, size * MEBIBYTE))
    title = f"EagerStoreReader of {size} MiB by {by}"
    return bench.table(f"scaling-{question}-{profile.name}", title, profile, rows, work, repeat=_REPEAT)
