"""List the objects whose paths match a pattern.

A pattern is matched segment by segment. Case matters, and a dot is an ordinary character.

- `*` matches any characters of a segment, or none. `?` matches one character.
- `[abc]` and `[a-z]` match one character of a set, `[!a]` and `[^a]` one that is not in it. A `[` that is not closed in
  its segment is an ordinary character; `[[]`, `[*]` and `[?]` match the character inside.
- A segment `**` matches any number of segments, or none. At the end of a pattern it matches all objects below.

Slashes at the start of a pattern are ignored, because paths in a store have none. Only objects below the leading
segments without wildcards are listed. A pattern without wildcards costs one `head` request if the store has `head`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from obspec_utils._io.fork import check_fork_of_wrapped
from obspec_utils._io.listing import checked_listing, errors_redacted
from obspec_utils._io.not_found import is_below_a_file
from obspec_utils._io.response import has_method, unwrap
from obspec_utils._redact import redacted
from obspec_utils._validation import check_path, check_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from typing import Self

    from obspec import List, ListAsync, ObjectMeta

    from obspec_utils.typing import Path

__all__ = ["glob", "glob_async", "glob_objects", "glob_objects_async"]

# A leading "]" is a member of the set. Possessive quantifiers keep "[!]" and "[]" from being sets.
_TOKEN = re.compile(r"(?P<star>\*+)|\[(?P<negated>[!^]?+)(?P<members>\]?+[^\]]*)\]|.", re.DOTALL)
_RANGE = re.compile(r"(.)-(.)|(.)", re.DOTALL)


def glob(store: List, pattern: str) -> Iterator[Path]:
    """Iterate over the paths of the objects that match a pattern, in the order of the store's list.

    Parameters
    ----------
    store
        Any store with `list`, or with `head` for a pattern without wildcards.
    pattern
        A pattern such as `data/*.nc` or `data/**/*.nc`; see the syntax at the top of this module.

    Returns
    -------
    Iterator of str
        Requests are made as it is consumed, one page of the list at a time.

    Raises
    ------
    TypeError
        Immediately, if the store can't list or the pattern is not a str.
    ValueError
        Immediately, if the pattern is a URL instead of relative to the store.
    NotImplementedError
        From `next`, for an obstore HTTPStore whose URL has a path, which lists other paths than it reads.
    RuntimeError
        From `next`, in a process that was forked after obstore had started its threads.
    """
    return (meta["path"] for meta in glob_objects(store, pattern))


def glob_objects(store: List, pattern: str) -> Iterator[ObjectMeta]:
    """Iterate over the metadata of the objects that match a pattern; see [`glob`][obspec_utils.glob.glob]."""
    return _objects(store, _parse(store, pattern, "list", "head"))


def glob_async(store: ListAsync, pattern: str) -> AsyncIterator[Path]:
    """Iterate asynchronously over the paths of the objects that match; see [`glob`][obspec_utils.glob.glob]."""
    return (meta["path"] async for meta in glob_objects_async(store, pattern))


def glob_objects_async(store: ListAsync, pattern: str) -> AsyncIterator[ObjectMeta]:
    """Iterate asynchronously over the metadata of the objects that match; see [`glob`][obspec_utils.glob.glob]."""
    return _objects_async(store, _parse(store, pattern, "list_async", "head_async"))


def _parse(store: object, pattern: str, list_name: str, head_name: str) -> _Pattern:
    """Return the parsed pattern, if the store has the methods to search for it."""
    check_store(store, pattern)
    parsed = _Pattern.parse(check_path(pattern, name="pattern", example="data/*.nc"))
    if not has_method(store, list_name) and not (parsed.path is not None and has_method(store, head_name)):
        msg = f"{type(unwrap(store)).__name__} can't be searched for {redacted(pattern)!r}: it has no {list_name}()"
        raise TypeError(msg)
    return parsed


def _objects(store: List, pattern: _Pattern) -> Iterator[ObjectMeta]:
    check_fork_of_wrapped(store)
    for page in _pages(store, pattern):
        for meta in page:
            if pattern.matches(meta["path"]):
                yield meta
                if pattern.path is not None:
                    return
        check_fork_of_wrapped(store)  # again, because the process may have been forked since


async def _objects_async(store: ListAsync, pattern: _Pattern) -> AsyncIterator[ObjectMeta]:
    check_fork_of_wrapped(store)
    async for page in _pages_async(store, pattern):
        for meta in page:
            if pattern.matches(meta["path"]):
                yield meta
                if pattern.path is not None:
                    return
        check_fork_of_wrapped(store)


def _pages(store: Any, pattern: _Pattern) -> Iterator[Sequence[ObjectMeta]]:  # noqa: ANN401 - it may lack a method
    use_head = pattern.path is not None and has_method(store, "head")
    is_first = True
    try:
        if use_head:
            with errors_redacted():
                yield [store.head(pattern.path)]
        elif pattern.segments:
            with checked_listing(store):
                for page in store.list(pattern.prefix):
                    is_first = False
                    yield page
    except Exception as error:
        if not (is_first and _is_absent(error, use_head=use_head)):
            raise


async def _pages_async(store: Any, pattern: _Pattern) -> AsyncIterator[Sequence[ObjectMeta]]:  # noqa: ANN401
    use_head = pattern.path is not None and has_method(store, "head_async")
    is_first = True
    try:
        if use_head:
            with errors_redacted():
                yield [await store.head_async(pattern.path)]
        elif pattern.segments:
            with checked_listing(store):
                async for page in store.list_async(pattern.prefix):
                    is_first = False
                    yield page
    except Exception as error:
        if not (is_first and _is_absent(error, use_head=use_head)):
            raise


def _is_absent(error: Exception, *, use_head: bool) -> bool:
    """Return whether a path is missing, can't exist in this store, or leads through a file."""
    return (use_head and isinstance(error, FileNotFoundError | ValueError)) or is_below_a_file(error)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A parsed pattern.

    Attributes
    ----------
    segments
        The regular expression for each segment of a path; None for `**`. Empty for an empty pattern, which matches
        nothing.
    prefix
        The prefix to list: the leading segments without wildcards, except the last one, and a slash. None lists all.
    path
        The only path that can match, if the pattern has no wildcards.
    """

    segments: tuple[re.Pattern[str] | None, ...]
    prefix: Path | None
    path: Path | None

    @classmethod
    def parse(cls, pattern: str) -> Self:
        pattern = pattern.lstrip("/")
        segments = pattern.split("/") if pattern else []
        plain = list(takewhile(_is_plain, segments))
        path = pattern if pattern and len(plain) == len(segments) else None
        prefix = "/".join(plain[: len(segments) - 1]) if segments else ""
        if segments[-1:] == ["**"]:
            segments.append("*")  # "a/**" matches objects below "a", not "a" itself
        matchers = tuple(
            None if segment == "**" else re.compile(_translate(segment), re.DOTALL) for segment in segments
        )
        return cls(matchers, f"{prefix}/" if prefix else None, path)

    def matches(self, path: Path) -> bool:
        """Return whether a path matches, in quadratic time: only the last `**` may have to match one more segment."""
        names = path.split("/")
        position = current = 0
        backtrack: tuple[int, int] | None = None
        while position < len(names):
            matcher = self.segments[current] if current < len(self.segments) else _NEVER
            if matcher is None:
                current += 1
                backtrack = (position + 1, current)
            elif matcher.fullmatch(names[position]):
                position, current = position + 1, current + 1
            elif backtrack is not None:
                position, current = backtrack
                backtrack = (position + 1, current)
            else:
                return False
        return current == len(self.segments)


_NEVER = re.compile("(?!)")


def _is_plain(segment: str) -> bool:
    """Return whether a segment matches only itself. Empty ones don't count, because obstore refuses paths with them."""
    tokens = _TOKEN.finditer(segment)
    return segment != "" and all(token[0] != "?" and token["star"] is token["members"] for token in tokens)


def _translate(segment: str) -> str:
    """Return the regular expression for a segment.

    The part between two stars is an atomic group, because its first match is as good as a later one. So no name takes
    exponential time.
    """
    parts = [""]
    for token in _TOKEN.finditer(segment):
        if token["star"]:
            parts.append("")
        elif token["members"] is not None:
            parts[-1] += _translate_set(token["members"], negated=bool(token["negated"]))
        else:
            parts[-1] += "." if token[0] == "?" else re.escape(token[0])
    first, *others = parts
    if not others:
        return first
    return first + "".join(f"(?>.*?{part})" for part in others[:-1]) + ".*" + others[-1]


def _translate_set(members: str, *, negated: bool) -> str:
    ranges = ((low or single, high or single) for low, high, single in _RANGE.findall(members))
    allowed = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in ranges if low <= high)
    if not allowed:  # such as "[z-a]", which matches no character
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{allowed}]"
