"""Plots: bars for every table of rows, lines for what depends on a number."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.results import Measurement, ScenarioResult, Table

__all__ = ["plot"]

# Told apart without red against green, and in grey.
_COLOURS = {"ours": "#0b6fa4", "0.9.0": "#e0a030", "alternative": "#9aa5ad", "limit": "#3b4248"}
_NAMES = {"ours": "this version", "0.9.0": "0.9.0", "alternative": "alternatives", "limit": "limit"}
_WIDTH = 9.0
_BAR_HEIGHT = 0.27
_WIDE_RANGE = 12
_LONGEST_TITLE = 85
# Three digits would need an exponent.
_THOUSAND = 1000
_TICKS = tuple(factor * 10.0**power for power in range(-3, 4) for factor in (1, 2, 5))

mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10})


def plot(result: ScenarioResult, folder: Path) -> list[str]:
    """Write a scenario's plots into a folder; return their file names."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{result.name.lower()}.png"
    if result.name == "B9":
        figure = _lines(result.tables)
    elif result.name == "B7":
        unit = "times io.BytesIO: read(100) plus seek and read(100)"
        figure = _bars(result.tables, _against_memory, lambda _: unit)
    elif result.name == "B3":
        figure = _bars(result.tables, _in_objects, lambda _: "peak memory in units of the object")
    elif result.name == "B10":
        figure = _bars(result.tables, _of_caches, _unit_of_caches)
    else:
        figure = _bars(result.tables, lambda row, _: row.median or 0.0, lambda _: "seconds")
    figure.savefig(folder / name, dpi=110, metadata={"Software": None})
    return [name]


def _against_memory(row: Measurement, _: Table) -> float:
    figures = row.figures
    own = figures["reader_read"] + figures["reader_seek_read"]
    return own / (figures["memory_read"] + figures["memory_seek_read"])


def _in_objects(row: Measurement, table: Table) -> float:
    return (row.median_peak or 0.0) / (table.object_size or 1)


def _of_caches(row: Measurement, table: Table) -> float:
    figures = row.figures
    if "steady" in figures:
        return figures["steady"] / (table.object_size or 1)
    return figures["rate_1_thread"] / 1e3 if figures else row.median or 0.0


def _unit_of_caches(table: Table) -> str:
    figures = _shown(table)[0].figures
    if "steady" in figures:
        return "memory when full, in units of the budget"
    return "thousand calls a second, 1 thread" if figures else "seconds"


def _bars(tables: list[Table], value: Callable[[Measurement, Table], float], unit: Callable[[Table], str]) -> Figure:
    tables = [table for table in tables if _shown(table)]
    counts = [len(_shown(table)) for table in tables]
    figure = Figure(figsize=(_WIDTH, sum(counts) * _BAR_HEIGHT + len(tables) * 0.85 + 0.3), layout="constrained")
    axes = figure.subplots(len(tables), 1, squeeze=False, height_ratios=[count + 1 for count in counts])[:, 0]
    for place, table in zip(axes, tables, strict=True):
        _draw_bars(place, table, value, unit(table))
    kinds = {row.kind for table in tables for row in _shown(table)}
    handles = [mpl.patches.Patch(color=_COLOURS[kind], label=name) for kind, name in _NAMES.items() if kind in kinds]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), frameon=False)
    return figure


def _shown(table: Table) -> list[Measurement]:
    return [row for row in table.rows if row.seconds]


def _draw_bars(axes: Axes, table: Table, value: Callable[[Measurement, Table], float], unit: str) -> None:
    rows = _shown(table)
    values = [value(row, table) for row in rows]
    bars = axes.barh([row.label for row in rows], values, color=[_COLOURS[row.kind] for row in rows], height=0.75)
    least, most = min(item for item in values if item), max(values)
    wide = most > _WIDE_RANGE * least
    if wide:
        axes.set_xscale("log")
        axes.set_xlim(least / 2, most * (most / least) ** 0.4)
        axes.set_xticks([tick for tick in _TICKS if least / 2 <= tick <= most * 2])
        axes.xaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
    else:
        axes.set_xlim(0, most * 1.35)
    labels = [
        (f" {item:,.0f}" if item >= _THOUSAND else f" {item:.3g}")
        + ("" if row.figures else f"   {row.requests:,} req, {row.sent / 1e6:,.0f} MB")
        for row, item in zip(rows, values, strict=True)
    ]
    axes.bar_label(bars, labels, fontsize=8, color="#333333")
    axes.invert_yaxis()
    axes.margins(y=0.01)
    title = table.title if len(table.title) <= _LONGEST_TITLE else "\n(".join(table.title.rsplit(" (", 1))
    axes.set_title(title, loc="left")
    axes.set_xlabel(unit + (", logarithmic" if wide else ""))
    axes.tick_params(axis="y", length=0)


def _lines(tables: list[Table]) -> Figure:
    """One column per network, one line of axes per question."""
    columns = list(dict.fromkeys(table.name.rsplit("-", 1)[1] for table in tables))
    figure = Figure(figsize=(_WIDTH, 9.5), layout="constrained")
    axes = figure.subplots(3, len(columns), squeeze=False)
    for table in tables:
        question, network = table.name.split("-")[1:]
        line, draw = {"size": (0, _by_size), "flight": (1, _by_flight), "request": (2, _by_request)}[question]
        draw(axes[line, columns.index(network)], table, network)
    return figure


def _number(row: Measurement) -> int:
    found = re.search(r"(\d+) (?:MiB|in flight)", row.label)
    return int(found.group(1)) if found else 0


def _by_size(axes: Axes, table: Table, network: str) -> None:
    lines = (("", "ours"), ("obstore get(), ", "alternative"), ("obstore 18 threads, ", "limit"))
    for prefix, colour in lines:
        rows = [row for row in _shown(table) if row.label.startswith(prefix) and (prefix or row.kind == "ours")]
        numbers, seconds = [_number(row) for row in rows], [row.median or 0.0 for row in rows]
        name = prefix.rstrip(", ") or "EagerStoreReader"
        axes.plot(numbers, seconds, "o-", color=_COLOURS[colour], label=name, markersize=4)
    axes.set(yscale="log", xlabel="size of the object in MiB", ylabel="seconds")
    axes.set_title(f"{network}: time by size", loc="left")
    _ticks(axes, [_number(row) for row in table.rows])
    axes.legend(frameon=False)


def _by_flight(axes: Axes, table: Table, network: str) -> None:
    _rates(axes, table, default=18)
    axes.set_xlabel("most requests in flight")
    axes.set_title(f"{network}: rate by requests in flight, 4 MiB each", loc="left")


def _by_request(axes: Axes, table: Table, network: str) -> None:
    _rates(axes, table, default=12)
    axes.set_xlabel("request_size in MiB")
    axes.set_title(f"{network}: rate by request_size, 18 in flight", loc="left")


def _rates(axes: Axes, table: Table, default: int) -> None:
    rows = _shown(table)
    rates = [row.sent / 1e6 / (row.median or 1.0) for row in rows]
    axes.plot([_number(row) for row in rows], rates, "o-", color=_COLOURS["ours"], markersize=4)
    axes.axvline(default, color=_COLOURS["0.9.0"], linestyle="--", linewidth=1, label=f"default: {default}")
    axes.set_ylabel("MB/s")
    axes.set_ylim(bottom=0)
    _ticks(axes, [_number(row) for row in rows])
    axes.legend(frameon=False, loc="upper left")


def _ticks(axes: Axes, numbers: list[int]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(sorted(set(numbers)), labels=[str(number) for number in sorted(set(numbers))])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
