"""Results as JSON files, and as Markdown tables on the page."""

from __future__ import annotations

import json
import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.environments import REPOSITORY
from benchmarks.plots import has_plot
from benchmarks.results import MEBIBYTE, ScenarioResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.results import Measurement, Table

__all__ = ["PLOTS", "load", "machine", "markdown", "save", "write_page"]

_FOLDER = REPOSITORY / "docs" / "benchmarks"
PLOTS = _FOLDER / "plots"
_RESULTS = _FOLDER / "results"
_PAGE = Path(__file__).with_name("page.md")
_MISSING = "\N{REPLACEMENT CHARACTER}"  # a figure that was not measured: its row is left out of the summary


def markdown(result: ScenarioResult) -> str:
    """Return a scenario's tables and verdicts."""
    return _markdown(result, _whole_table)


def _page_of(result: ScenarioResult) -> str:
    """Return a scenario's plots, tables and verdicts for the page, with the command that measures them."""
    return _markdown(result, _plotted_table, f'`make bench ARGS="--only {result.name}"`')


def _markdown(result: ScenarioResult, show: Callable[[Table], list[str]], *command: str) -> str:
    lines = [f"## {result.title}", "", *command, ""]
    for table in result.tables:
        lines += [f"### {table.title}", "", f"`{table.name}`", "", *show(table), ""]
        if not table.agreed:
            lines += ["**The rows did NOT all read the same bytes.**", ""]
    if result.verdicts:
        lines += ["### Verdicts", "", *(f"- {verdict}" for verdict in result.verdicts)]
    return "\n".join(lines).replace("\n\n\n", "\n\n").rstrip() + "\n"


def _whole_table(table: Table) -> list[str]:
    notes = [f"- {row.label}: {row.note}." for row in table.rows if row.note]
    return [*_table(table), *([""] if notes else []), *notes]


def _plotted_table(table: Table) -> list[str]:
    """Return a table's plot, and the table below it, folded."""
    if not has_plot(table):
        return _whole_table(table)
    plot = f"![{table.title}](plots/{table.name}.svg)"
    return [
        plot,
        "",
        '<details markdown="1"><summary>All figures</summary>',
        "",
        *_whole_table(table),
        "",
        "</details>",
    ]


def _table(table: Table) -> list[str]:
    heads, *rows = _cells(table)
    widths = [max(len(line[column]) for line in [heads, *rows]) for column in range(len(heads))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        for line in [heads, rule, *rows]
    ]
    return [f"| {' | '.join(line)} |" for line in lines]


def _cells(table: Table) -> list[list[str]]:
    """Return the heads, and below them each row's label and cells: its own figures, or its time and requests."""
    figures = list(dict.fromkeys(name for row in table.rows for name in row.figures))
    peak = ["peak memory"] if table.object_size else []
    if figures:
        heads = [*figures, "requests", *peak]
    else:
        ratio = ["ratio"] if table.reference else []
        heads = ["seconds", *ratio, "requests", "MB", "in flight", "CPU s", *peak]
    missing = ["-"] * len(heads)
    cells = [
        [row.label, *([_cell(row, head, table) for head in heads] if row.seconds else missing)] for row in table.rows
    ]
    return [["", *heads], *cells]


def _cell(row: Measurement, head: str, table: Table) -> str:
    if head in row.figures:
        return f"{float(f'{row.figures[head]:.3g}'):,.{2 if row.figures[head] < 10 else 0}f}"  # noqa: PLR2004
    median = row.value("seconds") or 0.0
    peak = row.value("peak")
    cells = {
        "seconds": f"{median:.3f}",
        "requests": f"{row.requests:,}",
        "MB": f"{row.sent / 1e6:,.1f}",
        "in flight": str(row.in_flight),
        "CPU s": f"{row.value('cpu') or 0.0:.2f}",
    }
    if head == "ratio":
        reference = table.value(table.reference or "")
        return f"{median / reference:.2f} x" if reference else "-"
    if head == "peak memory" and table.object_size and peak is not None:
        return f"{peak / table.object_size:.2f} x ({peak / MEBIBYTE:.0f} MiB)"
    return cells.get(head, "-")


def machine() -> str:
    """Describe the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GiB of memory, {python}"


def save(result: ScenarioResult) -> None:
    """Write a scenario's figures, from which the page is made."""
    _RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine(), **result.to_json()}, indent=1)
    (_RESULTS / f"{result.name}.json").write_text(text + "\n")


def load(order: Iterable[str]) -> list[ScenarioResult]:
    """Return the saved scenarios in that order."""
    return [ScenarioResult.from_json(content) for content in _contents(order)]


def _contents(order: Iterable[str]) -> list[dict[str, Any]]:
    paths = [_RESULTS / f"{name}.json" for name in order]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def write_page(order: Iterable[str]) -> Path:
    """Write the page of all saved figures: a summary, the results, the method."""
    names = list(order)
    results = load(names)
    tables = {table.name: table for result in results for table in result.tables}
    text = re.sub(r"\{\{(.+?)\}\}", lambda found: _figure(tables, found[1]), _PAGE.read_text())
    text = re.sub(rf"^\|.*{_MISSING}.*\n|\s*\({_MISSING} s\)", "", text, flags=re.MULTILINE).replace(_MISSING, "-")
    machines = "; ".join(sorted({content["machine"] for content in _contents(names)}))
    text = text.replace("MACHINE", machines).replace("RESULTS", "\n".join(map(_page_of, results)).rstrip())
    page = _FOLDER / "index.md"
    page.write_text(text)
    return page


def _figure(tables: dict[str, Table], reference: str) -> str:
    """Return the figure at "table | row | value" or, with "| other row", its ratio to the other row's."""
    name, label, value, *other = (part.strip() for part in reference.split("|"))
    table = tables.get(name)
    figures = [table.value(row, value) if table else None for row in (label, *other)]
    if table is None or None in figures:
        return _MISSING
    first, *second = (float(figure or 0) for figure in figures)
    if value == "peak":
        first /= table.object_size or 1
    return f"{first / second[0]:.2f} times" if second else f"{first:.2f}"
