"""What a caching store is asked for: calls of all kinds, of objects with every kind of boundary."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.contracts._outcomes import READS, Call

# Small enough that a few hundred bytes have every kind of boundary.
BLOCK = 16
WHOLE = 4 * BLOCK
BUDGET = 16 * BLOCK
SIZES = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, WHOLE, WHOLE + 1, 8 * BLOCK + 3, BUDGET, BUDGET + 1, 3 * BUDGET]
PATHS = ["a", "b", "folder/c"]

paths = st.sampled_from(PATHS)
contents = st.sampled_from(SIZES)
offsets = st.one_of(st.integers(0, 5 * BLOCK), st.sampled_from([-1, *SIZES]))
lengths = st.one_of(st.integers(0, 3 * BLOCK), st.sampled_from([-1, 2 * BUDGET]))
ranges = st.one_of(
    st.tuples(offsets, lengths).map(lambda it: (it[0], sum(it))),
    offsets.map(lambda offset: {"offset": offset}),
    offsets.map(lambda length: {"suffix": length}),
    st.sampled_from(["nonsense", (1,), {}]),
)


def _get(path: str, wanted: object, how: str) -> Call:
    return Call("get", path, {} if wanted is None else {"options": {"range": wanted}}, how)


def _get_range(path: str, start: int, length: int, how: str | None) -> Call:
    return Call("get_range", path, {"start": start, **({how: length + (start if how == "end" else 0)} if how else {})})


def _get_ranges(path: str, spans: list[tuple[int, int]], more: int) -> Call:
    lengths = [length for _, length in spans] + [1] * more
    return Call("get_ranges", path, {"starts": [start for start, _ in spans], "lengths": lengths})


calls = st.one_of(
    st.builds(_get, paths, st.none() | ranges, st.sampled_from(READS)),
    st.builds(_get_range, paths, offsets, lengths, st.sampled_from(["length", "end", "length", "end", None])),
    st.builds(_get_ranges, paths, st.lists(st.tuples(offsets, lengths), max_size=4), st.sampled_from([0, 0, 0, 0, 1])),
    st.builds(Call, st.just("head"), paths),
)
