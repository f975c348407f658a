"""The rows that several scenarios share: every implementation's ways to open an object as a file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.measure import Row
from benchmarks.results import MEBIBYTE

__all__ = [
    "ALTERNATIVES",
    "BUFFERED",
    "CHOSEN",
    "EAGER",
    "MEMORY",
    "OURS",
    "PARALLEL",
    "PREVIOUS",
    "distinct",
    "ours",
    "previous",
    "readers",
]

MEMORY = 64 * MEBIBYTE


def ours(label: str, way: str, memory: int | None, **options: Any) -> Row:
    """Return a row of the checkout."""
    return Row(label, "ours", "obspec_utils", way, options, memory)


def previous(label: str, way: str, memory: int | None, **options: Any) -> Row:
    """Return a row of the release before."""
    return Row(f"0.9.0 {label}", "v09", "obspec_utils", way, options, memory)


def _fsspec(cache: str, block: int, blocks: int = 1, *, way: str = "s3", quick: bool = False) -> Row:
    options: dict[str, Any] = {"cache_type": cache, "block_size": block * MEBIBYTE}
    setting = f"{block} MiB"
    if blocks > 1:
        options["cache_options"] = {"maxblocks": blocks}
        setting += f" x {blocks}"
    name = {"s3": "s3fs", "http": "fsspec http"}[way]
    memory = block * blocks * MEBIBYTE
    return Row(f"{name} {cache} {setting}", "fsspec", "fsspec", way, options, memory, quick=quick)


EAGER, PARALLEL, BUFFERED, CHOSEN = "EagerStoreReader", "ParallelStoreReader", "BufferedStoreReader", "open_reader"

# An eager reader has no limit to name: it holds the file, and whatever an alternative holds is no more.
OURS = [
    ours(EAGER, "eager", None),
    ours(PARALLEL, "parallel", MEMORY),
    ours(BUFFERED, "buffered", MEMORY),
    ours(CHOSEN, "open_reader", MEMORY),
]

PREVIOUS = [
    previous(EAGER, "eager", None),
    previous("BlockStoreReader 1 MiB x 64", "block", MEMORY),
    replace(previous(BUFFERED, "buffered", MEBIBYTE), quick=False),
]

ALTERNATIVES = [
    Row("obstore.open_reader", "obstore", "obstore", "open_reader", {}, MEBIBYTE, quick=False),
    _fsspec("readahead", 5),
    _fsspec("blockcache", 4, 16, quick=True),
    _fsspec("blockcache", 1, 64),
    _fsspec("background", 4, 16),
    _fsspec("adaptive", 4),
    _fsspec("blockcache", 4, 16, way="http"),
    _fsspec("background", 4, 16, way="http"),
    Row("remfile", "remfile", "remfile", "http", {}, 1000 * MEBIBYTE, quick=False),
    Row("smart_open", "smart_open", "smart_open", "s3", {}, MEBIBYTE, quick=False),
]


# What the work costs without any network.
MEMORY_ROW = Row("io.BytesIO, no network", "obstore", "memory", "memory")


def readers() -> list[Row]:
    """Return all of them, and the work without a network."""
    return [MEMORY_ROW, *OURS, *PREVIOUS, *ALTERNATIVES]


# What B4a shows to send too many small requests to be waited for, and s3fs's caches once more, by HTTP.
_SHOWN_IN_B4A = (
    "0.9.0 BufferedStoreReader",
    "obstore.open_reader",
    "s3fs readahead 5 MiB",
    "s3fs adaptive 4 MiB",
    "smart_open",
    "fsspec http blockcache 4 MiB x 16",
    "fsspec http background 4 MiB x 16",
)


def distinct(rows: list[Row]) -> list[Row]:
    """Return the rows that are worth measuring again where B4a shows the others."""
    return [row for row in rows if row.label not in _SHOWN_IN_B4A]
