"""What a reader has requested, used and kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from obspec_utils._tables import html_table, labelled, text_table

__all__ = ["ReaderStats"]


@dataclass(frozen=True, slots=True)
class ReaderStats:
    """What a reader has done so far.

    Attributes
    ----------
    requests
        Requests sent to the store, without retries.
    bytes_fetched
        Bytes received. What is fetched again after it was evicted counts again.
    bytes_used
        Bytes of the blocks and byte ranges that reads have used.
    bytes_kept
        Bytes in memory.
    bytes_wasted
        Bytes that were received and not used, so far.
    """

    requests: int
    bytes_fetched: int
    bytes_used: int
    bytes_kept: int
    bytes_wasted: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bytes_wasted", max(0, self.bytes_fetched - self.bytes_used))

    def __str__(self) -> str:
        return text_table(labelled(asdict(self)))

    def _repr_html_(self) -> str:
        return html_table(labelled(asdict(self)))
