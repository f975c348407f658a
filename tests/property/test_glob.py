from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from obspec_utils.glob import glob, glob_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

Meta = dict[str, str]


class Listing:
    """A store that lists the given paths, in their order and in small chunks, and remembers what it was asked."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths
        self.prefixes: list[str | None] = []
        self.served: list[str] = []

    def _chunks(self, prefix: str | None) -> Iterator[list[Meta]]:
        self.prefixes.append(prefix)
        above = [segment for segment in (prefix or "").split("/") if segment]
        found = [path for path in self.paths if path.split("/")[: len(above)] == above and path != "/".join(above)]
        for start in range(0, len(found), 3):
            self.served += found[start : start + 3]
            yield [{"path": path} for path in found[start : start + 3]]

    def list(self, prefix: str | None = None) -> Iterator[list[Meta]]:
        return self._chunks(prefix)

    async def list_async(self, prefix: str | None = None) -> AsyncIterator[list[Meta]]:
        for chunk in self._chunks(prefix):
            yield chunk


def matches(pattern: list[str], path: list[str]) -> bool:
    """Try everything a `**` could stand for. At the end it stands for one segment at least."""
    if not pattern or not path:
        return pattern == path
    if pattern[0] == "**":
        if len(pattern) == 1:
            return True
        return any(matches(pattern[1:], path[taken:]) for taken in range(len(path) + 1))
    return segment_matches(pattern[0], path[0]) and matches(pattern[1:], path[1:])


def segment_matches(pattern: str, name: str) -> bool:
    """Match character by character, trying everything a star could stand for."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return segment_matches(pattern[1:], name) or (bool(name) and segment_matches(pattern, name[1:]))
    members, after, negated = read_set(pattern)
    if not name:
        return False
    return ((name[0] in members) != negated or pattern[0] == "?") and segment_matches(pattern[after:], name[1:])


def read_set(pattern: str) -> tuple[set[str], int, bool]:
    """Return the characters that the first element of a pattern is about, its length, and whether they are excluded."""
    start = 2 if pattern[1:2] in {"!", "^"} else 1
    end = pattern.find("]", start + 1)
    if pattern[0] != "[" or end < 0:
        return {pattern[0]}, 1, False
    inside, members = pattern[start:end], set()
    while inside:
        if len(inside) > 2 and inside[1] == "-":
            members |= {chr(code) for code in range(ord(inside[0]), ord(inside[2]) + 1)}
            inside = inside[3:]
        else:
            members.add(inside[0])
            inside = inside[1:]
    return members, end + 1, start == 2


NAMES = st.text(alphabet="ab.-]![^é\n(+*", min_size=1, max_size=4)
PATHS = st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), unique=True, max_size=12)
PIECES = st.sampled_from(["*", "?", "a", "b", ".", "[ab]", "[!a]", "[^b]", "[a-b]", "[b-a]", "[", "]", "[]a]", "[!]]",
                          "[a-]", "[[]", "[!", "-", "!", "é", "\n", "(", "+", "^", "**"])  # fmt: skip
PATTERNS = st.lists(st.one_of(NAMES, st.just("**"), st.lists(PIECES, min_size=1, max_size=4).map("".join)),
                    min_size=1, max_size=5)  # fmt: skip


async def collect(store: Listing, pattern: str) -> list[str]:
    return [path async for path in glob_async(store, pattern)]


@given(PATHS, PATTERNS, st.sampled_from(["", "/"]))
def test_glob_agrees_with_trying_everything(paths, pattern, slash):
    store = Listing(paths)
    text = slash + "/".join(pattern)
    expected = [path for path in paths if matches(pattern, path.split("/"))]
    assert list(glob(store, text)) == expected
    assert asyncio.run(collect(store, text)) == expected


@given(PATHS, st.data())
def test_glob_agrees_on_patterns_made_from_the_paths(paths, data):
    path = data.draw(st.sampled_from(paths or ["a/b"])).split("/")
    pattern = [data.draw(st.sampled_from([segment, "*", "**", segment[:1] + "*", "*" + segment])) for segment in path]
    if data.draw(st.booleans()):
        pattern.insert(data.draw(st.integers(0, len(pattern))), "**")
    expected = [path for path in paths if matches(pattern, path.split("/"))]
    assert list(glob(Listing(paths), "/".join(pattern))) == expected


@given(PATHS, st.lists(st.sampled_from(["a", "ab", "é", "a.b"]), max_size=3), PATTERNS)
def test_lists_from_the_longest_prefix_without_wildcards(paths, literal, pattern):
    store = Listing(paths)
    list(glob(store, "/".join([*literal, "*", *pattern])))
    asyncio.run(collect(store, "/".join([*literal, "*", *pattern])))
    assert store.prefixes == ["/".join(literal) + "/" if literal else None] * 2


@given(PATHS, PATTERNS)
def test_only_as_much_is_listed_as_is_consumed(paths, pattern):
    store = Listing(paths)
    found = glob(store, "/".join(pattern))
    assert store.prefixes == []
    first = next(found, None)
    if first is not None:
        assert first in store.served[-3:]
