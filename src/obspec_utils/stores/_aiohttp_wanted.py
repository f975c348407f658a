"""The options of a get, checked, as a method, headers and a range. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from operator import index
from typing import TYPE_CHECKING, Any

from obspec_utils._ranges import ByteRange
from obspec_utils._redact import shown
from obspec_utils.stores._aiohttp_errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Range", "Wanted", "parse_options", "parse_range", "parse_ranges"]

_CONDITIONS = {
    "if_match": "If-Match",
    "if_none_match": "If-None-Match",
    "if_modified_since": "If-Modified-Since",
    "if_unmodified_since": "If-Unmodified-Since",
}
_OPTIONS = (*_CONDITIONS, "range", "head", "version")


@dataclass(frozen=True, slots=True)
class Range:
    """A range before the object's size is known: `start` to `stop` (None: the end), or the last `suffix` bytes."""

    start: int = 0
    stop: int | None = None
    suffix: int | None = None

    @property
    def header(self) -> str:
        """The value of the Range header."""
        if self.suffix is not None:
            return f"bytes=-{self.suffix}"
        return f"bytes={self.start}-{'' if self.stop is None else self.stop - 1}"

    def within(self, size: int) -> ByteRange:
        """Return the range of an object of `size` bytes; empty if the object has none of its bytes."""
        if self.suffix is not None:
            return ByteRange(max(0, size - self.suffix), size)
        start = min(self.start, size)
        return ByteRange(start, max(start, size if self.stop is None else min(self.stop, size)))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a get asks for.

    Attributes
    ----------
    conditions
        The headers of conditions.
    range
        None for the whole object.
    head
        Whether only the headers are wanted.
    """

    conditions: dict[str, str] = field(default_factory=dict)
    range: Range | None = None
    head: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the request."""
        return self.conditions if self.range is None else {**self.conditions, "Range": self.range.header}


def parse_options(options: object) -> Wanted:
    """Return what the options of a get ask for.

    Raises
    ------
    TypeError, ValueError
        If an option is unknown or has a wrong value.
    NotSupportedError
        If a version is asked for.
    """
    if options is None:
        return Wanted()
    if not isinstance(options, Mapping):
        msg = f"options must be a dict such as {{'range': (0, 10)}}, got {shown(options)}"
        raise TypeError(msg)
    for name in options:
        if name not in _OPTIONS:
            msg = f"options must be among {', '.join(_OPTIONS)}, got {shown(name)}"
            raise ValueError(msg)
    if options.get("version") is not None:
        msg = f"version must be None: HTTP servers have no versions, got {shown(options['version'])}"
        raise NotSupportedError(msg)
    head = options.get("head", False)
    if not isinstance(head, bool):
        msg = f"head must be True or False, got {shown(head)}"
        raise TypeError(msg)
    conditions = {_CONDITIONS[name]: _condition(name, options[name]) for name in _CONDITIONS if _has(options, name)}
    return Wanted(conditions, parse_range(options["range"]) if "range" in options else None, head)


def _has(options: Mapping[str, object], name: str) -> bool:
    return options.get(name) is not None


def _condition(name: str, value: object) -> str:
    if name.endswith("since"):
        if not isinstance(value, datetime) or value.utcoffset() is None:
            msg = f"{name} must be a datetime with a time zone, got {shown(value)}"
            raise TypeError(msg)
        return format_datetime(value.astimezone(UTC), usegmt=True)
    if not isinstance(value, str):
        msg = f"{name} must be a str such as '\"tag\"', got {shown(value)}"
        raise TypeError(msg)
    if not (value.isprintable() and value.isascii()):
        msg = f"{name} must be printable ASCII, got {shown(value)}"
        raise ValueError(msg)
    return value


def parse_range(value: object) -> Range:
    """Return the range of the `range` option: (start, stop), {"offset": n} or {"suffix": n}."""
    try:
        found = _range(value)
    except (TypeError, ValueError, LookupError):
        found = None
    if found is None:
        forms = "(start, stop) with 0 <= start < stop, {'offset': n} or {'suffix': n}"
        msg = f"range must be {forms}, got {shown(value)}"
        raise ValueError(msg)
    return found


def _range(value: Any) -> Range | None:  # noqa: ANN401 - any argument of a caller
    if isinstance(value, Mapping):
        ((kind, number),) = value.items()
        number = index(number)
        if kind == "suffix":
            return Range(suffix=number) if number > 0 else None
        return Range(number) if kind == "offset" and number >= 0 else None
    if isinstance(value, str | bytes):
        return None
    start, stop = map(index, value)
    return Range(start, stop) if 0 <= start < stop else None


def parse_ranges(
    starts: Sequence[int], ends: Sequence[int] | None = None, lengths: Sequence[int] | None = None
) -> list[Range]:
    """Return the ranges of get_ranges.

    Raises
    ------
    ValueError
        If both or none of `ends` and `lengths` are given, if there are more or fewer than starts, or if a range is
        empty or negative.
    TypeError
        If an offset is no integer.
    """
    if (ends is None) == (lengths is None):
        msg = f"pass either end or length, got {'neither' if ends is None else 'both'}"
        raise ValueError(msg)
    stops = ends if ends is not None else lengths
    if stops is None or len(starts) != len(stops):
        msg = f"pass one end or length for each start, got {len(stops or ())} for {len(starts)}"
        raise ValueError(msg)
    ranges = []
    for first, last in zip(starts, stops, strict=True):
        start = index(first)
        stop = index(last) if lengths is None else start + index(last)
        if not 0 <= start < stop:
            msg = f"a range must have 0 <= start < end, got start {start} and end {stop}"
            raise ValueError(msg)
        ranges.append(Range(start, stop))
    return ranges
