"""Load small objects, where round trips are all that counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.catalogue import EAGER, ours, previous
from benchmarks.measure import Row, Work
from benchmarks.results import MEBIBYTE, ScenarioResult, at_most, within
from benchmarks.server import PROFILES, put_copies, put_noise

if TYPE_CHECKING:
    from benchmarks.measure import Bench

_LIMIT = "obstore get().buffer()"
_OURS = (EAGER, "Splitting.get().buffer()", "Caching(Splitting).get().buffer()")
_FACTOR = 1.1
_THREADS = 16
_REPEAT = 15

_ROWS = [
    Row(_LIMIT, "obstore", "obstore", "get"),
    ours(_OURS[0], "eager"),
    ours(_OURS[1], "splitting buffer"),
    ours(_OURS[2], "cached"),
    previous("EagerStoreReader", "eager"),
    previous("Splitting.get().buffer()", "splitting buffer"),
    Row("boto3 get_object", "boto3", "boto3", "get", quick=False),
    Row("s3fs cat_file", "fsspec", "fsspec", "s3", quick=False),
]


def run(bench: Bench) -> ScenarioResult:
    """Load one object, and many through a pool of threads."""
    count = 100 if bench.quick else 500
    path = put_noise(bench.server, MEBIBYTE)
    folder = put_copies(bench.server, path, count)
    cloud = PROFILES["cloud"]
    repeat = None if bench.quick else _REPEAT
    one = bench.table("many_small-one", "Load 1 MiB", cloud, _ROWS, Work("load", path), reference=_LIMIT, repeat=repeat)
    title = f"Load {count:,} objects of 1 MiB in {_THREADS} threads"
    work = Work("load_many", folder, {"count": count, "threads": _THREADS}, patience=300.0)
    many = bench.table("many_small-many", title, cloud, _ROWS[:5], work, reference=_LIMIT)
    verdicts = [at_most(f"requests of {label}", one.value(label, "requests"), 1, digits=0) for label in _OURS]
    verdicts += [within("one object", one, label, _FACTOR, one.row(_LIMIT)) for label in _OURS]
    verdicts += [within("many objects", many, label, _FACTOR, many.row(_LIMIT)) for label in _OURS]
    return ScenarioResult("many_small", "Load small objects", [one, many], verdicts)
