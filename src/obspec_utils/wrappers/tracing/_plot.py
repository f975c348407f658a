"""Pictures of a trace: requests over time, and what they read of their objects. Needs matplotlib."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, MaxNLocator

from obspec_utils._text import count, size
from obspec_utils.wrappers.tracing._objects import ObjectMap
from obspec_utils.wrappers.tracing._summary import summarize

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.artist import Artist
    from numpy.typing import NDArray

    from obspec_utils.wrappers.tracing._record import RequestRecord

__all__ = ["plot"]

# Distinguishable by people who see fewer colours, too (Okabe and Ito).
_COLORS = {"get": "#0072B2", "get_range": "#009E73", "get_ranges": "#CC79A7", "head": "#555555"}
_AGAIN, _FAILED = "#D55E00", "#D55E00"
# Shades: requests of at most `_SMALL` bytes are palest, of `_LARGE` and more darkest, on a logarithmic scale.
_SMALL, _LARGE = 4 * 1024, 16 * 1024 * 1024
_PALEST = 0.35
_UNUSED = 0.15
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


def _time_unit(ends: NDArray[Any]) -> tuple[float, str]:
    return (1000.0, "ms") if not len(ends) or ends.max() < 1 else (1.0, "s")


def _limits(ends: NDArray[Any]) -> tuple[float, float]:
    stop = float(ends.max()) if len(ends) else 0.0
    return -0.01 * (stop or 1.0), 1.02 * (stop or 1.0)


def _waterfall(axes: Axes, records: Sequence[RequestRecord], begins: Any, ends: Any) -> None:  # noqa: ANN401 - arrays
    """Draw a bar for each request, from top to bottom in the order in which they were made."""
    rows = np.arange(len(records)) + 0.5
    _draw(axes, _boxes(begins, ends, rows - 0.4, rows + 0.4), [_shade(record) for record in records])
    failed = [number for number, record in enumerate(records) if record.error is not None]
    if failed:
        axes.plot(ends[failed], rows[failed], "x", color=_FAILED, markersize=5, clip_on=False, zorder=3)
    axes.set_ylim(max(1, len(records)), 0)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylabel("requests")
    axes.set_title(_headline(records), loc="left", fontsize="medium")


def _map(axes: Axes, records: Sequence[RequestRecord], objects: ObjectMap, begins: Any, ends: Any) -> None:  # noqa: ANN401 - arrays
    """Draw a box for the bytes of each request: what was asked for in a pale shade, what arrived in a dark one."""
    asked, arrived = objects.asked, objects.arrived
    colors = [_AGAIN if again else _COLORS[record.method] for record, again in zip(records, objects.again, strict=True)]
    partly = np.flatnonzero(arrived[:, 1] < asked[:, 1]).tolist()
    boxes = _boxes(begins, ends, *asked.T)[partly]
    _draw(axes, boxes, [(*to_rgb(_COLORS[records[number].method]), _UNUSED) for number in partly])
    some = np.flatnonzero(arrived[:, 1] > arrived[:, 0]).tolist()
    _draw(axes, _boxes(begins, ends, *arrived.T)[some], [to_rgb(colors[number]) for number in some])
    axes.set_ylim(0, objects.top)
    if len(objects.labels) == 1:
        axes.set_ylabel(f"offset ({objects.unit})")
        return
    axes.set_ylabel("offset within each object")
    steps = range(0, len(objects.labels), -(-len(objects.labels) // _MAX_LABELS) or 1)
    axes.yaxis.set_major_locator(FixedLocator([number + 0.45 for number in steps]))
    axes.set_yticklabels([objects.labels[number] for number in steps], fontsize="small")
    if len(objects.labels) <= _MAX_LABELS:
        for number in range(1, len(objects.labels)):
            axes.axhline(number - 0.05, color="0.85", linewidth=0.8, zorder=0)


def _boxes(left: Any, right: Any, low: Any, high: Any) -> NDArray[Any]:  # noqa: ANN401 - arrays
    """Return the corners of rectangles."""
    return np.stack(
        [np.stack(corner, axis=-1) for corner in ((left, low), (right, low), (right, high), (left, high))], axis=1
    )


def _draw(axes: Axes, boxes: NDArray[Any], colors: Sequence[Any]) -> None:
    """Draw rectangles, each at least a line wide and high, in one collection."""
    if len(boxes):
        many = len(boxes) > _MAX_VECTORS
        drawn = PolyCollection(list(boxes), facecolors=colors, edgecolors=colors, linewidths=0.3 if many else 0.8)
        drawn.set_rasterized(many)
        axes.add_collection(drawn, autolim=False)


def _shade(record: RequestRecord) -> tuple[float, float, float]:
    """Return the colour of a method, the paler the fewer bytes arrived."""
    large = np.log2(max(record.bytes_received, _SMALL) / _SMALL) / np.log2(_LARGE / _SMALL)
    share = _PALEST + (1 - _PALEST) * min(1.0, float(large))
    red, green, blue = (1 - share * (1 - part) for part in to_rgb(_COLORS[record.method]))
    return red, green, blue


def _headline(records: Sequence[RequestRecord]) -> str:
    if not records:
        return "no requests"
    found = summarize(records, 0)
    parts = [f"{count(len(records))} request{'s' * (len(records) != 1)}", size(found["bytes_received"])]
    return ", ".join([*parts, f"at most {found['most_in_flight']} in flight"])


def _legend(axes: Axes, records: Sequence[RequestRecord], objects: ObjectMap) -> None:
    """Explain the colours in use, below both panels."""
    handles: list[Artist] = [
        Patch(color=_COLORS[method], label=method)
        for method in _COLORS
        if any(record.method == method for record in records)
    ]
    if any(objects.again):
        handles.append(Patch(color=_AGAIN, label="received before"))
    if (objects.arrived[:, 1] < objects.asked[:, 1]).any():
        handles.append(Patch(color="0.85", label="not received"))
    if any(record.error is not None for record in records):
        handles.append(Line2D([], [], color=_FAILED, marker="x", linestyle="", label="failed"))
    if handles:
        axes.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(0, -0.22),
            ncols=4,
            frameon=False,
            fontsize="small",
            borderaxespad=0,
        )
