"""Judging figures: small functions from rows to verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.results import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.results import Measurement, Table

__all__ = ["at_most", "best", "within"]


def at_most(claim: str, value: float | None, limit: float | None, unit: str = "", digits: int = 2) -> Verdict:
    """Judge whether a figure keeps to a limit; None for either means that it was not measured."""
    if value is None or limit is None:
        return Verdict(claim, "-", "-", None)
    # Judged as measured, not as printed: more digits where rounding would make the line read as its opposite.
    while digits < 6 and (value <= limit) != (round(value, digits) <= round(limit, digits)):  # noqa: PLR2004
        digits += 1
    return Verdict(claim, f"{value:.{digits}f}{unit}", f"{limit:.{digits}f}{unit}", value <= limit)


def within(
    claim: str,
    table: Table,
    label: str,
    factor: float,
    other: Measurement | None,
    of: Callable[[Measurement], float | None] = lambda row: row.median,
) -> Verdict:
    """Judge whether a row's figure is at most `factor` times another row's; by default its median time."""
    row = table.row(label)
    value = of(row) if row else None
    reference = of(other) if other else None
    if value is None or not reference or other is None:
        return at_most(f"{claim}: {label}", None, None)
    return at_most(f"{claim}: {label} against {other.label}", value / reference, factor, " x")


def best(rows: Iterable[Measurement], memory: int | None = None) -> Measurement | None:
    """Return the fastest row, of those that keep at most `memory` bytes if that is given; no eager reader does."""
    fitting = [row for row in rows if memory is None or (row.memory is not None and row.memory <= memory)]
    return min(fitting, key=lambda row: row.median or 0.0, default=None)
