"""An inspection, and its report."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from obspec_utils._redact import redacted
from obspec_utils._text import count, seconds, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from obspec_utils._inspect._records import Advice, Array, Cost, Metadata

__all__ = ["Inspection"]

_WIDTH = 80
_HEAD = ("name", "shape", "dtype", "chunk", "chunks", "stored", "requests", "seconds")


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the structure of a file says about the cost of reading it.

    Attributes
    ----------
    path, format, size
        Path of the object, its format, and its size in bytes.
    metadata
        Its metadata, and where it lies.
    arrays
        Its variables or images.
    opening
        Estimated cost of reading all of its metadata.
    whole
        Estimated cost of loading the whole object.
    advice
        What would make reading it cheaper.
    unread
        What could not be inspected, and why.
    requests, bytes_fetched
        What the inspection itself has requested.
    """

    path: str
    format: str
    size: int
    metadata: Metadata
    arrays: tuple[Array, ...]
    opening: Cost
    whole: Cost
    advice: tuple[Advice, ...]
    unread: tuple[str, ...]
    requests: int
    bytes_fetched: int

    def to_dict(self) -> dict[str, Any]:
        """Return the inspection as a dict of numbers, strings, lists and dicts, as JSON has them."""
        return asdict(self)

    def __str__(self) -> str:
        """Return a report of lines of up to 80 characters, longer names excepted."""
        return "\n".join(_lines(self))


def _lines(inspection: Inspection) -> Iterator[str]:
    metadata = inspection.metadata
    paged = f", in pages of {size(metadata.page_size)}" if metadata.page_size else ""
    yield _printable(f"{redacted(inspection.path)}: {inspection.format}, {size(inspection.size)}")
    yield ""
    extent = size(metadata.stop - metadata.start)
    yield f"metadata      {size(metadata.bytes)} in {_some(metadata.structures, 'structure')}{paged}"
    yield f"              {_some(metadata.pieces, 'piece')} over {extent}"
    yield f"opening       {_cost(inspection.opening)}"
    yield f"loading all   {_cost(inspection.whole)}"
    yield f"inspected by  {_some(inspection.requests, 'request')}, {size(inspection.bytes_fetched)}"
    if inspection.arrays:
        yield ""
        yield from _table(inspection.arrays)
    for text in inspection.unread:
        yield from textwrap.wrap(_printable(f"Not read: {text}"), _WIDTH, subsequent_indent="  ")
    yield ""
    yield from _advice(inspection.advice)
    yield ""
    yield "Costs are estimates for a latency of 30 ms and 50 MB/s a connection."


def _some(number: int, what: str) -> str:
    return f"{count(number)} {what}{'' if number == 1 else 's'}"


def _cost(cost: Cost) -> str:
    requests = f"{_some(cost.requests, 'request')} in {_some(cost.round_trips, 'round trip')}"
    return f"{requests}, {size(cost.bytes)}, {seconds(cost.seconds)}"


def _advice(advice: Sequence[Advice]) -> Iterator[str]:
    if not advice:
        yield "Nothing in its layout makes this file slow to read."
    for number, item in enumerate(advice):
        yield from textwrap.wrap(
            _printable(f"* {item.text}"), _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
        if item.command and item.command not in {later.command for later in advice[number + 1 :]}:
            yield f"    {_printable(item.command)}"


def _table(arrays: Sequence[Array]) -> Iterator[str]:
    rows = [_HEAD, *(_row(array) for array in arrays)]
    widths = [max(len(row[column]) for row in rows) for column in range(1, len(_HEAD))]
    used = sum(widths) + 2 * len(widths)
    name = min(max(len(row[0]) for row in rows), max(_WIDTH - used, len(_HEAD[0])))
    for row in rows:
        cells = [row[1].ljust(widths[0]), row[2].ljust(widths[1]), row[3].ljust(widths[2])]
        cells += [cell.rjust(width) for cell, width in zip(row[4:], widths[3:], strict=True)]
        if len(row[0]) > name:
            yield row[0]
        yield "  ".join([(row[0] if len(row[0]) <= name else "").ljust(name), *cells]).rstrip()


def _row(array: Array) -> tuple[str, ...]:
    cost = array.cost
    return (
        _printable(array.name),
        _shape(array.shape),
        array.dtype,
        array.layout if array.chunk_shape is None else _shape(array.chunk_shape),
        count(array.chunks) if array.chunk_shape else "-",
        size(array.stored_bytes),
        count(cost.requests if cost else None),
        seconds(cost.seconds if cost else None),
    )


def _shape(shape: Sequence[int]) -> str:
    return "x".join(str(length) for length in shape) or "scalar"


def _printable(text: str) -> str:
    """Return a text without control characters, which a name may have, and with what can't be encoded escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
