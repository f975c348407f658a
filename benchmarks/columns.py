"""What the columns of a table say: which ones it has depends on what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.results import MEBIBYTE

if TYPE_CHECKING:
    from benchmarks.results import Measurement, Table

__all__ = ["columns"]

_WARM = {
    "read(100)": "reader_read",
    "seek + read(100)": "reader_seek_read",
    "BytesIO read": "memory_read",
    "BytesIO seek + read": "memory_seek_read",
}
_WARM_HEADS = ["nanoseconds", *_WARM, "ratio of sums", "million/s, 1 thread", "8 threads", "BytesIO 1", "BytesIO 8"]
_RATE_HEADS = ["thousand/s, 1 thread", "8 threads", "to the reference, 1 thread", "8 threads", "/s of CPU, 1", "8"]


def columns(table: Table) -> list[list[str]]:
    """Return the heads, and below them each row's label and cells."""
    figures = {name for row in table.rows for name in row.figures}
    if "reader_read" in figures:
        heads, cells = _WARM_HEADS, [_warm(row) for row in table.rows]
    elif "rate_1_thread" in figures:
        heads, cells = ["", *_RATE_HEADS, "requests"], [_rates(row, table) for row in table.rows]
    else:
        heads = _heads(table, full="steady" in figures)
        cells = [_cells(row, table) for row in table.rows]
    empty = ["-"] * (len(heads) - 1)
    return [heads, *([row.label, *(found or empty)] for row, found in zip(table.rows, cells, strict=True))]


def _heads(table: Table, *, full: bool) -> list[str]:
    heads = ["", "seconds", "ratio"] if table.reference else ["", "seconds"]
    memory = [*(["memory when full"] if full else []), "peak memory"] if table.object_size else []
    return [*heads, "requests", "MB", "in flight", "CPU s", *memory]


def _cells(row: Measurement, table: Table) -> list[str]:
    median = row.median
    if median is None:
        return []
    cells = [f"{median:.3f}"]
    if table.reference:
        reference = table.row(table.reference)
        cells.append(f"{median / reference.median:.2f} x" if reference and reference.median else "-")
    cells += [f"{row.requests:,}", f"{row.sent / 1e6:,.1f}", str(row.in_flight), f"{row.median_cpu:.2f}"]
    if table.object_size:
        kept = [row.figures["steady"]] if row.figures else []
        cells += [_memory(size, table.object_size) for size in (*kept, row.median_peak)]
    return cells


def _memory(size: float | None, unit: int) -> str:
    return "-" if size is None else f"{size / unit:.2f} x ({size / MEBIBYTE:.0f} MiB)"


def _warm(row: Measurement) -> list[str]:
    figures = row.figures
    if not figures:
        return []
    sums = [figures[f"{who}_read"] + figures[f"{who}_seek_read"] for who in ("reader", "memory")]
    rates = ("reader_1_thread", "reader_8_threads", "memory_1_thread", "memory_8_threads")
    return [
        *(f"{figures[name]:.0f}" for name in _WARM.values()),
        f"{sums[0] / sums[1]:.1f} x",
        *(f"{figures[name] / 1e6:.2f}" for name in rates),
    ]


def _rates(row: Measurement, table: Table) -> list[str]:
    figures = row.figures
    if not figures:
        return []
    names = ("1_thread", "8_threads")
    reference = table.row(table.reference or "")
    ratios = [
        f"{figures[f'rate_{name}'] / reference.figures[f'rate_{name}']:.3f} x" if reference else "-" for name in names
    ]
    return [
        *(f"{figures[f'rate_{name}'] / 1e3:,.1f}" for name in names),
        *ratios,
        *(f"{figures[f'per_cpu_{name}'] / 1e3:,.1f}" for name in names),
        f"{row.requests:,}",
    ]
