"""Plots: bars for tables of rows, lines for sweeps over a number."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.results import Measurement, ScenarioResult, Table

__all__ = ["plot"]

# Distinguishable without red against green, and in grey.
_COLOURS = {"ours": "#0b6fa4", "0.9.0": "#e0a030", "alternative": "#9aa5ad", "limit": "#3b4248"}
_NAMES = {"ours": "this version", "0.9.0": "0.9.0", "alternative": "alternatives", "limit": "limit"}
_WIDTH = 9.0
_BAR_HEIGHT = 0.27
_WIDE_RANGE = 12
_TICKS = tuple(factor * 10.0**power for power in range(-3, 4) for factor in (1, 2, 5))

mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10})


def plot(result: ScenarioResult, folder: Path) -> None:
    """Write a scenario's plot into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = [table for table in result.tables if table.measured]
    figure = _lines(tables) if result.name == "scaling" else _bars(tables, peak=result.name == "peak_memory")
    figure.savefig(folder / f"{result.name}.png", dpi=110, metadata={"Software": None})


def _bars(tables: list[Table], *, peak: bool) -> Figure:
    counts = [len(table.measured) for table in tables]
    figure = Figure(figsize=(_WIDTH, sum(counts) * _BAR_HEIGHT + len(tables) * 0.85 + 0.3), layout="constrained")
    axes = figure.subplots(len(tables), 1, squeeze=False, height_ratios=[count + 1 for count in counts])[:, 0]
    for place, table in zip(axes, tables, strict=True):
        _draw_bars(place, table, peak=peak)
    kinds = {row.kind for table in tables for row in table.measured}
    handles = [mpl.patches.Patch(color=_COLOURS[kind], label=name) for kind, name in _NAMES.items() if kind in kinds]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), frameon=False)
    return figure


def _values(table: Table, *, peak: bool) -> tuple[str, list[float]]:
    """Return the unit of a table's bars, and each row's value: its first figure, its peak memory or its time."""
    rows = table.measured
    name = next(iter(rows[0].figures), None)
    if name:
        return name, [row.figures[name] for row in rows]
    if peak:
        return "peak memory in units of the object", [
            (row.value("peak") or 0) / (table.object_size or 1) for row in rows
        ]
    return "seconds", [row.value("seconds") or 0.0 for row in rows]


def _draw_bars(axes: Axes, table: Table, *, peak: bool) -> None:
    rows = table.measured
    unit, values = _values(table, peak=peak)
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
        f" {float(f'{item:.3g}'):,g}" + ("" if row.figures else f"   {row.requests:,} req, {row.sent / 1e6:,.0f} MB")
        for row, item in zip(rows, values, strict=True)
    ]
    axes.bar_label(bars, labels, fontsize=8, color="#333333")
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set_title(re.sub(r" (?=\([^(]*$)", "\n", table.title) if len(table.title) > 85 else table.title, loc="left")  # noqa: PLR2004
    axes.set_xlabel(unit + (", logarithmic" if wide else ""))
    axes.tick_params(axis="y", length=0)


def _lines(tables: list[Table]) -> Figure:
    """Draw one column per network, one line of axes per question."""
    networks = list(dict.fromkeys(table.name.rsplit("-", 1)[1] for table in tables))
    questions = ("size", "flight", "request")
    figure = Figure(figsize=(_WIDTH, 9.5), layout="constrained")
    axes = figure.subplots(len(questions), len(networks), squeeze=False)
    for table in tables:
        question, network = table.name.split("-")[1:]
        place = axes[questions.index(question), networks.index(network)]
        if question == "size":
            _by_size(place, table, network)
        else:
            _rates(place, table, network, question)
    return figure


def _number(row: Measurement) -> int:
    found = re.search(r"(\d+) (?:MiB|in flight)", row.label)
    return int(found.group(1)) if found else 0


def _by_size(axes: Axes, table: Table, network: str) -> None:
    for name, kind, prefix in (
        ("EagerStoreReader", "ours", ""),
        ("obstore get()", "alternative", "obstore get(), "),
        ("obstore 18 threads", "limit", "obstore 18 threads, "),
    ):
        rows = [row for row in table.measured if re.fullmatch(rf"{re.escape(prefix)}\d+ MiB", row.label)]
        seconds = [row.value("seconds") for row in rows]
        axes.plot([_number(row) for row in rows], seconds, "o-", color=_COLOURS[kind], label=name, markersize=4)
    axes.set(yscale="log", ylabel="seconds")
    _ticks(axes, table, f"{network}: time by size", "size of the object in MiB")


def _rates(axes: Axes, table: Table, network: str, question: str) -> None:
    rows = table.measured
    rates = [row.sent / 1e6 / (row.value("seconds") or 1.0) for row in rows]
    default = 18 if question == "flight" else 12
    axes.plot([_number(row) for row in rows], rates, "o-", color=_COLOURS["ours"], markersize=4)
    axes.axvline(default, color=_COLOURS["0.9.0"], linestyle="--", linewidth=1, label=f"default: {default}")
    axes.set(ylabel="MB/s", ylim=(0, None))
    if question == "flight":
        _ticks(axes, table, f"{network}: rate by requests in flight, 4 MiB each", "max_concurrent_requests")
    else:
        _ticks(axes, table, f"{network}: rate by request_size, 18 in flight", "request_size in MiB")


def _ticks(axes: Axes, table: Table, title: str, label: str) -> None:
    numbers = sorted({_number(row) for row in table.measured})
    axes.set_xscale("log")
    axes.set_xticks(numbers, labels=[str(number) for number in numbers])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.set_title(title, loc="left")
    axes.set_xlabel(label)
    axes.legend(frameon=False, loc="upper left")
