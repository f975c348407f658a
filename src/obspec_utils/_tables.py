"""Tables of counters, as text and as HTML for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from obspec_utils._text import count, seconds, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["html_table", "labelled", "text_table"]


def labelled(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a label and a text for each number. Its name tells the unit: `bytes_…`, `…_size`, `…_time`."""
    return [(name.replace("_", " "), _text(name, value)) for name, value in values.items()]


def _text(name: str, value: Any) -> str:  # noqa: ANN401 - a number, a text or None
    words = name.split("_")
    if "bytes" in words or words[-1] == "size":
        return size(value)
    if words[-1] in ("time", "duration"):
        return seconds(value)
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else count(value)


def text_table(rows: Iterable[Sequence[str]], heads: Sequence[str] = ()) -> str:
    """Return aligned lines: the first column to the left, the others to the right."""
    lines = [list(row) for row in ([heads] if heads else [])] + [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([label.ljust(widths[0]), *map(str.rjust, numbers, widths[1:])]) for label, *numbers in lines
    )


def html_table(rows: Iterable[Sequence[str]], heads: Sequence[str] = ()) -> str:
    """Return a table for notebooks. Without `heads`, the first column has the labels."""
    top = _html_row([("th", head) for head in heads]) if heads else ""
    label = "td" if heads else "th"
    body = "".join(_html_row([(label, row[0]), *(("td", text) for text in row[1:])]) for row in rows)
    return f"<table>{top}{body}</table>"


def _html_row(cells: Iterable[tuple[str, str]]) -> str:
    return "".join(["<tr>", *(f"<{tag}>{escape(text)}</{tag}>" for tag, text in cells), "</tr>"])
