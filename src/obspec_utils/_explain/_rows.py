"""The results of `explain`, as numbers."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from obspec_utils._explain._timeline import Timeline
    from obspec_utils.wrappers import RequestTrace

__all__ = ["ExplanationRow", "Waste", "WasteKind"]

WasteKind: TypeAlias = Literal["duplicate bytes", "unused bytes", "requests in sequence", "idle connections"]


@dataclass(frozen=True, slots=True)
class ExplanationRow:
    """What a workload took through one reader.

    Attributes
    ----------
    reader
        The reader, and the wrappers of its store.
    code
        The Python expression that makes it.
    requests
        Requests sent to the store.
    round_trips
        Round trips in sequence: the length of the longest chain of requests, each of which was sent after the response
        to the one before had begun.
    bytes_received, unique_bytes
        Bytes received, and those of them that are different bytes of the object.
    bytes_used
        Bytes received that the workload has read.
    seconds
        Seconds from opening the reader to the end of the workload: measured, or computed for the network.
    peak_memory
        The most bytes that the reader and the cache of its store kept at once, as they count them: what was kept before
        a read of the workload, with all that arrived for it, or what was kept after it. What a read returned belongs
        to the workload and is not included, nor is what the workload made of it.
    error
        The type and message of the error that ended the workload, or why the reader was not run; None if it ran to its
        end. The numbers are those until then.
    is_cached
        Whether the store was wrapped by a cache. Such rows are not recommended: a cache is for what is read again.
    trace
        The requests; None if the reader was not run.
    """

    reader: str
    code: str
    requests: int = 0
    round_trips: int = 0
    bytes_received: int = 0
    unique_bytes: int = 0
    bytes_used: int = 0
    seconds: float = 0.0
    peak_memory: int = 0
    error: str | None = None
    is_cached: bool = field(default=False, repr=False)
    trace: RequestTrace | None = field(default=None, repr=False, compare=False)
    timeline: Timeline | None = field(default=None, repr=False, compare=False)

    @property
    def amplification(self) -> float:
        """Bytes received for each different byte; 1 if nothing was received."""
        return self.bytes_received / self.unique_bytes if self.unique_bytes else 1.0

    @property
    def duplicate_bytes(self) -> int:
        """Bytes received again."""
        return self.bytes_received - self.unique_bytes

    @property
    def unused_bytes(self) -> int:
        """Bytes received that the workload has not read, without duplicates."""
        return self.unique_bytes - self.bytes_used

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers, for JSON."""
        numbers = {it.name: getattr(self, it.name) for it in fields(self) if it.name not in ("trace", "timeline")}
        derived = ("amplification", "duplicate_bytes", "unused_bytes")
        return {**numbers, **{name: getattr(self, name) for name in derived}}


@dataclass(frozen=True, slots=True)
class Waste:
    """What a reader wasted on a workload.

    Attributes
    ----------
    kind
        "duplicate bytes", "unused bytes", "requests in sequence" or "idle connections".
    reader
        The reader, as in its row.
    share
        The part of its bytes, or of its time, from 0 to 1.
    text
        What was wasted, with the numbers.
    setting
        What avoids it.
    """

    kind: WasteKind
    reader: str
    share: float
    text: str
    setting: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.reader} {self.text}. {self.setting}."

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return {it.name: getattr(self, it.name) for it in fields(self)}
