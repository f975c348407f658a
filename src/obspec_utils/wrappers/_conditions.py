"""An object held in memory, and the requests it can answer as its store would."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from obspec_utils._plan import Span, resolve_length, resolve_range
from obspec_utils._results import Held, Result, join, join_async

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obspec import Attributes, ObjectMeta
    from obstore import Bytes

    from obspec_utils._buffers import Parts

__all__ = ["CachedObject", "Conditions", "conditions", "is_complete_range", "is_complete_ranges"]

_CONDITIONS = frozenset({"if_match", "if_none_match"})
# Stores differ in what they make of weak and of unquoted ETags, and of commas: those are for them to compare.
_STRONG_TAGS = re.compile(r'\s*"[^"*,]*"\s*(,\s*"[^"*,]*"\s*)*')
# How many bytes an object has at most: what is no range of such a one is left to the store at once.
_ANY_SIZE = 1 << 62


@dataclass(frozen=True, slots=True)
class Conditions:
    """The options of a get, as far as an object in memory can answer them."""

    range: object
    if_match: str | None
    if_none_match: str | None

    @property
    def conditional(self) -> bool:
        """Whether the answer depends on the object's ETag."""
        return self.if_match is not None or self.if_none_match is not None


def conditions(options: Mapping[str, Any] | None) -> Conditions | None:
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
    return Conditions(asked.get("range"), asked.get("if_match"), asked.get("if_none_match"))


def is_complete_range(start: object, end: object, length: object) -> bool:
    """Tell whether the arguments of a get_range make a range of some object."""
    return resolve_length(start, end, length, _ANY_SIZE) is not None


def is_complete_ranges(
    starts: Sequence[int],
    ends: Sequence[int] | None,
    lengths: Sequence[int] | None,
    options: Mapping[str, object],
) -> bool:
    """Tell whether the arguments of a get_ranges make ranges of some object, at least one.

    Of further options obstore's `coalesce` is known: from memory, it changes nothing.
    """
    if (ends is None) == (lengths is None) or set(options) - {"coalesce"}:
        return False
    stops = ends if lengths is None else lengths
    if len(starts) == 0 or len(starts) != len(cast("Sequence[int]", stops)):
        return False
    return all(is_complete_range(*triple) for triple in _triples(starts, ends, lengths))


def _triples(
    starts: Sequence[int], ends: Sequence[int] | None, lengths: Sequence[int] | None
) -> list[tuple[int, int | None, int | None]]:
    nothing = [None] * len(starts)
    return list(zip(starts, nothing if ends is None else ends, nothing if lengths is None else lengths, strict=True))


def _tags(value: str) -> list[str]:
    return [tag.strip() for tag in value.split(",")]


@dataclass(frozen=True, slots=True)
class CachedObject:
    """One version of an object, whole. Its methods return None where only the store can answer."""

    meta: ObjectMeta
    attributes: Attributes
    parts: Parts

    def get(self, asked: Conditions) -> Result | None:
        """Answer a get whose conditions hold; a condition that fails is left to the store, whose error it is."""
        tag = self.meta.get("e_tag")
        if asked.conditional and (tag is None or tag.startswith("W/")):
            return None
        if asked.if_match is not None and tag not in _tags(asked.if_match):
            return None
        if asked.if_none_match is not None and tag in _tags(asked.if_none_match):
            return None
        size = len(self.parts)
        span = Span(0, size) if asked.range is None else resolve_range(asked.range, size)
        if span is None:
            return None
        return Result(self.metadata(), (span.start, span.stop), dict(self.attributes), Held(self.parts))

    def get_range(self, start: int, end: int | None, length: int | None) -> Bytes | None:
        """Answer a get_range."""
        size = len(self.parts)
        span = resolve_length(start, end, length, size)
        if span is None:
            return None
        # All of it is asked for as `Result.buffer` is: in one buffer once and for all.
        return (join(self.parts) if span.length == size else self.parts).slice(*span)

    async def get_range_async(self, start: int, end: int | None, length: int | None) -> Bytes | None:
        """Answer a get_range; what has to be joined for it gives way to other tasks."""
        span = resolve_length(start, end, length, len(self.parts))
        if span is not None and span.length == len(self.parts):
            await join_async(self.parts)
        return self.get_range(start, end, length)

    def get_ranges(
        self, starts: Sequence[int], ends: Sequence[int] | None, lengths: Sequence[int] | None
    ) -> list[Bytes] | None:
        """Answer a get_ranges."""
        buffers = [self.get_range(*triple) for triple in _triples(starts, ends, lengths)]
        return None if None in buffers else cast("list[Bytes]", buffers)

    def metadata(self) -> ObjectMeta:
        """Return the object's metadata, as a dict of the caller's own."""
        return cast("ObjectMeta", dict(self.meta))
