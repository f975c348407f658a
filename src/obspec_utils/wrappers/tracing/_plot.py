"""Pictures of a trace: requests over time, and what they read of their objects. Needs matplotlib."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, MaxNLocator

from obspec_utils._text import count, size
from obspec_utils.wrappers.tracing._objects import ObjectMap
from obspec_utils.wrappers.tracing._summary import summarize

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from obspec_utils.wrappers.tracing._record import RequestRecord

__all__ = ["plot"]

_Array: TypeAlias = "NDArray[Any]"

# Distinguishable by people who see fewer colours, too (Okabe and Ito).
_COLORS = {"get": "#0072B2", "get_range": "#009E73", "get_ranges": "#CC79A7", "head": "#555555"}
_AGAIN, _FAILED = "#D55E00", "#D55E00"
# Shades: requests of at most `_SMALL` bytes are palest, of `_LARGE` and more darkest, on a logarithmic scale.
_SMALL, _LARGE = 4 * 1024, 16 * 1024 * 1024
_PALEST = 0.35
# What was not received is paler, and what was, inside its edges, a little.
_UNUSED, _INSIDE = 0.15, 0.6
# More shapes than this would make an SVG slow: they are drawn as pixels.
_MAX_VECTORS = 5000
_MAX_LABELS = 8


class _NotebookFigure(Figure):
    """A figure that notebooks display whether or not pyplot is in use."""

    def _repr_png_(self) -> bytes:
        image = BytesIO()
        self.savefig(image, format="png")
        return image.getvalue()


def plot(records: Sequence[RequestRecord], ax: Axes | Iterable[Axes] | None) -> Figure:
    """Draw the two panels, see `RequestTrace.plot`."""
    records = sorted(records, key=lambda record: record.timestamp)
    top, bottom = _panels(ax)
    begins = np.array([record.timestamp for record in records], dtype=float)
    begins -= begins.min() if records else 0.0
    ends = begins + [record.duration or 0.0 for record in records]
    scale, unit = _time_unit(ends)
    _waterfall(top, records, begins * scale, ends * scale)
    objects = ObjectMap(records)
    _map(bottom, records, objects, begins * scale, ends * scale)
    for panel in (top, bottom):
        panel.set_xlim(*_limits(ends * scale))
        panel.spines[["top", "right"]].set_visible(False)
    bottom.set_xlabel(f"time since the first request ({unit})")
    _legend(bottom, records, objects)
    figure = top.figure
    while not isinstance(figure, Figure):  # of a subfigure
        figure = figure.figure
    return figure


def _panels(ax: Axes | Iterable[Axes] | None) -> tuple[Axes, Axes]:
    """Return the axes of the two panels: new ones, those given, or both inside the one given."""
    if ax is None:
        figure = _NotebookFigure(figsize=(6.4, 6.0), layout="constrained")
        top, bottom = figure.subplots(2, sharex=True, height_ratios=(1, 1.3))
        return top, bottom
    if isinstance(ax, Axes):
        ax.set_axis_off()
        return ax.inset_axes((0, 0.6, 1, 0.4)), ax.inset_axes((0, 0, 1, 0.52))
    panels = list(np.ravel(np.asarray(ax, dtype=object)))  # as `pyplot.subplots` returns them
    if len(panels) != 2 or not all(isinstance(panel, Axes) for panel in panels):  # noqa: PLR2004 - panels
        msg = f"ax must be a matplotlib Axes or two of them, got {ax!r}"
        raise TypeError(msg)
    return panels[0], panels[1]


def _time_unit(ends: _Array) -> tuple[float, str]:
    return (1000.0, "ms") if not len(ends) or ends.max() < 1 else (1.0, "s")


def _limits(ends: _Array) -> tuple[float, float]:
    stop = float(ends.max()) if len(ends) else 0.0
    return -0.01 * (stop or 1.0), 1.02 * (stop or 1.0)


def _waterfall(axes: Axes, records: Sequence[RequestRecord], begins: _Array, ends: _Array) -> None:
    """Draw a bar for each request, from top to bottom in the order in which they were made."""
    rows = np.arange(len(records)) + 0.5
    sizes = np.array([record.bytes_received for record in records], dtype=float)
    large = np.log2(np.maximum(sizes, _SMALL) / _SMALL) / np.log2(_LARGE / _SMALL)
    shades = _PALEST + (1 - _PALEST) * np.minimum(large, 1)
    _draw(axes, _boxes(begins, ends, rows - 0.4, rows + 0.4), _pale(_colors(records), shades))
    failed = [number for number, record in enumerate(records) if record.error is not None]
    if failed:
        axes.plot(ends[failed], rows[failed], "x", color=_FAILED, markersize=5, clip_on=False, zorder=3)
    axes.set_ylim(max(1, len(records)), 0)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylabel("requests")
    axes.set_title(_headline(records), loc="left", fontsize="medium")


def _map(axes: Axes, records: Sequence[RequestRecord], objects: ObjectMap, begins: _Array, ends: _Array) -> None:
    """Draw a box for the bytes of each request: a pale one for the requested bytes, a dark one for the received."""
    requested, received, colors = objects.requested, objects.received, _colors(records)
    partly = received[:, 1] < requested[:, 1]
    _draw(axes, _boxes(begins, ends, *requested.T)[partly], _pale(colors[partly], _UNUSED))
    colors[objects.repeated] = to_rgb(_AGAIN)
    some = received[:, 1] > received[:, 0]
    _draw(axes, _boxes(begins, ends, *received.T)[some], _pale(colors[some], _INSIDE), colors[some])
    axes.set_ylim(0, objects.top)
    if len(objects.labels) == 1:
        axes.set_ylabel(f"offset ({objects.unit})")
        return
    axes.set_ylabel("offset within each object")
    steps = range(0, len(objects.labels), -(-len(objects.labels) // _MAX_LABELS) or 1)
    axes.yaxis.set_major_locator(FixedLocator([number + 0.45 for number in steps]))
    axes.set_yticklabels([objects.labels[number] for number in steps], fontsize="small", parse_math=False)
    if len(objects.labels) <= _MAX_LABELS:
        for number in range(1, len(objects.labels)):
            axes.axhline(number - 0.05, color="0.85", linewidth=0.8, zorder=0)


def _boxes(left: _Array, right: _Array, low: _Array, high: _Array) -> _Array:
    """Return the corners of rectangles."""
    corners = [(left, low), (right, low), (right, high), (left, high)]
    return np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)


def _draw(axes: Axes, boxes: Any, colors: _Array, edges: _Array | None = None) -> None:  # noqa: ANN401 - an array; the type hint of matplotlib leaves arrays out
    """Draw rectangles, each at least a line wide and high, in one collection."""
    if len(boxes):
        many = len(boxes) > _MAX_VECTORS
        edges = colors if edges is None else edges
        drawn = PolyCollection(boxes, facecolors=colors, edgecolors=edges, linewidths=0.3 if many else 0.8)
        drawn.set_rasterized(many)
        axes.add_collection(drawn, autolim=False)


def _colors(records: Sequence[RequestRecord]) -> _Array:
    """Return the colors of the requests' methods."""
    known = {method: to_rgb(color) for method, color in _COLORS.items()}
    return np.array([known.get(record.method, known["head"]) for record in records]).reshape(-1, 3)


def _pale(colors: _Array, shares: _Array | float) -> _Array:
    """Return colors mixed with white; `shares` tell how much of each remains."""
    mixed: _Array = 1 - np.reshape(shares, (-1, 1)) * (1 - colors)
    return mixed


def _headline(records: Sequence[RequestRecord]) -> str:
    if not records:
        return "no requests"
    found = summarize(records, 0)
    parts = [f"{count(len(records))} request{'s' * (len(records) != 1)}", size(found["bytes_received"])]
    return ", ".join([*parts, f"at most {found['most_in_flight']} in flight"])


def _legend(axes: Axes, records: Sequence[RequestRecord], objects: ObjectMap) -> None:
    """Explain the colours in use, below both panels."""
    used = {record.method for record in records}
    entries: list[tuple[str, Any]] = [
        (method, Patch(color=color)) for method, color in _COLORS.items() if method in used
    ]
    if entries:
        shades = _pale(np.array([to_rgb(entries[0][1].get_facecolor())]), np.array([_PALEST, 0.6, 1]))
        entries.append((f"{size(_SMALL)} … {size(_LARGE)}", tuple(Patch(color=tuple(shade)) for shade in shades)))
    if objects.repeated.any():
        entries.append(("received before", Patch(color=_AGAIN)))
    if (objects.received[:, 1] < objects.requested[:, 1]).any():
        entries.append(("not received", Patch(color="0.85")))
    if any(record.error is not None for record in records):
        entries.append(("failed", Line2D([], [], color=_FAILED, marker="x", linestyle="")))
    axes.legend(
        [handle for _, handle in entries],
        [label for label, _ in entries],
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0)},
        loc="upper right",
        bbox_to_anchor=(1, -0.2),
        ncols=4,
        frameon=False,
        fontsize="small",
        borderaxespad=0,
    )
