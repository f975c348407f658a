"""List the objects whose paths match a pattern.

A pattern is matched segment by segment, case counts, and a dot is like any other character:

- `*` matches any characters of a segment, also none, and `?` matches one;
- `[abc]`, `[a-z]` match one character of a set, `[!a]` (or `[^a]`) one that is not in it. A `[` that is never closed in
  its segment stands for itself, and `[[]`, `[*]`, `[?]` for the character within;
- a segment `**` matches any number of segments, also none; at the end of a pattern it matches everything below.

Slashes at the start of a pattern are ignored, as paths in a store have none. Only what is below the longest prefix of
whole segments without wildcards is listed. A pattern without wildcards costs one `head` request, if the store has that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from obspec_utils._io.fork import check_fork_below
from obspec_utils._io.not_found import is_below_a_file
from obspec_utils._io.request import has_method
from obspec_utils._io.response import unwrap
from obspec_utils._redact import redacted
from obspec_utils._validation import check_path, check_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
    from typing import Self

    from obspec import List, ListAsync, ObjectMeta

    from obspec_utils.typing import Path

__all__ = ["glob", "glob_async", "glob_objects", "glob_objects_async"]

# A "]" that comes first in a set is a member of it. Possessive, so that "[!]" and "[]" are not taken for sets.
_TOKEN = re.compile(r"(?P<star>\*+)|\[(?P<negated>[!^]?+)(?P<members>\]?+[^\]]*)\]|.", re.DOTALL)
_RANGE = re.compile(r"(.)-(.)|(.)", re.DOTALL)


def glob(store: List, pattern: str) -> Iterator[Path]:
    """Iterate over the paths of the objects that match a pattern, in the order the store lists them.

    Parameters
    ----------
    store
        Any store that can list.
    pattern
        Such as `data/*.nc` or `data/**/*.nc`; the top of this module tells the syntax.

    Returns
    -------
    Iterator of str
        Lists as it is consumed: nothing is requested before the first `next`, and no page before it is needed.

    Raises
    ------
    TypeError
        At once, if the store can't list, or the pattern is not a str.
    ValueError
        At once, if the pattern is a URL: it is relative to the store.
    RuntimeError
        From the first `next`, in a process that was forked after obstore's threads had started.
    """
    return (meta["path"] for meta in glob_objects(store, pattern))


def glob_objects(store: List, pattern: str) -> Iterator[ObjectMeta]:
    """Iterate over the metadata of the objects that match a pattern, else like [`glob`][obspec_utils.glob.glob]."""
    return _objects(store, _checked(store, pattern, "list", "head"))


def _objects(store: List, wanted: _Pattern) -> Iterator[ObjectMeta]:
    check_fork_below(store)
    for chunk in _candidates(store, wanted):
        for meta in chunk:
            if wanted.matches(meta["path"]):
                yield meta
                if wanted.path is not None:
                    return
        check_fork_below(store)  # again: the process may have been forked since


def glob_async(store: ListAsync, pattern: str) -> AsyncIterator[Path]:
    """Iterate asynchronously over the paths of the objects that match; the twin of [`glob`][obspec_utils.glob.glob]."""
    return (meta["path"] async for meta in glob_objects_async(store, pattern))


def glob_objects_async(store: ListAsync, pattern: str) -> AsyncIterator[ObjectMeta]:
    """Iterate asynchronously; the twin of [`glob_objects`][obspec_utils.glob.glob_objects]."""
    return _objects_async(store, _checked(store, pattern, "list_async", "head_async"))


async def _objects_async(store: ListAsync, wanted: _Pattern) -> AsyncIterator[ObjectMeta]:
    check_fork_below(store)
    async for chunk in _candidates_async(store, wanted):
        for meta in chunk:
            if wanted.matches(meta["path"]):
                yield meta
                if wanted.path is not None:
                    return
        check_fork_below(store)


def _checked(store: object, pattern: str, lists: str, heads: str) -> _Pattern:
    """Return a pattern that a store can be searched for."""
    check_store(store, pattern)
    wanted = _Pattern.parse(check_path(pattern, name="pattern", example="data/*.nc"))
    if not has_method(store, lists) and not (wanted.path is not None and has_method(store, heads)):
        msg = f"{type(unwrap(store)).__name__} can't be searched for {redacted(pattern)!r}: it has no {lists}()"
        raise TypeError(msg)
    return wanted


def _method(store: object, name: str) -> Any:  # noqa: ANN401 - typed where it is asked for
    """Return a method that a store, or the one that a wrapper stands for, may lack."""
    return getattr(store, name) if has_method(store, name) else None


def _candidates(store: List, wanted: _Pattern) -> Iterable[Sequence[ObjectMeta]]:
    head: Callable[[Path], ObjectMeta] | None = _method(store, "head")
    if wanted.path is None or head is None:
        return _listed(store.list(wanted.prefix)) if wanted.segments else ()
    try:
        return ([head(wanted.path)],)
    except Exception as error:
        if not _is_absent(error):
            raise
        return ()


def _candidates_async(store: ListAsync, wanted: _Pattern) -> AsyncIterable[Sequence[ObjectMeta]]:
    head: Callable[[Path], Awaitable[ObjectMeta]] | None = _method(store, "head_async")
    if wanted.path is not None and head is not None:
        return _head_async(head, wanted.path)
    return _listed_async(store.list_async(wanted.prefix)) if wanted.segments else _nothing_async()


async def _head_async(head: Callable[[Path], Awaitable[ObjectMeta]], path: Path) -> AsyncIterator[Sequence[ObjectMeta]]:
    try:
        meta = await head(path)
    except Exception as error:
        if not _is_absent(error):
            raise
        return
    yield [meta]


def _is_absent(error: Exception) -> bool:
    """Tell whether an object is not there, or a store can't have such a path."""
    return isinstance(error, FileNotFoundError | ValueError) or is_below_a_file(error)


def _listed(chunks: Iterable[Sequence[ObjectMeta]]) -> Iterator[Sequence[ObjectMeta]]:
    """Iterate over what a store lists: nothing where the prefix leads through a file, as in stores without folders."""
    begun = False
    try:
        for chunk in chunks:
            begun = True
            yield chunk
    except Exception as error:
        if begun or not is_below_a_file(error):
            raise


async def _listed_async(chunks: AsyncIterable[Sequence[ObjectMeta]]) -> AsyncIterator[Sequence[ObjectMeta]]:
    """Iterate as `_listed` does."""
    begun = False
    try:
        async for chunk in chunks:
            begun = True
            yield chunk
    except Exception as error:
        if begun or not is_below_a_file(error):
            raise


async def _nothing_async() -> AsyncIterator[Sequence[ObjectMeta]]:
    for _ in ():
        yield ()


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A pattern, ready to be matched.

    Attributes
    ----------
    segments
        What each segment of a path has to match; None for `**`. Empty for an empty pattern, which matches nothing.
    prefix
        What to list: the leading segments without wildcards, but not the last one, with a slash. None for everything.
    path
        The only path that can match, if there are no wildcards.
    """

    segments: tuple[re.Pattern[str] | None, ...]
    prefix: Path | None
    path: Path | None

    @classmethod
    def parse(cls, pattern: str) -> Self:
        pattern = pattern.lstrip("/")
        segments = pattern.split("/") if pattern else []
        plain = 0
        while plain < len(segments) and _is_plain(segments[plain]):
            plain += 1
        path = pattern if segments and plain == len(segments) else None
        above = "/".join(segments[: min(plain, len(segments) - 1)]) if segments else ""
        if segments[-1:] == ["**"]:
            segments.append("*")  # an object is below "a" in "a/**", it is not "a" itself
        matchers = tuple(
            None if segment == "**" else re.compile(_translate(segment), re.DOTALL) for segment in segments
        )
        return cls(matchers, f"{above}/" if above else None, path)

    def matches(self, path: Path) -> bool:
        """Match in a time quadratic in the segments at most: only the last `**` seen may have to take one more."""
        names = path.split("/")
        position = wanted = 0
        retry: tuple[int, int] | None = None
        while position < len(names):
            matcher = self.segments[wanted] if wanted < len(self.segments) else _NEVER
            if matcher is None:
                wanted += 1
                retry = (position + 1, wanted)
            elif matcher.fullmatch(names[position]):
                position, wanted = position + 1, wanted + 1
            elif retry is not None:
                position, wanted = retry
                retry = (position + 1, wanted)
            else:
                return False
        return wanted == len(self.segments)


_NEVER = re.compile("(?!)")


def _is_plain(segment: str) -> bool:
    """Tell whether a segment matches only itself. Empty ones don't count: obstore refuses paths that have them."""
    tokens = _TOKEN.finditer(segment)
    return segment != "" and all(token[0] != "?" and token["star"] is token["members"] for token in tokens)


def _translate(segment: str) -> str:
    """Return the regular expression for one segment, which takes no exponential time on any name.

    Between two stars the first match is as good as any later one, so the group is atomic: it is never tried again.
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
    if not allowed:  # such as "[z-a]", which no character is in
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{allowed}]"
