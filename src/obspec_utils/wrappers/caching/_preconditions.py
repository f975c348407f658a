"""Which requests an object that is held in memory can answer as its store would."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from operator import index
from typing import TYPE_CHECKING, Any, SupportsIndex, cast

from obspec_utils._ranges import NO_OFFSET, ByteRange, resolve_length, resolve_range

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "UNCONDITIONAL",
    "WHOLE",
    "Preconditions",
    "RequestedRanges",
    "parse_preconditions",
    "ranges_of_get",
    "ranges_of_get_range",
    "ranges_of_get_ranges",
]

_CONDITIONS = frozenset({"if_match", "if_none_match"})
# Stores differ in what they make of weak and of unquoted ETags, and of commas: those are for them to compare.
_STRONG_TAGS = re.compile(r'\s*"[^"*,]*"\s*(,\s*"[^"*,]*"\s*)*')
# How many bytes an object has at most: what is no range of such a one is left to the store at once.
_ANY_SIZE = 1 << 62


@dataclass(frozen=True, slots=True)
class Preconditions:
    """The options of a get, as far as an object in memory can answer them."""

    range: object
    if_match: str | None
    if_none_match: str | None

    @property
    def conditional(self) -> bool:
        """Whether the answer depends on the object's ETag."""
        return self.if_match is not None or self.if_none_match is not None

    def hold(self, tag: str | None) -> bool:
        """Tell whether they hold for an object of this ETag; where one fails, the error is the store's own."""
        if not self.conditional:
            return True
        if tag is None or tag.startswith("W/"):
            return False
        if self.if_match is not None and tag not in _tags(self.if_match):
            return False
        return self.if_none_match is None or tag not in _tags(self.if_none_match)


UNCONDITIONAL = Preconditions(None, None, None)


def parse_preconditions(options: Mapping[str, Any] | None) -> Preconditions | None:
    """Read the options of a get; None where only the store can answer.

    That is: dates, version, head, `*`, weak and unquoted ETags, options of None, and what is no option or no range.
    """
    if options is not None and not isinstance(options, dict):
        return None
    asked = {name: value for name, value in (options or {}).items() if name != "head" or value is not False}
    tags = [asked[name] for name in _CONDITIONS if name in asked]
    if set(asked) - _CONDITIONS - {"range"}:
        return None
    if not all(isinstance(tag, str) and _STRONG_TAGS.fullmatch(tag) for tag in tags):
        return None
    if "range" in asked and resolve_range(asked["range"], _ANY_SIZE) is None:
        return None
    return Preconditions(asked.get("range"), asked.get("if_match"), asked.get("if_none_match"))


def _is_length(value: object) -> bool:
    try:
        return 0 <= index(cast("SupportsIndex", value)) < NO_OFFSET
    except TypeError:
        return False


def _tags(value: str) -> list[str]:
    return [tag.strip() for tag in value.split(",")]


@dataclass(frozen=True, slots=True)
class RequestedRanges:
    """The ranges that a request is for.

    Parameters
    ----------
    first
        The first of them, as far as it is known before the object's size is: it may run past the end. The last n bytes
        are the span from -n to 0.
    """

    first: ByteRange
    _resolve: Callable[[int], ByteRange | None] | Sequence[Callable[[int], ByteRange | None]]

    @property
    def single(self) -> bool:
        """Whether it is one range, which any store answers from one version."""
        return callable(self._resolve)

    @property
    def cover(self) -> ByteRange:
        """The one span that holds all ranges of a get_range or get_ranges."""
        spans = cast("list[ByteRange]", self.spans(_ANY_SIZE))
        return ByteRange(min(span.start for span in spans), max(span.stop for span in spans))

    def spans(self, size: int) -> list[ByteRange] | None:
        """Return the spans of an object of `size` bytes, or None where only the store can answer."""
        if callable(self._resolve):
            span = self._resolve(size)
            return None if span is None else [span]
        spans = [resolve(size) for resolve in self._resolve]
        return None if None in spans else cast("list[ByteRange]", spans)


WHOLE = RequestedRanges(ByteRange(0, _ANY_SIZE), partial(ByteRange, 0))


def ranges_of_get(asked: Preconditions) -> RequestedRanges:
    """Return what a get is for."""
    if asked.range is None:
        return WHOLE
    if isinstance(asked.range, dict) and "suffix" in asked.range:
        first = ByteRange(-index(asked.range["suffix"]), 0)
    else:
        first = cast("ByteRange", resolve_range(asked.range, _ANY_SIZE))
    return RequestedRanges(first, partial(resolve_range, asked.range))


def ranges_of_get_range(start: object, end: object, length: object) -> RequestedRanges | None:
    """Return what a get_range is for; None where only the store can answer."""
    first = resolve_length(start, end, length, _ANY_SIZE)
    return None if first is None else RequestedRanges(first, partial(resolve_length, start, end, length))


def ranges_of_get_ranges(
    starts: Sequence[int],
    ends: Sequence[int] | None,
    lengths: Sequence[int] | None,
    options: Mapping[str, object],
) -> RequestedRanges | None:
    """Return what a get_ranges is for; None where only the store can answer.

    Of further options obstore's `coalesce` is known: from memory, it changes nothing, if it is a number of bytes.
    """
    if (ends is None) == (lengths is None) or set(options) - {"coalesce"}:
        return None
    if not _is_length(options.get("coalesce", 0)):
        return None
    stops = ends if lengths is None else lengths
    if len(starts) == 0 or len(starts) != len(cast("Sequence[int]", stops)):
        return None
    nothing = [None] * len(starts)
    triples = zip(starts, nothing if ends is None else ends, nothing if lengths is None else lengths, strict=True)
    each = [ranges_of_get_range(*triple) for triple in triples]
    if None in each:
        return None
    ranges = cast("list[RequestedRanges]", each)
    return RequestedRanges(ranges[0].first, [cast("Callable[[int], ByteRange | None]", one._resolve) for one in ranges])  # noqa: SLF001 - its own class
