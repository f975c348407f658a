"""Rows that several scenarios share: every implementation's methods to open an object as a file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Row
from benchmarks.results import MEBIBYTE, best, within

if TYPE_CHECKING:
    from benchmarks.results import Table, Verdict

__all__ = ["ALL_READERS", "BUFFERED", "CHOSEN", "EAGER", "MEMORY", "PARALLEL", "READERS"]
__all__ += ["chosen_verdict", "ours", "previous", "s3fs"]

MEMORY = 64 * MEBIBYTE
_CHOSEN_FACTOR = 1.1


def ours(label: str, method: str, memory: int | None = None, **options: Any) -> Row:
    """Return a row of the checkout."""
    return Row(label, "ours", "obspec_utils", method, options, memory)


def previous(label: str, method: str, memory: int | None = None, **options: Any) -> Row:
    """Return a row of the last release."""
    return Row(f"0.9.0 {label}", "v09", "obspec_utils", method, options, memory)


def s3fs(cache: str, block: int, blocks: int = 1, *, method: str = "s3", quick: bool = False) -> Row:
    """Return a row of fsspec with a cache of some blocks, whose size is in MiB; `method` is "s3" or "http"."""
    options: dict[str, Any] = {"cache_type": cache, "block_size": block * MEBIBYTE}
    if blocks > 1:
        options["cache_options"] = {"maxblocks": blocks}
    setting = f"{block} MiB x {blocks}" if blocks > 1 else f"{block} MiB"
    name = "fsspec http" if method == "http" else "s3fs"
    memory = block * blocks * MEBIBYTE
    return Row(f"{name} {cache} {setting}", "fsspec", "fsspec", method, options, memory, quick=quick)


EAGER, PARALLEL, BUFFERED, CHOSEN = "EagerStoreReader", "ParallelStoreReader", "BufferedStoreReader", "open_reader"

# The eager reader keeps the whole file, so it is compared with all alternatives.
READERS = [
    Row("io.BytesIO, no network", "obstore", "memory", "memory"),
    ours(EAGER, "eager"),
    ours(PARALLEL, "parallel", MEMORY),
    ours(BUFFERED, "buffered", MEMORY),
    ours(CHOSEN, "open_reader", MEMORY),
    previous(EAGER, "eager"),
    previous("BlockStoreReader 1 MiB x 64", "block", MEMORY),
    s3fs("blockcache", 4, 16, quick=True),
    s3fs("blockcache", 1, 64),
    s3fs("background", 4, 16),
    Row("remfile", "remfile", "remfile", "http", {}, 1000 * MEBIBYTE, quick=False),
]

# With those that send many small requests, and the caches of s3fs once more, by HTTP.
ALL_READERS = [
    *READERS,
    replace(previous(BUFFERED, "buffered", MEBIBYTE), quick=False),
    Row("obstore.open_reader", "obstore", "obstore", "open_reader", {}, MEBIBYTE, quick=False),
    s3fs("readahead", 5),
    s3fs("adaptive", 4),
    s3fs("blockcache", 4, 16, method="http"),
    s3fs("background", 4, 16, method="http"),
    Row("smart_open", "smart_open", "smart_open", "s3", {}, MEBIBYTE, quick=False),
]


def chosen_verdict(table: Table, claim: str) -> Verdict:
    """Judge `open_reader` against the best of our other readers that keep as much memory."""
    chosen = table.row(CHOSEN)
    others = [row for row in table.of_kind("ours") if row.label != CHOSEN]
    return within(f"{claim}, choice", table, CHOSEN, _CHOSEN_FACTOR, best(others, chosen.memory if chosen else 0))
