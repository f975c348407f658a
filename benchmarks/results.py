"""Measurements as values that go to JSON and back."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MEBIBYTE", "Kind", "Measurement", "ScenarioResult", "Table", "Verdict", "at_most", "best", "within"]

Kind = Literal["ours", "0.9.0", "alternative", "limit"]
MEBIBYTE = 1 << 20


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


@dataclass(slots=True)
class Measurement:
    """One row of a table.

    Parameters
    ----------
    memory
        Bytes that the reader may keep by its settings; None if unlimited.
    seconds, cpu, peak
        Of each run: wall time, the client's CPU time, and the growth of its peak memory in bytes.
    requests, sent, in_flight
        Of the last run, from the server's log: requests, body bytes, and the most concurrent requests.
    figures
        Figures that the task measures itself, by column head; the largest of all runs.
    note
        The reason if there are no figures.
    """

    label: str
    kind: Kind
    memory: int | None = None
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)
    requests: int = 0
    sent: int = 0
    in_flight: int = 0
    checksum: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    note: str = ""

    def value(self, name: str) -> float | None:
        """Return a figure, the median of `seconds`, `cpu` or `peak`, or a count from the server's log."""
        if name in self.figures:
            return self.figures[name]
        found = getattr(self, name, None)
        return _median(found) if isinstance(found, list) else found


@dataclass(slots=True)
class Table:
    """Rows that did the same work on the same network.

    Parameters
    ----------
    reference
        Label of the row to which the time ratios refer.
    object_size
        Size of the object, as the unit of peak memory; None omits that column.
    differing
        The rows read different objects, so their checksums differ.
    """

    name: str
    title: str
    rows: list[Measurement]
    reference: str | None = None
    object_size: int | None = None
    differing: bool = False

    @property
    def measured(self) -> list[Measurement]:
        """The rows that have figures."""
        return [row for row in self.rows if row.seconds]

    def row(self, label: str | None) -> Measurement | None:
        """Return the row of that label if it has figures."""
        return next((row for row in self.measured if row.label == label), None)

    def value(self, label: str, name: str = "seconds") -> float | None:
        """Return a value of the row of that label, or None if it has none."""
        row = self.row(label)
        return row.value(name) if row else None

    def of_kind(self, *kinds: Kind) -> list[Measurement]:
        """Return the rows of some kinds that have figures."""
        return [row for row in self.measured if row.kind in kinds]

    @property
    def agreed(self) -> bool:
        """Whether all rows read the same bytes."""
        return self.differing or len({row.checksum for row in self.measured}) <= 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a claim holds, and the figures that show it."""

    claim: str
    measured: str
    limit: str
    holds: bool | None

    def __str__(self) -> str:
        if self.holds is None:
            return f"not measured: {self.claim}"
        sign = "<=" if self.holds else ">"
        return f"{'holds' if self.holds else 'missed'}: {self.claim}: {self.measured} {sign} {self.limit}"


@dataclass(slots=True)
class ScenarioResult:
    """Tables and verdicts of one scenario."""

    name: str
    title: str
    tables: list[Table]
    verdicts: list[Verdict]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Return the result that `to_json` was called on."""
        tables = [
            Table(**{**table, "rows": [Measurement(**row) for row in table["rows"]]}) for table in content["tables"]
        ]
        verdicts = [Verdict(**it) for it in content["verdicts"]]
        return cls(content["name"], content["title"], tables, verdicts)


def at_most(claim: str, value: float | None, limit: float | None, unit: str = "", digits: int = 2) -> Verdict:
    """Judge whether a value keeps to a limit; None for either means that it was not measured."""
    if value is None or limit is None:
        return Verdict(claim, "-", "-", None)
    # More digits where rounding would print the line as its opposite.
    while digits < 6 and (value <= limit) != (round(value, digits) <= round(limit, digits)):  # noqa: PLR2004
        digits += 1
    return Verdict(claim, f"{value:.{digits}f}{unit}", f"{limit:.{digits}f}{unit}", value <= limit)


def within(
    claim: str, table: Table, label: str, factor: float, other: Measurement | None, *, beyond: float = 0.0
) -> Verdict:
    """Judge whether a row takes at most `factor` times another row's median time, both less `beyond` seconds."""
    own, reference = table.value(label), other.value("seconds") if other else None
    if own is None or reference is None or other is None:
        return at_most(f"{claim}: {label}", None, None)
    ratio = max(own - beyond, 0.0) / max(reference - beyond, 1e-9)
    return at_most(f"{claim}: {label} against {other.label}", ratio, factor, " x")


def best(rows: Iterable[Measurement], memory: int | None = None) -> Measurement | None:
    """Return the fastest row, of those limited to at most `memory` bytes if that is given."""
    fitting = [row for row in rows if memory is None or (row.memory is not None and row.memory <= memory)]
    return min(fitting, key=lambda row: row.value("seconds") or 0.0, default=None)
