"""Tables and verdicts as Markdown."""

from __future__ import annotations

import json
import os
import platform
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from benchmarks.columns import columns
from benchmarks.environments import REPOSITORY
from benchmarks.results import ScenarioResult

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from benchmarks.results import Table

__all__ = ["FOLDER", "kept", "machine", "markdown", "save", "write_page"]

FOLDER = REPOSITORY / "docs" / "benchmarks"
_RESULTS = FOLDER / "results"


def markdown(result: ScenarioResult) -> str:
    """Return a scenario's tables, each with what was found about it."""
    lines = [f"## {result.name}: {result.title}", ""]
    for table in result.tables:
        lines += [f"### {table.title}", "", *_table(table), ""]
        lines += [f"{row.label}: {row.note}.  " for row in table.rows if row.note]
        lines.append("")
        if not table.agreed:
            lines += ["**The rows did NOT all read the same bytes.**", ""]
    lines += [f"- {verdict}" for verdict in result.verdicts]
    lines += ["", *(f"![{result.title}]({plot})" for plot in result.plots)]
    return "\n".join(lines).rstrip() + "\n"


def _table(table: Table) -> list[str]:
    heads, *rows = columns(table)
    widths = [max(len(line[column]) for line in [heads, *rows]) for column in range(len(heads))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [_line(line, widths) for line in [heads, rule, *rows]]


def _line(cells: list[str], widths: list[int]) -> str:
    padded = [
        cells[0].ljust(widths[0]),
        *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)),
    ]
    return f"| {' | '.join(padded)} |"


def machine() -> str:
    """Say what the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GiB of memory, {python}"


def save(result: ScenarioResult) -> None:
    """Keep a scenario's figures beside the page, from which the page is made."""
    _RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine(), **result.to_json()}, indent=1)
    (_RESULTS / f"{result.name}.json").write_text(text + "\n")


def kept(order: Iterable[str]) -> list[ScenarioResult]:
    """Return the scenarios whose figures are kept, in that order."""
    return [ScenarioResult.from_json(content) for content in _contents(order)]


def _contents(order: Iterable[str]) -> list[dict[str, Any]]:
    paths = [_RESULTS / f"{name}.json" for name in order]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def write_page(order: Iterable[str]) -> Path:
    """Make the page of all figures that are kept."""
    introduction = files("benchmarks").joinpath("introduction.md").read_text()
    machines = {content["machine"] for content in _contents(order)}
    parts = map(markdown, kept(order))
    page = FOLDER / "index.md"
    page.write_text("\n".join([introduction.replace("MACHINE", "; ".join(sorted(machines))), *parts]))
    return page
