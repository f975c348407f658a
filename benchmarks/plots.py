"""One SVG plot for each table: bars from 0, dots where rows differ by a large factor, lines for sweeps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.results import Measurement, ScenarioResult, Table

__all__ = ["has_plot", "plot"]

# Distinguishable without red against green, and in grey.
_COLOURS = {"ours": "#0b6fa4", "0.9.0": "#d08a10", "alternative": "#7d8a94", "limit": "#3b4248"}
_NAMES = {"ours": "this version", "0.9.0": "0.9.0", "alternative": "alternatives", "limit": "limit"}
_WIDTH = 5.4  # inches: about a phone's width, so that text is as large as on the page
_ROW_HEIGHT = 0.37
_BELOW = 0.42  # of a row, from its text to its bar or dot
_MARGIN = 0.95  # for the legend above and the axis below
_MIN_ROWS = 3  # fewer are read in the table
_WIDE_RANGE = 12
_TICKS = tuple(factor * 10.0**power for power in range(-3, 4) for factor in (1, 2, 5))
_STYLE = {
    "axes.edgecolor": "#888888",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 8.5,
    "svg.fonttype": "none",  # text, which is sharp at any size and can be searched
    "svg.hashsalt": "obspec-utils",  # the same file from the same figures
}


def has_plot(table: Table) -> bool:
    """Return whether a table has enough rows for a plot."""
    return len(table.measured) >= _MIN_ROWS


def plot(result: ScenarioResult, folder: Path) -> None:
    """Write the plots of a scenario's tables into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in filter(has_plot, result.tables):
        with mpl.rc_context({**_STYLE}):
            figure = _sweep(table) if result.name == "scaling" else _rows(table, peak=result.name == "peak_memory")
            figure.savefig(folder / f"{table.name}.svg", metadata={"Creator": None, "Date": None})


def _rows(table: Table, *, peak: bool) -> Figure:
    rows = table.measured
    unit, values = _values(table, peak=peak)
    figure = Figure(figsize=(_WIDTH, len(rows) * _ROW_HEIGHT + _MARGIN), layout="constrained")
    axes = figure.subplots()
    least, most = min(item for item in values if item), max(values)
    wide = most > _WIDE_RANGE * least
    if wide:
        _draw_dots(axes, rows, values, least, most)
    else:
        places = [number + _BELOW for number in range(len(rows))]
        axes.barh(places, values, height=0.3, color=[_COLOURS[row.kind] for row in rows])
        axes.set_xlim(0, most)
    for number, (row, value) in enumerate(zip(rows, values, strict=True)):
        _label(axes, number, row, value, " s" if unit == "seconds" else "")
    axes.set(ylim=(len(rows) - 0.25, -0.35), yticks=[], xlabel=unit + (" (logarithmic)" if wide else ""))
    axes.spines["left"].set_visible(not wide)
    _legend(figure, {row.kind for row in rows})
    return figure


def _draw_dots(axes: Axes, rows: list[Measurement], values: list[float], least: float, most: float) -> None:
    for number, (row, value) in enumerate(zip(rows, values, strict=True)):
        axes.axhline(number + _BELOW, color="#dddddd", linewidth=0.8, zorder=0)
        axes.plot(value, number + _BELOW, "o", color=_COLOURS[row.kind], markersize=6.5, clip_on=False)
    axes.set_xscale("log")
    axes.set_xlim(least / 1.15, most * 1.15)
    ticks = [tick for tick in _TICKS if least / 1.15 <= tick <= most * 1.15]
    axes.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="x", color="#eeeeee")
    axes.set_axisbelow(True)


def _label(axes: Axes, number: int, row: Measurement, value: float, unit: str) -> None:
    """Write a row's name, and its figures, above its bar or dot."""
    figures = f"{float(f'{value:.3g}'):,g}"
    if not row.figures:
        figures += f"{unit} · {row.requests:,} req · {row.sent / 1e6:,.0f} MB"
    place = axes.get_yaxis_transform()
    weight = "bold" if row.kind == "ours" else "normal"
    axes.text(0.008, number, row.label, transform=place, va="center", weight=weight)
    axes.text(1, number, figures, transform=place, va="center", ha="right", color="#555555")


def _legend(figure: Figure, kinds: Iterable[str]) -> None:
    handles = [mpl.patches.Patch(color=_COLOURS[kind], label=name) for kind, name in _NAMES.items() if kind in kinds]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), frameon=False, handlelength=1)


def _values(table: Table, *, peak: bool) -> tuple[str, list[float]]:
    """Return the unit of a table's rows, and their values: their first figure, their peak memory or their time."""
    rows = table.measured
    name = next(iter(rows[0].figures), None)
    if name:
        return name, [row.figures[name] for row in rows]
    if peak:
        size = table.object_size or 1
        return "peak memory in units of the object", [(row.value("peak") or 0) / size for row in rows]
    return "seconds", [row.value("seconds") or 0.0 for row in rows]


def _sweep(table: Table) -> Figure:
    """Draw time by size, or rate by requests in flight or by their size."""
    question = table.name.split("-")[1]
    figure = Figure(figsize=(_WIDTH, 3.0), layout="constrained")
    axes = figure.subplots()
    if question == "size":
        _by_size(axes, table)
    else:
        _rates(axes, table, question)
    numbers = sorted({_number(row) for row in table.measured})
    axes.set_xscale("log")
    axes.set_xticks(numbers, labels=[str(number) for number in numbers])
    axes.minorticks_off()
    axes.grid(color="#eeeeee")
    axes.legend(frameon=False, loc="upper left")
    return figure


def _number(row: Measurement) -> int:
    found = re.search(r"(\d+) (?:MiB|in flight)", row.label)
    return int(found.group(1)) if found else 0


def _by_size(axes: Axes, table: Table) -> None:
    for name, kind, prefix in (
        ("EagerStoreReader", "ours", ""),
        ("obstore get()", "alternative", "obstore get(), "),
        ("obstore 18 threads", "limit", "obstore 18 threads, "),
    ):
        rows = [row for row in table.measured if re.fullmatch(rf"{re.escape(prefix)}\d+ MiB", row.label)]
        seconds = [row.value("seconds") for row in rows]
        axes.plot([_number(row) for row in rows], seconds, "o-", color=_COLOURS[kind], label=name, markersize=4)
    axes.set(yscale="log", ylabel="seconds (logarithmic)", xlabel="size of the object in MiB")
    axes.yaxis.set_major_formatter("{x:g}")


def _rates(axes: Axes, table: Table, question: str) -> None:
    rows = table.measured
    rates = [row.sent / 1e6 / (row.value("seconds") or 1.0) for row in rows]
    default, label = (18, "requests in flight") if question == "flight" else (12, "request_size in MiB")
    axes.plot([_number(row) for row in rows], rates, "o-", color=_COLOURS["ours"], markersize=4)
    axes.axvline(default, color=_COLOURS["0.9.0"], linestyle="--", linewidth=1, label=f"default: {default}")
    axes.set(ylabel="MB/s", ylim=(0, max(rates) * 1.25), xlabel=label)
