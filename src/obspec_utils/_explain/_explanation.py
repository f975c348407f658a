"""The comparison that `explain` returns: as text, HTML, a dict and a plot."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from obspec_utils._tables import html_table, text_table
from obspec_utils._text import count, seconds, size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.figure import Figure

    from obspec_utils._explain._network import Network
    from obspec_utils._explain._rows import ExplanationRow, Waste

__all__ = ["Explanation"]

_WIDTH = 100
_HEADS = ("reader", "requests", "trips", "received", "amplif.", "unused", "time", "memory")


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """What a workload takes through each reader, and which one to use.

    `str()` is a table, notebooks show it in HTML.

    Attributes
    ----------
    path
        The object.
    size
        Its size in bytes.
    workload
        The name of the workload.
    network
        The network for which the times were computed; None if they were measured.
    rows
        A row for each reader, the simplest first.
    recommendation
        A sentence: which reader to use, and why.
    recommended
        The name of that reader, or None.
    wastes
        The largest waste of each kind, with what avoids it.
    """

    path: str
    size: int
    workload: str
    network: Network | None
    rows: tuple[ExplanationRow, ...]
    recommendation: str
    recommended: str | None
    wastes: tuple[Waste, ...]

    @property
    def title(self) -> str:
        """The workload, the object, and where the times are from."""
        times = "times measured here" if self.network is None else f"times computed for {self.network}"
        return f"{self.workload} of {self.path!r} ({size(self.size)}), {times}"

    def __repr__(self) -> str:
        return f"<Explanation: {self.title}. {self.recommendation}>"

    def __str__(self) -> str:
        table = text_table([self._cells(row) for row in self.rows], _HEADS)
        parts = [_wrapped([self.title]), table, _wrapped(self._errors()), _wrapped([self.recommendation])]
        return "\n\n".join(filter(None, [*parts, _wrapped(map(str, self.wastes))]))

    def _repr_html_(self) -> str:
        table = html_table([self._cells(row) for row in self.rows], _HEADS)
        items = "".join(f"<li>{escape(note)}</li>" for note in [*self._errors(), *map(str, self.wastes)])
        return f"<p>{escape(self.title)}</p>{table}<p><b>{escape(self.recommendation)}</b></p><ul>{items}</ul>"

    def _cells(self, row: ExplanationRow) -> tuple[str, ...]:
        mark = "* " if row.reader == self.recommended else "  "
        if row.trace is None:
            return (mark + row.reader, *("-" for _ in _HEADS[1:]))
        numbers = (count(row.requests), count(row.round_trips), size(row.bytes_received), f"{row.amplification:.2f}")
        time = "error" if row.error is not None else seconds(row.seconds)
        return (mark + row.reader, *numbers, size(row.unused_bytes), time, size(row.peak_memory))

    def _errors(self) -> list[str]:
        """Return each error, with the readers that had it."""
        readers: dict[str, list[str]] = {}
        for row in self.rows:
            if row.error is not None:
                readers.setdefault(row.error, []).append(row.reader)
        every = len(self.rows)
        return [
            f"{'All readers' if len(names) == every else '; '.join(names)}: {error}" for error, names in readers.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the traces, in types that JSON has."""
        return {
            "path": self.path,
            "size": self.size,
            "workload": self.workload,
            "network": None if self.network is None else asdict(self.network),
            "rows": [row.to_dict() for row in self.rows],
            "recommendation": self.recommendation,
            "recommended": self.recommended,
            "wastes": [waste.to_dict() for waste in self.wastes],
        }

    def plot(self) -> Figure:
        """Plot the seconds, bytes and requests of each reader.

        Returns
        -------
        matplotlib.figure.Figure
            Three panels of horizontal bars.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        """
        from obspec_utils._explain._plot import plot  # noqa: PLC0415 - it imports an extra

        return plot(self.title, self.rows, self.recommended)


def _wrapped(texts: Iterable[str]) -> str:
    """Return texts one below the other, none wider than a table."""
    options: dict[str, Any] = {"subsequent_indent": "  ", "break_long_words": False, "break_on_hyphens": False}
    return "\n".join(line for text in texts for line in wrap(text, _WIDTH, **options))
