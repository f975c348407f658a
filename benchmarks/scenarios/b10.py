"""B10: what caches cost and save: hits, misses, memory, and processes that share."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Row, Work
from benchmarks.profiles import PROFILES
from benchmarks.results import MEBIBYTE, Measurement, ScenarioResult, Verdict
from benchmarks.server import put_copies, put_noise
from benchmarks.verdicts import at_most, within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.measure import Bench
    from benchmarks.results import Table

_BLOCK = MEBIBYTE
_THREADS, _PROCESSES = 16, 4
_SMALL_OBJECTS, _SMALL = 256, MEBIBYTE // 16
# It writes to the file that others look for.
_HALF_WRITTEN = "left out: its processes take each other's half-written files for whole ones, and read wrong bytes"
# Each is several rounds.
_HIT_RUNS = 2
_COLD_FACTOR, _MEMORY_FACTOR = 1.2, 1.1


def _ours(label: str, *, quick: bool = True, **options: Any) -> Row:
    return Row(label, "ours", "caching", "caching", options, quick=quick)


_WHOLE = _ours("CachingReadableStore")
_BLOCKS = _ours("CachingReadableStore, 1 MiB blocks", block_size=_BLOCK)
_FORMER = Row("0.9.0 CachingReadableStore", "v09", "caching", "caching")
_BARE = Row("obstore, no cache", "obstore", "obstore", "bare")
_DICT = Row("a dict lookup and a slice", "obstore", "memory", "dict")
_SIMPLE = Row("s3fs simplecache, on disk", "fsspec", "fsspec", "simplecache", quick=False)


def run(bench: Bench) -> ScenarioResult:
    """Measure each question in tables of its own."""
    tables: list[Table] = []
    verdicts: list[Verdict] = []
    # Of a small cache the rest tells little, or takes long.
    for measure in (_hits, _byte) if bench.quick else (_hits, _cold, _byte, _memory, _processes):
        found, judged = measure(bench)
        tables += found
        verdicts += judged
    return ScenarioResult("B10", "Caches", tables, verdicts)


def _hits(bench: Bench) -> tuple[list[Table], list[Verdict]]:
    size = (32 if bench.quick else 256) * MEBIBYTE
    small = put_noise(bench.server, _SMALL)
    seconds = 0.2 if bench.quick else 0.5
    blocks: dict[str, Any] = {"block_size": _BLOCK}
    of_one = [
        _WHOLE,
        _BLOCKS,
        _ours("MemoryCache over DiskCache, 1 MiB blocks", caches=["memory", "disk"], **blocks),
        _ours("DiskCache alone, 1 MiB blocks", caches=["disk"], **blocks, quick=False),
        _FORMER,
        _DICT,
    ]
    of_many = [
        _WHOLE,
        _BLOCKS,
        _ours("MemoryCache over DiskCache", caches=["memory", "disk"], quick=False),
        _ours("DiskCache alone", caches=["disk"], quick=False),
        _FORMER,
        _SIMPLE,
        _DICT,
    ]
    one = bench.table(
        "B10-hits-one",
        f"Cached ranges of 4 KiB, one object of {size // MEBIBYTE} MiB",
        PROFILES["local"],
        of_one,
        Work("hits", put_noise(bench.server, size), {"objects": 1, "size": size, "seconds": seconds}, warm=True),
        reference=_DICT.label,
        repeat=1 if bench.quick else _HIT_RUNS,
    )
    many = bench.table(
        "B10-hits-many",
        f"Cached ranges of 4 KiB, {_SMALL_OBJECTS} objects of {_SMALL >> 10} KiB",
        PROFILES["local"],
        of_many,
        Work(
            "hits",
            put_copies(bench.server, small, _SMALL_OBJECTS),
            {"objects": _SMALL_OBJECTS, "size": _SMALL, "seconds": seconds},
            warm=True,
        ),
        reference=_DICT.label,
        repeat=1 if bench.quick else _HIT_RUNS,
    )
    return [one, many], [verdict for table in (one, many) for verdict in _hit_verdicts(table)]


def _hit_verdicts(table: Table) -> list[Verdict]:
    former = table.row(_FORMER.label)
    verdicts = []
    for row in table.of_kind("ours"):
        verdicts.append(at_most(f"{table.name}, {row.label}: requests while warm", row.requests, 0, digits=0))
        if "DiskCache alone" in row.label:  # each of its hits reads a file
            continue
        for name in ("1_thread", "8_threads"):
            rate = f"rate_{name}"
            slower = former.figures[rate] / row.figures[rate] if former else None
            claim = f"{table.name}, {row.label}: time of a hit relative to 0.9.0, {name.replace('_', ' ')}"
            verdicts.append(at_most(claim, slower, 1.0, " x"))
    return verdicts


def _cold(bench: Bench) -> tuple[list[Table], list[Verdict]]:
    path = put_noise(bench.server, MEBIBYTE)
    folder = put_copies(bench.server, path, _THREADS)
    rows = [_BARE, _WHOLE, _BLOCKS, _FORMER]
    tables = [
        bench.table(
            f"B10-cold-{'same' if same else 'different'}",
            f"{_THREADS} threads, {'the same object' if same else f'{_THREADS} objects'} of 1 MiB, nothing cached",
            PROFILES["cloud"],
            rows,
            Work("together", path if same else folder, {"threads": _THREADS, "same": same}),
            reference=_BARE.label,
            repeat=None if bench.quick else 5,
        )
        for same in (False, True)
    ]
    verdicts = []
    for table, requests in zip(tables, (_THREADS, 1), strict=True):
        for row in table.of_kind("ours"):
            verdicts.append(at_most(f"{table.name}, {row.label}: requests", row.requests, requests, digits=0))
            verdicts.append(within(table.name, table, row.label, _COLD_FACTOR, table.row(_BARE.label)))
    return tables, verdicts


def _byte(bench: Bench) -> tuple[list[Table], list[Verdict]]:
    size = (32 if bench.quick else 256) * MEBIBYTE
    block = Row("obstore get_range of 1 MiB", "obstore", "obstore", "blockwise", {"block_size": _BLOCK})
    rows = [
        block,
        Row("obstore get_range of 1 byte", "obstore", "obstore", "bare"),
        _BLOCKS,
        _ours("CachingReadableStore, auto", block_size="auto"),
        _WHOLE,
        _FORMER,
        Row(
            "s3fs blockcache 1 MiB",
            "fsspec",
            "fsspec",
            "ranges",
            {"cache_type": "blockcache", "block_size": _BLOCK},
            quick=False,
        ),
    ]
    table = bench.table(
        "B10-byte",
        f"One byte of {size // MEBIBYTE} MiB",
        PROFILES["cloud"],
        rows,
        Work("byte", put_noise(bench.server, size), {"start": size // 2 + 12_345}),
        reference=block.label,
        repeat=None if bench.quick else 5,
    )
    verdicts = []
    for row in rows[2:4]:
        found = table.row(row.label)
        moved = found.sent / MEBIBYTE if found else None
        verdicts.append(at_most(f"B10-byte, {row.label}: MiB moved", moved, _BLOCK / MEBIBYTE, " MiB"))
        verdicts.append(within("B10-byte", table, row.label, _COLD_FACTOR, table.row(block.label)))
    return [table], verdicts


def _memory(bench: Bench) -> tuple[list[Table], list[Verdict]]:
    budget = 256 * MEBIBYTE
    of_many = [
        _ours(_WHOLE.label, max_size=budget),
        Row(_FORMER.label, "v09", "caching", "caching", {"max_size": budget}),
    ]
    of_one = [
        _ours(f"CachingReadableStore, {name} blocks", max_size=budget, block_size=size)
        for name, size in (("1 MiB", _BLOCK), ("64 KiB", MEBIBYTE // 16))
    ]
    of_small = budget // _SMALL * 5 // 4
    of_large = budget // MEBIBYTE * 5 // 4
    works: list[tuple[str, str, list[Row], str, dict[str, Any]]] = [
        (
            "objects",
            f"{of_large:,} objects of 1 MiB in 8 threads",
            of_many,
            put_copies(bench.server, put_noise(bench.server, MEBIBYTE), of_large),
            {"objects": of_large, "size": MEBIBYTE, "step": MEBIBYTE, "threads": 8},
        ),
        (
            "small",
            f"{of_small:,} objects of {_SMALL >> 10} KiB",
            of_many,
            put_copies(bench.server, put_noise(bench.server, _SMALL), of_small),
            {"objects": of_small, "size": _SMALL, "step": _SMALL},
        ),
        (
            "blocks",
            f"one object of {2 * budget // MEBIBYTE} MiB in ranges of 4 MiB",
            of_one,
            put_noise(bench.server, 2 * budget),
            {"objects": 1, "size": 2 * budget, "step": 4 * MEBIBYTE},
        ),
    ]
    tables = [
        bench.table(
            f"B10-memory-{name}",
            f"Memory of a full cache of {budget // MEBIBYTE} MiB, {title}",
            PROFILES["local"],
            rows,
            Work("full", path, parameters, fresh=True),
            object_size=budget,
            repeat=1,
        )
        for name, title, rows, path, parameters in works
    ]
    verdicts = [
        at_most(
            f"{table.name}, {row.label}: memory when full",
            row.figures["steady"] / budget,
            _MEMORY_FACTOR,
            " x the budget",
        )
        for table in tables
        for row in table.of_kind("ours")
    ]
    return tables, verdicts


def _processes(bench: Bench) -> tuple[list[Table], list[Verdict]]:
    size, count = (MEBIBYTE, 8) if bench.quick else (4 * MEBIBYTE, 32)
    folder = put_copies(bench.server, put_noise(bench.server, size), count)
    disk = _ours("DiskCache", caches=["disk"])
    rows = [
        _BARE,
        _ours("CachingReadableStore", quick=False),
        disk,
        _ours("MemoryCache over DiskCache", caches=["memory", "disk"], quick=False),
        Row(_FORMER.label, "v09", "caching", "caching", quick=False),
    ]
    shared = [disk.label, rows[3].label]
    with _redis() as (url, missing):
        if url:
            rows.insert(4, _ours("RedisCache", caches=[url]))
            shared.append("RedisCache")
        table = bench.table(
            "B10-processes",
            f"{_PROCESSES} processes read the same {count} objects of {size // MEBIBYTE} MiB",
            PROFILES["cloud"],
            rows,
            Work("processes", folder, {"processes": _PROCESSES, "objects": count}, warm=True),
            reference=_BARE.label,
            repeat=None if bench.quick else 2,
        )
    if missing:
        table.rows.append(Measurement("RedisCache", "ours", note=missing))
    table.rows.append(Measurement(_SIMPLE.label, "alternative", note=_HALF_WRITTEN))
    verdicts = [
        at_most(f"{table.name}, {row.label}: requests", row.requests, count, digits=0)
        for row in table.of_kind("ours")
        if row.label in shared
    ]
    return [table], verdicts


@contextmanager
def _redis() -> Iterator[tuple[str, str]]:
    """Start a Redis server; give its URL, or why there is none."""
    with ExitStack() as stack:
        try:
            from tests.servers.redis_server import RedisServer  # noqa: PLC0415 - it needs redis-py

            server = stack.enter_context(RedisServer.start(maxmemory="1gb", maxmemory_policy="allkeys-lru"))
        except (ImportError, RuntimeError) as error:
            yield "", f"left out: {error}"
            return
        yield server.url, ""
