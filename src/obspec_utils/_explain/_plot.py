"""Plot a comparison."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

from obspec_utils._text import count, seconds, size

try:
    from matplotlib.figure import Figure
except ModuleNotFoundError as _error:
    _message = 'Explanation.plot() needs matplotlib: pip install "obspec-utils[plot]"'
    raise ModuleNotFoundError(_message, name=_error.name) from _error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

    from obspec_utils._explain._rows import ExplanationRow

__all__ = ["plot"]

_CHOSEN, _OTHER, _FAILED = "#1f77b4", "#9bb8cf", "#d0d0d0"
# In characters: a URL may be long.
_TITLE_WIDTH = 95
# For the text behind the longest bar.
_MARGIN = 1.35


def plot(title: str, compared: Sequence[ExplanationRow], recommended: str | None) -> Figure:
    """Return a figure with three panels of bars, which share the readers at the left."""
    rows = [row for row in compared if row.trace is not None]
    figure = Figure(figsize=(8, 1.2 + 0.32 * len(rows)), layout="constrained")
    panels: Sequence[Axes] = figure.subplots(1, 3, sharey=True)
    colours = [_colour(row, recommended) for row in rows]
    _bars(panels[0], "time", [row.seconds for row in rows], seconds, colours)
    _bars(panels[1], "bytes received", [float(row.bytes_received) for row in rows], size, colours)
    _bars(panels[2], "requests", [float(row.requests) for row in rows], lambda it: count(int(it)), colours)
    panels[0].set_yticks(range(len(rows)), [_label(row) for row in rows])
    panels[0].invert_yaxis()
    figure.suptitle(fill(title, _TITLE_WIDTH), fontsize="medium")
    return figure


def _bars(
    axes: Axes, title: str, values: Sequence[float], text: Callable[[float], str], colours: Sequence[str]
) -> None:
    bars = axes.barh(range(len(values)), values, color=colours)
    axes.bar_label(bars, [text(value) for value in values], padding=3, fontsize="small")
    axes.set_xlim(0, max([*values, 1e-9]) * _MARGIN)
    axes.set_xticks([])
    axes.tick_params(left=False)
    axes.set_title(title, fontsize="medium")
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def _label(row: ExplanationRow) -> str:
    return row.reader if row.error is None else f"{row.reader} (error)"


def _colour(row: ExplanationRow, recommended: str | None) -> str:
    if row.error is not None:
        return _FAILED
    return _CHOSEN if row.reader == recommended else _OTHER
