"""B2: small objects, where round trips are all that counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.catalogue import EAGER, ours, previous
from benchmarks.measure import Row, Work
from benchmarks.profiles import PROFILES
from benchmarks.results import MEBIBYTE, ScenarioResult
from benchmarks.server import put_copies, put_noise
from benchmarks.verdicts import at_most, within

if TYPE_CHECKING:
    from benchmarks.measure import Bench
    from benchmarks.results import Table, Verdict

_LIMIT = "obstore get().buffer()"
_OURS = (EAGER, "Splitting.get().buffer()", "Caching(Splitting).get().buffer()")
_FACTOR = 1.1
_THREADS = 16
_REPEAT = 15

_ROWS = [
    Row(_LIMIT, "obstore", "obstore", "get"),
    ours(_OURS[0], "eager", None),
    ours(_OURS[1], "splitting buffer", None),
    ours(_OURS[2], "cached", None),
    previous("EagerStoreReader", "eager", None),
    previous("Splitting.get().buffer()", "splitting buffer", None),
    Row("boto3 get_object", "boto3", "boto3", "get", quick=False),
    Row("s3fs cat_file", "fsspec", "fsspec", "s3", quick=False),
]


def run(bench: Bench) -> ScenarioResult:
    """Load one object, and many through a pool of threads."""
    count = 100 if bench.quick else 500
    path = put_noise(bench.server, MEBIBYTE)
    folder = put_copies(bench.server, path, count)
    cloud = PROFILES["cloud"]
    one = bench.table(
        "B2-one",
        "Load 1 MiB",
        cloud,
        _ROWS,
        Work("load", path),
        reference=_LIMIT,
        repeat=None if bench.quick else _REPEAT,
    )
    many = bench.table(
        "B2-many",
        f"Load {count:,} objects of 1 MiB in {_THREADS} threads",
        cloud,
        _ROWS[:5],
        Work("load_many", folder, {"count": count, "threads": _THREADS}, patience=300.0),
        reference=_LIMIT,
    )
    return ScenarioResult("B2", "Load small objects", [one, many], _verdicts(one, many))


def _verdicts(one: Table, many: Table) -> list[Verdict]:
    verdicts = []
    for label in _OURS:
        row = one.row(label)
        verdicts.append(at_most(f"requests of {label}", row.requests if row else None, 1, digits=0))
        verdicts.append(within("one object", one, label, _FACTOR, one.row(_LIMIT)))
    return verdicts + [
        within("many objects", many, row.label, _FACTOR, many.row(_LIMIT)) for row in many.rows if row.kind == "ours"
    ]
