"""Ranges that are requested at the same time become few requests, and everyone gets exactly their own bytes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils.wrappers import CoalescingReadableStore, RequestTrace, TracingReadableStore

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from obspec_utils.protocols import ReadableStore

    from ._ways import Async, Sync
    from .conftest import Remote

KIB, MIB = 1 << 10, 1 << 20


async def together(store: ReadableStore, path: str, *ranges: tuple[int, int]) -> list[bytes]:
    """Request ranges in one turn of the event loop, each by a task of its own."""
    found = await asyncio.gather(*(store.get_range_async(path, start=start, end=end) for start, end in ranges))
    return [bytes(buffer) for buffer in found]


def cut_out(content: bytes, *ranges: tuple[int, int]) -> list[bytes]:
    return [content[start:end] for start, end in ranges]


async def test_adjacent_ranges_of_one_turn_are_one_request(remote: Remote) -> None:
    content = remote.put("object", 100 * KIB)
    ranges = [(start * KIB, (start + 1) * KIB) for start in range(50, 10, -1)]
    assert await together(CoalescingReadableStore(remote.store), "object", *ranges) == cut_out(content, *ranges)
    assert remote.ranges() == [(11 * KIB, 51 * KIB)]
    assert [request.sent for request in remote.log()] == [40 * KIB]


def test_adjacent_ranges_of_one_call_are_one_request(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", 100)
    starts, ends = [50, 10, 30, 20, 40], [60, 20, 40, 30, 50]
    found = call.get_ranges(CoalescingReadableStore(remote.store), "object", starts, ends)
    assert found == cut_out(content, *zip(starts, ends, strict=True))
    assert remote.ranges() == [(10, 60)]


async def test_calls_of_both_kinds_share_a_turn(remote: Remote) -> None:
    content = remote.put("object", 100)
    store = CoalescingReadableStore(remote.store)
    one, several, length = await asyncio.gather(
        store.get_range_async("object", start=10, end=20),
        store.get_ranges_async("object", starts=[20, 0], lengths=[10, 10]),
        store.get_range_async("object", start=30, length=10),
    )
    assert [bytes(one), *map(bytes, several), bytes(length)] == cut_out(content, (10, 20), (20, 30), (0, 10), (30, 40))
    assert remote.ranges() == [(0, 40)]


async def test_overlapping_and_equal_ranges_fetch_each_byte_once(remote: Remote) -> None:
    content = remote.put("object", 100)
    ranges = [(10, 30), (20, 40), (10, 30), (0, 50), (25, 26)]
    assert await together(CoalescingReadableStore(remote.store), "object", *ranges) == cut_out(content, *ranges)
    assert remote.ranges() == [(0, 50)]


@pytest.mark.parametrize(("max_gap", "requests"), [(0, [(0, 10), (15, 20)]), (4, [(0, 10), (15, 20)]), (5, [(0, 20)])])
def test_ranges_apart_are_joined_over_gaps_of_max_gap(
    remote: Remote, call: Sync | Async, max_gap: int, requests: list[tuple[int, int]]
) -> None:
    content = remote.put("object", 100)
    store = CoalescingReadableStore(remote.store, max_gap=max_gap)
    assert call.get_ranges(store, "object", [15, 0], [20, 10]) == cut_out(content, (15, 20), (0, 10))
    assert remote.ranges() == requests


async def test_objects_are_kept_apart(remote: Remote) -> None:
    contents = [remote.put("one", 100, 1), remote.put("two", 100, 2)]
    store = CoalescingReadableStore(remote.store)
    found = await asyncio.gather(*(together(store, path, (0, 10), (10, 20)) for path in ("one", "two")))
    assert found == [cut_out(content, (0, 10), (10, 20)) for content in contents]
    assert remote.ranges() == [(0, 20), (0, 20)]


async def test_ranges_of_several_turns_are_not_joined(remote: Remote) -> None:
    content = remote.put("object", 100)
    store = CoalescingReadableStore(remote.store)

    async def later() -> bytes:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return bytes(await store.get_range_async("object", start=10, end=20))

    assert await asyncio.gather(together(store, "object", (0, 10)), later()) == [[content[:10]], content[10:20]]
    assert remote.ranges() == [(0, 10), (10, 20)]


def test_ranges_of_threads_are_not_joined_nor_delayed(remote: Remote) -> None:
    content = remote.put("object", 100)
    store = CoalescingReadableStore(remote.store)
    assert [bytes(store.get_range("object", start=start, length=10)) for start in (0, 10)] == [
        content[:10],
        content[10:20],
    ]
    assert remote.ranges() == [(0, 10), (10, 20)]


def test_joined_requests_are_at_most_max_request_size(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", 100)
    starts = list(range(0, 100, 4))
    found = call.get_ranges(
        CoalescingReadableStore(remote.store, max_request_size=30), "object", starts, [start + 4 for start in starts]
    )
    assert b"".join(found) == content
    # Cut between ranges, so that each range is in one response.
    assert remote.ranges() == [(0, 28), (28, 56), (56, 84), (84, 100)]


@pytest.mark.parametrize("alone", [True, False])
async def test_a_range_longer_than_max_request_size_is_cut(remote: Remote, alone: bool) -> None:  # noqa: FBT001
    content = remote.put("object", 100)
    store = CoalescingReadableStore(remote.store, max_request_size=30)
    ranges = [(5, 85)] if alone else [(5, 85), (80, 90)]
    assert await together(store, "object", *ranges) == cut_out(content, *ranges)
    cuts = [(5, 31), (31, 58), (58, 85)]
    assert remote.ranges() == (cuts if alone else [*cuts, (85, 90)])


def test_long_runs_are_several_requests_at_once(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", MIB)
    starts = list(range(0, MIB, 64 * KIB))
    ends = [start + 64 * KIB for start in starts]
    remote.server.configure(latency=0.1, gather=4)
    assert b"".join(call.get_ranges(CoalescingReadableStore(remote.store), "object", starts, ends)) == content
    assert remote.ranges() == [(start * KIB, (start + 256) * KIB) for start in range(0, 1024, 256)]
    assert remote.server.most_in_flight() == 4


def test_overlapping_ranges_are_not_cut_to_send_several_requests(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", 4 * MIB)
    starts, ends = [0, MIB // 2, MIB], [MIB, 2 * MIB, 3 * MIB]
    found = call.get_ranges(CoalescingReadableStore(remote.store), "object", starts, ends)
    assert found == cut_out(content, *zip(starts, ends, strict=True))
    assert remote.ranges() == [(0, 3 * MIB)]


def test_no_more_than_64_requests_are_in_flight(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", 1000)
    starts = list(range(0, 1000, 5))
    ends = [start + 3 for start in starts]
    remote.server.configure(latency=0.1, gather=64)
    found = call.get_ranges(CoalescingReadableStore(remote.store), "object", starts, ends)
    assert found == cut_out(content, *zip(starts, ends, strict=True))
    assert len(remote.log()) == 200
    assert remote.server.most_in_flight() == 64


async def test_what_has_options_is_forwarded(remote: Remote) -> None:
    content = remote.put("object", 100)
    trace = RequestTrace()
    store = CoalescingReadableStore(TracingReadableStore(remote.store, trace))
    etag = remote.store.head("object")["e_tag"]
    options: Any = {"range": (10, 20), "if_match": etag}
    result, _, ranges = await asyncio.gather(
        store.get_async("object", options=options),
        store.get_range_async("object", start=0, end=10),
        store.get_ranges_async("object", starts=[20, 40], ends=[30, 50], coalesce=0),
    )
    assert bytes(await result.buffer_async()) == content[10:20]
    assert [bytes(buffer) for buffer in ranges] == cut_out(content, (20, 30), (40, 50))
    assert sorted((record.method, record.start) for record in trace.requests) == [
        ("get", 10),
        ("get_range", 0),
        ("get_ranges", 20),
        ("get_ranges", 40),
    ]


@pytest.mark.parametrize("fault", [{"action": "status", "status": 500}, {"action": "drop"}, {"action": "short_body"}])
async def test_a_transport_error_fails_all_callers_of_its_request_at_once(
    remote: Remote, fault: dict[str, Any]
) -> None:
    content = remote.put("object", 100)
    remote.server.add_fault(path="bucket/object", covers=0, times=None, **fault)
    store = CoalescingReadableStore(remote.store)
    failed = await asyncio.gather(
        *(store.get_range_async("object", start=start, end=start + 10) for start in (0, 10, 20, 50, 60)),
        return_exceptions=True,
    )
    assert [type(error).__name__ for error in failed[:3]] == [type(failed[0]).__name__] * 3
    assert isinstance(failed[0], Exception)
    assert [bytes(buffer) for buffer in failed[3:]] == cut_out(content, (50, 60), (60, 70))  # type: ignore[arg-type]
    assert remote.ranges() == [(0, 30), (50, 70)]


async def test_a_missing_object_is_one_request(remote: Remote) -> None:
    store = CoalescingReadableStore(remote.store)
    failed = await asyncio.gather(
        *(store.get_range_async("missing", start=start, end=start + 10) for start in (0, 10)), return_exceptions=True
    )
    assert all(isinstance(error, FileNotFoundError) for error in failed)
    assert len(remote.log()) == 1


async def outcomes(*calls: Awaitable[Any]) -> list[Any]:
    """Return the bytes of calls, or the names of their errors."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    return [type(one).__name__ if isinstance(one, BaseException) else bytes(one) for one in found]


@pytest.mark.parametrize("ranges", [[(5, 10), (10, 15)], [(5, 10), (8, 12)], [(20, 25), (25, 30)], [(0, 10), (10, 11)]])
async def test_ranges_past_the_end_are_repeated_alone(remote: Remote, ranges: list[tuple[int, int]]) -> None:
    remote.put("object", 10)
    calls = [{"start": start, "end": end} for start, end in ranges]
    expected = [(await outcomes(remote.store.get_range_async("object", **one)))[0] for one in calls]
    remote.server.clear()
    store = CoalescingReadableStore(remote.store)
    assert await outcomes(*(store.get_range_async("object", **one) for one in calls)) == expected
    repeated = [one for one in ranges if one[1] > 10]
    assert len(remote.log()) == 1 + len(repeated)


def test_a_call_past_the_end_is_repeated_as_it_is(remote: Remote, call: Sync | Async) -> None:
    remote.put("object", 10)
    arguments = ("object", [20, 30], [30, 40])
    expected = _outcome(lambda: call.get_ranges(remote.store, *arguments))
    remote.server.clear()
    assert _outcome(lambda: call.get_ranges(CoalescingReadableStore(remote.store), *arguments)) == expected
    assert remote.ranges() == [(20, 40), (20, 40)]


def test_a_call_for_one_range_is_forwarded(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", 100)
    trace = RequestTrace()
    store = CoalescingReadableStore(TracingReadableStore(remote.store, trace))
    assert call.get_ranges(store, "object", [10], [20]) == [content[10:20]]
    assert [record.method for record in trace.requests] == ["get_ranges"]


async def test_where_a_server_ignores_a_range_every_caller_asks_alone(remote: Remote) -> None:
    content = remote.put("object", 100)
    remote.server.add_fault("ignore_range", "bucket/object", times=1)
    ranges = [(0, 10), (10, 20)]
    assert await together(CoalescingReadableStore(remote.store), "object", *ranges) == cut_out(content, *ranges)
    assert len(remote.log()) == 3


def test_a_huge_range_is_forwarded(remote: Remote, call: Sync | Async) -> None:
    content = remote.put("object", 100)
    store = CoalescingReadableStore(remote.store)
    expected = _outcome(lambda: call.get_ranges(remote.store, "object", [90, 0], [1 << 62, 10]))
    assert _outcome(lambda: call.get_ranges(store, "object", [90, 0], [1 << 62, 10])) == expected
    assert expected in ([content[90:], content[:10]], "GenericError", "NotSupportedError")


def _outcome(action: Any) -> Any:
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - whichever error it is, the wrapper's must be the same
        return type(error).__name__


def test_no_ranges_are_no_request(remote: Remote, call: Sync | Async) -> None:
    remote.put("object", 100)
    assert call.get_ranges(CoalescingReadableStore(remote.store), "object", [], []) == []
    assert remote.log() == []
