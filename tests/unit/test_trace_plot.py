"""The picture of a trace: its shapes are where and as large as the requests were."""

from __future__ import annotations

import io
import sys
import warnings
from typing import Any

import numpy as np
import pytest

from obspec_utils.wrappers import RequestRecord, RequestTrace

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of pyparsing, in the lowest matplotlib
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure

MIB = 1 << 20
EPOCH = 1.7e9
BLUE, GREEN, RED = (to_rgb(color) for color in ("#0072B2", "#009E73", "#D55E00"))


def record(path: str, start: int, length: int, begin: float, duration: float | None, **more: Any) -> RequestRecord:
    more = {"bytes_received": length, "method": "get", **more}
    return RequestRecord(path, start, length, start + length, EPOCH + begin, duration, **more)


def boxes(axes: Any, collection: int = -1) -> list[tuple[float, ...]]:
    """Return left, right, low and high of each box of a collection."""
    drawn = [path.vertices for path in axes.collections[collection].get_paths()]
    return [
        tuple(round(float(value), 3) for value in (x.min(), x.max(), y.min(), y.max()))
        for x, y in (corners.T for corners in drawn)
    ]


def edges(axes: Any) -> list[tuple[float, ...]]:
    return [tuple(color[:3]) for color in axes.collections[-1].get_edgecolor()]


def labels(figure: Any) -> list[str]:
    return [text.get_text() for axes in figure.axes if axes.get_legend() for text in axes.get_legend().get_texts()]


TWO = [record("a.nc", 0, 2 * MIB, 0, 0.1), record("a.nc", 6 * MIB, 2 * MIB, 0.3, 0.2, method="get_range")]


def test_bars_are_in_the_order_of_the_requests_and_as_long_as_they_took() -> None:
    figure = RequestTrace(TWO[::-1]).plot()
    waterfall, places = figure.axes
    assert boxes(waterfall) == [(0, 100, 0.1, 0.9), (300, 500, 1.1, 1.9)]
    assert boxes(places) == [(0, 100, 0, 2), (300, 500, 6, 8)]
    assert edges(places) == [BLUE, GREEN]
    assert places.get_ylabel() == "offset (MiB)"
    assert places.get_xlabel().endswith("(ms)")
    assert places.get_ylim() == (0, 8)
    assert waterfall.get_ylim() == (2, 0)
    assert waterfall.get_title("left") == "2 requests, 4 MiB, at most 1 in flight"
    assert labels(figure) == ["get", "get_range", "4 KiB … 16 MiB"]


def test_long_traces_are_in_seconds() -> None:
    waterfall, places = RequestTrace([record("a", 0, 10, 0, 0.5), record("a", 90, 10, 2, 1)]).plot().axes
    assert boxes(waterfall)[1][:2] == (2, 3)
    assert places.get_xlabel().endswith("(s)")
    assert places.get_ylabel() == "offset (B)"


def test_the_more_bytes_the_darker() -> None:
    sizes = [0, 4096, 100_000, MIB, 16 * MIB, 64 * MIB]
    axes = RequestTrace([record("a", 0, size, number, 0.1) for number, size in enumerate(sizes)]).plot().axes
    red = [color[0] for color in axes[0].collections[-1].get_facecolor()]
    assert red == sorted(red, reverse=True)
    assert (red[0] == red[1], red[-1] == red[-2] == BLUE[0], len({round(it, 6) for it in red})) == (True, True, 4)


def test_bytes_that_had_been_received_are_red() -> None:
    ranges = [(0, 100), (50, 100), (0, 120), (120, 40), (300, 10), (0, 400), (0, 400)]
    figure = RequestTrace([record("a", *it, number, 0.1) for number, it in enumerate(ranges)]).plot()
    again = [color == RED for color in edges(figure.axes[1])]
    assert again == [False, False, True, True, False, False, True]
    assert "received before" in labels(figure)
    other = RequestTrace([record("a", 0, 100, 0, 0.1), record("b", 0, 100, 1, 0.1)]).plot()
    assert RED not in edges(other.axes[1])


def test_bytes_that_did_not_arrive_are_pale() -> None:
    figure = RequestTrace([record("a", 0, 100, 0, 0.1), record("a", 100, 100, 1, 0.1, bytes_received=30)]).plot()
    places = figure.axes[1]
    assert boxes(places, 0) == [(1, 1.1, 100, 200)]
    assert boxes(places, 1) == [(0, 0.1, 0, 100), (1, 1.1, 100, 130)]
    assert "not received" in labels(figure)


def test_failed_requests_are_marked_at_their_end() -> None:
    figure = RequestTrace([*TWO, record("a.nc", 0, 0, 0.5, 0.1, error="OSError")]).plot()
    (crosses,) = figure.axes[0].lines
    assert np.round(crosses.get_xydata(), 3).tolist() == [[600, 2.5]]
    assert "failed" in labels(figure)


def test_several_objects_are_on_top_of_each_other() -> None:
    long = "a/long/path/of/which/the/end/is/shown.nc"
    records = [*TWO, record(long, 50, 50, 0.4, 0.1), record(long, 0, 0, 0.5, 0.1, method="head")]
    figure = RequestTrace(records).plot()
    places = figure.axes[1]
    assert boxes(places) == [(0, 100, 0, 0.225), (300, 500, 0.675, 0.9), (400, 500, 1.45, 1.9)]
    assert [tick.get_text() for tick in places.get_yticklabels()] == ["a.nc\n8 MiB", "…the/end/is/shown.nc\n100 B"]
    assert places.get_ylabel() == "offset within each object"


def test_of_many_objects_some_are_named() -> None:
    records = [record(f"chunk/{number}", 0, 10, number, 1) for number in range(1000)]
    places = RequestTrace(records).plot().axes[1]
    assert [tick.get_text().split()[0] for tick in places.get_yticklabels()] == [
        f"chunk/{it}" for it in range(0, 1000, 125)
    ]
    assert len(places.lines) == 0


@pytest.mark.parametrize(
    "records",
    [
        [],
        [record("a", 0, 0, 0, None, method="head")],
        [record("a", 0, 0, 0, 0.1, error="FileNotFoundError")],
        [record("a", 5, -5, 0, 0.1, bytes_received=0)],
        [record("a", 0, 10, 0, 0.0)],
        [record("a", 0, 10, 0, 0.1, method="of one's own")],
        [record("_$x^$", 0, 10, 0, 0.1), record("{$", 0, 10, 0, 0.1)],
        TWO[:1],
    ],
)
def test_any_trace_has_a_picture(records: list[RequestRecord]) -> None:
    figure = RequestTrace(records).plot()
    for kind in ("png", "svg"):
        file = io.BytesIO()
        figure.savefig(file, format=kind)
        assert len(file.getvalue()) > 1000


def test_a_large_trace_is_a_few_shapes_and_pixels() -> None:
    records = [record("a", number * 7919 % 10_000, 10, number / 100, 0.5) for number in range(20_000)]
    figure = RequestTrace(records).plot()
    assert sum(len(axes.get_children()) for axes in figure.axes) < 50
    file = io.BytesIO()
    figure.savefig(file, format="svg")
    assert len(file.getvalue()) < 500_000


def test_notebooks_display_it_and_pyplot_knows_nothing() -> None:
    from matplotlib import pyplot as plt

    figure = RequestTrace(TWO).plot()
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    assert plt.get_fignums() == []


def test_it_is_drawn_into_given_axes() -> None:
    figure = Figure()
    pair = figure.subplots(1, 2)
    for given in (pair, list(pair), tuple(pair)):
        assert RequestTrace(TWO).plot(given) is figure
    assert [len(axes.collections) for axes in pair] == [3, 3]
    assert len(figure.axes) == 2


def test_it_is_drawn_into_one_axes_and_into_a_part_of_a_figure() -> None:
    figure = Figure()
    axes = figure.subfigures(1, 2)[1].subplots()
    assert RequestTrace(TWO).plot(ax=axes) is figure
    assert [len(panel.collections) for panel in axes.child_axes] == [1, 1]


@pytest.mark.parametrize("ax", ["waterfall", 5, Figure().subplots(3), [None, None], Figure()])
def test_anything_else_is_refused(ax: Any) -> None:
    with pytest.raises(TypeError, match="ax must be a matplotlib Axes or two of them, got "):
        RequestTrace(TWO).plot(ax)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "obspec_utils.wrappers.tracing._plot", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "obspec-utils\[plot\]"'):
        RequestTrace().plot()
