"""Parse preconditions and ranges of requests that a cached object can serve exactly as its store would."""

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
# Stores differ in how they compare weak ETags, unquoted ETags and commas, so the store serves these.
_STRONG_TAGS = re.compile(r'\s*"[^"*,]*"\s*(,\s*"[^"*,]*"\s*)*')
# Larger than any object: a range that is invalid even here is left to the store.
_ANY_SIZE = 1 << 62


@dataclass(frozen=True, slots=True)
class Preconditions:
    """The options of a get that a cached object can serve."""

    range: object
    if_match: str | None
    if_none_match: str | None

    @property
    def conditional(self) -> bool:
        """Whether the response depends on the object's ETag."""
        return self.if_match is not None or self.if_none_match is not None

    def satisfied_by(self, tag: str | None) -> bool:
        """Return whether an object with this ETag meets them; if not, the store serves the request."""
        if not self.conditional:
            return True
        if tag is None or tag.startswith("W/"):
            return False
        if self.if_match is not None and tag not in _tags(self.if_match):
            return False
        return self.if_none_match is None or tag not in _tags(self.if_none_match)


UNCONDITIONAL = Preconditions(None, None, None)


def parse_preconditions(options: Mapping[str, Any] | None) -> Preconditions | None:
    """Parse the options of a get; None if only the store can serve them.

    Only the store serves dates, version, head, `*`, weak and unquoted ETags, options of None, unknown options and
    invalid ranges.
    """
    if options is not None and not isinstance(options, dict):
        return None
    given = {name: value for name, value in (options or {}).items() if name != "head" or value is not False}
    tags = [given[name] for name in _CONDITIONS if name in given]
    if set(given) - _CONDITIONS - {"range"}:
        return None
    if not all(isinstance(tag, str) and _STRONG_TAGS.fullmatch(tag) for tag in tags):
        return None
    if "range" in given and resolve_range(given["range"], _ANY_SIZE) is None:
        return None
    return Preconditions(given.get("range"), given.get("if_match"), given.get("if_none_match"))


def _is_length(value: object) -> bool:
    try:
        return 0 <= index(cast("SupportsIndex", value)) < NO_OFFSET
    except TypeError:
        return False


def _tags(value: str) -> list[str]:
    return [tag.strip() for tag in value.split(",")]


@dataclass(frozen=True, slots=True)
class RequestedRanges:
    """The byte ranges of a request.

    Parameters
    ----------
    first
        The first range, before the object's size is known: it may run past the end. The last n bytes are -n to 0.
    """

    first: ByteRange
    _resolve: Callable[[int], ByteRange | None] | Sequence[Callable[[int], ByteRange | None]]

    @property
    def single(self) -> bool:
        """Whether it is one range, which any store serves from one version."""
        return callable(self._resolve)

    @property
    def cover(self) -> ByteRange:
        """The range that covers all ranges of a get_range or get_ranges."""
        spans = cast("list[ByteRange]", self.spans(_ANY_SIZE))
        return ByteRange(min(span.start for span in spans), max(span.stop for span in spans))

    def spans(self, size: int) -> list[ByteRange] | None:
        """Return the ranges of an object of `size` bytes; None if only the store can serve them."""
        if callable(self._resolve):
            span = self._resolve(size)
            return None if span is None else [span]
        spans = [resolve(size) for resolve in self._resolve]
        return None if None in spans else cast("list[ByteRange]", spans)


WHOLE = RequestedRanges(ByteRange(0, _ANY_SIZE), partial(ByteRange, 0))


def ranges_of_get(options: Preconditions) -> RequestedRanges:
    """Return the range of a get."""
    if options.range is None:
        return WHOLE
    if isinstance(options.range, dict) and "suffix" in options.range:
        first = ByteRange(-index(options.range["suffix"]), 0)
    else:
        first = cast("ByteRange", resolve_range(options.range, _ANY_SIZE))
    return RequestedRanges(first, partial(resolve_range, options.range))


def ranges_of_get_range(start: object, end: object, length: object) -> RequestedRanges | None:
    """Return the range of a get_range; None if only the store can serve it."""
    first = resolve_length(start, end, length, _ANY_SIZE)
    return None if first is None else RequestedRanges(first, partial(resolve_length, start, end, length))


def ranges_of_get_ranges(
    starts: Sequence[int],
    ends: Sequence[int] | None,
    lengths: Sequence[int] | None,
    options: Mapping[str, object],
) -> RequestedRanges | None:
    """Return the ranges of a get_ranges; None if only the store can serve them.

    The only known option is obstore's `coalesce`, which changes nothing for a cached object if it is valid.
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
