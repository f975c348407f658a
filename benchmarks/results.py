"""What was measured, as values that go to JSON and come back."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

__all__ = ["MEBIBYTE", "Kind", "Measurement", "ScenarioResult", "Table", "Verdict"]

Kind = Literal["ours", "0.9.0", "alternative", "limit"]
MEBIBYTE = 1 << 20


@dataclass(slots=True)
class Measurement:
    """One row of a table: the runs of one way of doing the work.

    Parameters
    ----------
    memory
        Bytes that the reader may keep by its settings; None where that is not the question.
    seconds, cpu, peak
        Of each run: wall time, the client's CPU time, and the bytes by which its peak memory grew.
    requests, sent, in_flight
        Of the last run, from the server's log: requests, body bytes, and the most requests at once.
    figures
        What a task measures itself, the largest of all runs: the best rate, the most memory.
    note
        Why there are no figures, if there are none.
    """

    label: str
    kind: Kind
    memory: int | None = None
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)
    requests: int = 0
    sent: int = 0
    in_flight: int = 0
    checksum: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def median(self) -> float | None:
        """The median of the runs in seconds."""
        return statistics.median(self.seconds) if self.seconds else None

    @property
    def median_cpu(self) -> float | None:
        """The median of the client's CPU seconds."""
        return statistics.median(self.cpu) if self.cpu else None

    @property
    def median_peak(self) -> float | None:
        """The median growth of peak memory in bytes."""
        return statistics.median(self.peak) if self.peak else None


@dataclass(slots=True)
class Table:
    """Rows that did the same work on the same network.

    Parameters
    ----------
    reference
        Label of the row whose time the ratios are to.
    object_size
        Bytes of the object, for memory in units of it; None leaves that column out.
    differing
        The rows read different objects, so their checksums say nothing of each other.
    """

    name: str
    title: str
    rows: list[Measurement]
    reference: str | None = None
    object_size: int | None = None
    differing: bool = False

    def row(self, label: str) -> Measurement | None:
        """Return the row of that label if it has figures."""
        return next((row for row in self.rows if row.label == label and row.seconds), None)

    def of_kind(self, *kinds: Kind) -> list[Measurement]:
        """Return the rows of some kinds that have figures."""
        return [row for row in self.rows if row.kind in kinds and row.seconds]

    @property
    def agreed(self) -> bool:
        """Whether all rows read the same bytes."""
        return self.differing or len({row.checksum for row in self.rows if row.seconds}) <= 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether something that must show does, with the figures it was judged by."""

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
    """Everything one scenario has to say."""

    name: str
    title: str
    tables: list[Table]
    verdicts: list[Verdict]
    plots: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Return what `to_json` was made from."""
        content = {name: value for name, value in content.items() if name != "machine"}
        tables = [
            Table(**{**table, "rows": [Measurement(**row) for row in table["rows"]]}) for table in content["tables"]
        ]
        return cls(**{**content, "tables": tables, "verdicts": [Verdict(**it) for it in content["verdicts"]]})
