"""Costs and savings of caches: hits, misses, memory, and processes that share."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.catalogue import s3fs
from benchmarks.measure import Row, Work
from benchmarks.results import MEBIBYTE, Measurement, ScenarioResult, Verdict, at_most, within
from benchmarks.server import PROFILES, put_copies, put_noise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.measure import Bench
    from benchmarks.results import Table

_BLOCK, _SMALL = MEBIBYTE, MEBIBYTE // 16
_THREADS, _PROCESSES = 16, 4
_SMALL_OBJECTS = 256
_MANY, _FEW = 100_000, 1_000
_HALF_WRITTEN = "left out: its processes take each other's half-written files for whole ones, and read wrong bytes"
_COLD_FACTOR, _MEMORY_FACTOR, _MANY_FACTOR, _MISS_CPU = 1.2, 1.1, 1.5, 30.0


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
    quick = (_hits, _entries, _misses, _byte)
    for measure in quick if bench.quick else (*quick, _cold, _memory, _processes):
        found, judged = measure(bench)
        tables += found
        verdicts += judged
    return ScenarioResult("caching", "Caches", tables, verdicts)


def _hits(bench: Bench) -> tuple[list[Table], list[Verdict]]:
    size = (32 if bench.quick else 256) * MEBIBYTE
    small = put_noise(bench.server, _SMALL)
    tables = []
    for name, title, path, parameters in (
        ("one", f"one object of {size // MEBIBYTE} MiB", put_noise(bench.server, size), {"objects": 1, "size": size}),
        (
            "many",
            f"{_SMALL_OBJECTS} objects of {_SMALL >> 10} KiB",
            put_copies(bench.server, small, _SMALL_OBJECTS),
            {"objects": _SMALL_OBJECTS, "size": _SMALL},
        ),
    ):
        blocks: dict[str, Any] = {"block_size": _BLOCK} if name == "one" else {}
        suffix = ", 1 MiB blocks" if blocks else ""
        rows = [
            _WHOLE,
            _BLOCKS,
            _ours(f"MemoryCache over DiskCache{suffix}", caches=["memory", "disk"], quick=bool(blocks), **blocks),
            _ours(f"DiskCache alone{suffix}", caches=["disk"], quick=False, **blocks),
            _FORMER,
            *([] if blocks else [_SIMPLE]),
            _DICT,
        ]
        work = Work("hits", path, {**parameters, "seconds": 0.2 if bench.quick else 0.5}, warm=True)
        full_title = f"Cached ranges of 4 KiB, {title}"
        repeat = 1 if bench.quick else 2  # each is several rounds
        tables.append(
            bench.table(
                f"caching-hits-{name}", full_title, PROFILES["local"], rows, work, reference=_DICT.label, repeat=repeat
            )
        )
    return tables, [verdict for table in tables for verdict in _hit_verdicts(table)]


def _hit_verdicts(table: Table) -> list[Verdict]:
    former = table.row(_FORMER.label)
    verdicts = []
    for row in table.of_kind("ours"):
        verdicts.append(at_most(f"{table.name}, {row.label}: requests while hot", row.requests, 0, digits=0))
        if "DiskCache alone" in row.label:  # each of its hits reads a file
            continue
        for name in ("1 thread", "8 threads"):
            slower = former.figures[f"k/s, {name}"] / row.figures[f"k/s, {name}"] if former else None
            verdicts.append(at_most(f"{table.name}, {row.label}: time of a hit against 0.9.0, {name}", slower, 1, " x"))
    return verdicts


def _entries(bench: Bench) -> tuple[list[Table], list[Verdict]]:
    table = bench.table(
        "caching-entries",
        f"A hit among {_MANY:,} cached objects of 100 bytes against {_FEW:,}, over MemoryStore",
        PROFILES["local"],
        [replace(row, options={"max_size": 1 << 30}) for row in (_WHOLE, _FORMER)] + [_DICT],
        Work("entries", "-", {"few": _FEW, "many": _MANY, "rounds": 1 if bench.quick else 2}, warm=True),
        repeat=1,
    )
    # Not against few objects: even a dict of many is slower, since they don't fit into the processor's caches.
    many, usual = (table.value(label, f"ns among {_MANY:,}") for label in (_WHOLE.label, _FORMER.label))
    claim = f"caching-entries: time of a hit among {_MANY:,} against 0.9.0"
    return [table], [at_most(claim, many and usual and many / usual, _MANY_FACTOR, " x")]


def _misses(bench: Bench) -> tuple[list[Table], list[Verdict]]:
    table = bench.table(
        "caching-misses",
        "A cold miss of 1 KiB over MemoryStore, in a worker thread",
        PROFILES["local"],
        [_WHOLE, _BLOCKS, _FORMER, _BARE],
        Work("misses", "-", {"objects": 2_000, "rounds": 3 if bench.quick else 10}, warm=True),
        repeat=1,
    )
    spent = table.value(_WHOLE.label, "us of CPU")
    return [table], [at_most("caching-misses: CPU of a cold miss", spent, _MISS_CPU, " us", 1)]


def _cold(bench: Bench) -> tuple[list[Table], list[Verdict]]:
    path = put_noise(bench.server, MEBIBYTE)
    folder = put_copies(bench.server, path, _THREADS)
    tables, verdicts = [], []
    for same, objects in ((False, _THREADS), (True, 1)):
        table = bench.table(
            f"caching-cold-{'same' if same else 'different'}",
            f"{_THREADS} threads, {'the same object' if same else f'{_THREADS} objects'} of 1 MiB, nothing cached",
            PROFILES["cloud"],
            [_BARE, _WHOLE, _BLOCKS, _FORMER],
            Work("together", path if same else folder, {"threads": _THREADS, "same": same}),
            reference=_BARE.label,
            repeat=5,
        )
        tables.append(table)
        for row in table.of_kind("ours"):
            verdicts.append(at_most(f"{table.name}, {row.label}: requests", row.requests, objects, digits=0))
            verdicts.append(within(table.name, table, row.label, _COLD_FACTOR, table.row(_BARE.label)))
    return tables, verdicts


def _byte(bench: Bench) -> tuple[list[Table], list[Verdict]]:
    size = (32 if bench.quick else 256) * MEBIBYTE
    block = Row("obstore get_range of 1 MiB", "obstore", "obstore", "blockwise", {"block_size": _BLOCK})
    auto = _ours("CachingReadableStore, auto", block_size="auto")
    ranges = s3fs("blockcache", 1, method="ranges")
    rows = [block, Row("obstore get_range of 1 byte", "obstore", "obstore", "bare"), _BLOCKS, auto, _WHOLE, _FORMER]
    table = bench.table(
        "caching-byte",
        f"One byte of {size // MEBIBYTE} MiB",
        PROFILES["cloud"],
        [*rows, ranges],
        Work("byte", put_noise(bench.server, size), {"start": size // 2 + 12_345}),
        reference=block.label,
        repeat=None if bench.quick else 5,
    )
    verdicts = []
    for label in (_BLOCKS.label, auto.label):
        sent = table.value(label, "sent")
        verdicts.append(at_most(f"caching-byte, {label}: MiB moved", sent and sent / MEBIBYTE, 1, " MiB"))
        verdicts.append(within("caching-byte", table, label, _COLD_FACTOR, table.row(block.label)))
    return [table], verdicts


def _memory(bench: Bench) -> tuple[list[Table], list[Verdict]]:
    budget = 256 * MEBIBYTE
    of_many = [
        _ours(_WHOLE.label, max_size=budget),
        Row(_FORMER.label, "v09", "caching", "caching", {"max_size": budget}),
    ]
    of_one = [
        _ours(f"CachingReadableStore, {name} blocks", max_size=budget, block_size=size)
        for name, size in (("1 MiB", _BLOCK), ("64 KiB", _SMALL))
    ]
    tables, verdicts = [], []
    for name, size, threads in (("objects", MEBIBYTE, 8), ("small", _SMALL, 1), ("blocks", 2 * budget, 1)):
        objects, step, rows = budget // size * 5 // 4, size, of_many
        path = put_noise(bench.server, size)
        if name == "blocks":
            objects, step, rows, title = 1, 4 * MEBIBYTE, of_one, "one object of 512 MiB in ranges of 4 MiB"
        else:
            path = put_copies(bench.server, path, objects)
            title = f"{objects:,} objects of {f'1 MiB in {threads} threads' if threads > 1 else '64 KiB'}"
        parameters = {"objects": objects, "size": size, "step": step, "threads": threads, "budget": budget}
        table = bench.table(
            f"caching-memory-{name}",
            f"Memory of a full cache of {budget // MEBIBYTE} MiB, {title}",
            PROFILES["local"],
            rows,
            Work("full", path, parameters, fresh=True),
            object_size=budget,
            repeat=1,
        )
        tables.append(table)
        for row in table.of_kind("ours"):
            used = row.figures["memory when full"]
            verdicts.append(at_most(f"{table.name}, {row.label}: memory when full", used, _MEMORY_FACTOR, " x budget"))
    return tables, verdicts


def _processes(bench: Bench) -> tuple[list[Table], list[Verdict]]:
    size, count = 4 * MEBIBYTE, 32
    folder = put_copies(bench.server, put_noise(bench.server, size), count)
    shared = [
        _ours("DiskCache", caches=["disk"]),
        _ours("MemoryCache over DiskCache", caches=["memory", "disk"]),
    ]
    with _redis() as (url, missing):
        if url:
            shared.append(_ours("RedisCache", caches=[url]))
        table = bench.table(
            "caching-processes",
            f"{_PROCESSES} processes read the same {count} objects of {size // MEBIBYTE} MiB",
            PROFILES["cloud"],
            [_BARE, _WHOLE, *shared, _FORMER],
            Work("processes", folder, {"processes": _PROCESSES, "objects": count}, warm=True),
            reference=_BARE.label,
            repeat=2,
        )
    if missing:
        table.rows.append(Measurement("RedisCache", "ours", note=missing))
    table.rows.append(Measurement(_SIMPLE.label, "alternative", note=_HALF_WRITTEN))
    return [table], [
        at_most(f"{table.name}, {row.label}: requests", table.value(row.label, "requests"), count, digits=0)
        for row in shared
    ]


@contextmanager
def _redis() -> Iterator[tuple[str, str]]:
    """Start a Redis server; yield its URL, or the reason why there is none."""
    with ExitStack() as stack:
        try:
            from tests.servers.redis_server import RedisServer  # noqa: PLC0415 - it needs redis-py

            server = stack.enter_context(RedisServer.start(maxmemory="1gb", maxmemory_policy="allkeys-lru"))
        except (ImportError, RuntimeError) as error:
            yield "", f"left out: {error}"
            return
        yield server.url, ""
