"""Whatever ranges are requested together, everyone gets what the wrapped store returns for them alone."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from obspec_utils._ranges import ByteRange, coalesce, touching
from obspec_utils.wrappers import CoalescingReadableStore
from tests.contracts._stores import OnlyGet

SIZE = 60
CONTENT = bytes(range(SIZE))

# Valid ranges, empty ones, and such that end or start past the end.
starts = st.integers(0, SIZE + 5)
ranges = st.tuples(starts, st.integers(-1, 20))
# A call is one range by `get_range_async`, or several by `get_ranges_async`.
calls = st.lists(st.one_of(ranges, st.lists(ranges, max_size=5)), max_size=12)


async def _outcome(call: Any, *arguments: Any, **keywords: Any) -> Any:
    try:
        found = await call(*arguments, **keywords)
    except Exception as error:  # noqa: BLE001 - whichever error it is, the wrapper's must be the same
        return type(error)
    return [bytes(one) for one in found] if isinstance(found, list) else bytes(found)


async def _outcomes(store: Any, made: list[Any]) -> list[Any]:
    return await asyncio.gather(
        *(
            _outcome(store.get_range_async, "object", start=call[0], length=call[1])
            if isinstance(call, tuple)
            else _outcome(store.get_ranges_async, "object", starts=[a for a, _ in call], lengths=[b for _, b in call])
            for call in made
        )
    )


def _memory_store() -> MemoryStore:
    store = MemoryStore()
    store.put("object", CONTENT)
    return store


@given(calls, st.integers(0, 9), st.integers(1, 40))
def test_calls_made_together_come_to_what_they_come_to_alone(made: list[Any], max_gap: int, max_size: int) -> None:
    bare = _memory_store()
    store = CoalescingReadableStore(bare, max_gap=max_gap, max_request_size=max_size)
    assert asyncio.run(_outcomes(store, made)) == asyncio.run(_outcomes(bare, made))


inside = st.tuples(st.integers(0, SIZE - 1), st.integers(1, 20)).map(
    lambda pair: ByteRange(pair[0], min(SIZE, sum(pair)))
)


@given(st.lists(inside, max_size=8), st.integers(0, 9), st.integers(1, 40))
def test_a_sync_call_returns_the_bytes_in_order(spans: list[ByteRange], max_gap: int, max_size: int) -> None:
    store = CoalescingReadableStore(_memory_store(), max_gap=max_gap, max_request_size=max_size)
    found = store.get_ranges("object", starts=[span.start for span in spans], ends=[span.stop for span in spans])
    assert [bytes(buffer) for buffer in found] == [CONTENT[span.start : span.stop] for span in spans]


@given(st.lists(inside, min_size=1), st.integers(1, 40))
def test_without_gaps_no_byte_is_fetched_that_nobody_asked_for_nor_any_twice(
    spans: list[ByteRange], max_size: int
) -> None:
    bare = OnlyGet({"object": CONTENT})
    store = CoalescingReadableStore(bare, max_request_size=max_size)
    if len(spans) > 1:
        store.get_ranges("object", starts=[span.start for span in spans], ends=[span.stop for span in spans])
        fetched = sorted(byte for _, (start, stop) in bare.requests for byte in range(start, stop))
        assert fetched == sorted({byte for span in spans for byte in range(*span)})


@given(st.lists(inside), st.integers(0, 9), st.integers(1, 40))
def test_requests_are_disjoint_bounded_and_cover_the_ranges(
    spans: list[ByteRange], max_gap: int, max_size: int
) -> None:
    requests = coalesce(spans, max_gap, max_size)
    assert all(0 < request.length <= max_size for request in requests)
    assert all(one.stop <= other.start for one, other in pairwise(requests))
    for span in spans:
        touched = [requests[number] for number in touching(requests, span)]
        assert {byte for request in touched for byte in range(*request)} >= set(range(*span))
        assert all(request.start < span.stop and span.start < request.stop for request in touched)
        if span.length <= max_size and len(spans) == 1:
            assert touched == [span]
    covered = {byte for request in requests for byte in range(*request)}
    asked = {byte for span in spans for byte in range(*span)}
    if not max_gap:
        assert covered == asked


@given(st.lists(inside, unique=True), st.integers(1, 40))
def test_ranges_that_do_not_overlap_are_cut_only_if_they_are_too_long(spans: list[ByteRange], max_size: int) -> None:
    apart: list[ByteRange] = []
    for span in sorted(spans):
        if not apart or span.start >= apart[-1].stop:
            apart.append(span)
    requests = coalesce(apart, 0, max_size)
    assert all(len(touching(requests, span)) == -(-span.length // max_size) for span in apart)
