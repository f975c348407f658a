"""What records add up to, and how many of them are kept."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
from typing import Any

import pytest

from obspec_utils.wrappers import RequestRecord, RequestTrace


def record(path: str, start: int, length: int, begin: float, duration: float | None, **more: object) -> RequestRecord:
    more = {"bytes_received": length, **more}
    return RequestRecord(path, start, length, start + length, begin, duration, **more)  # type: ignore[arg-type]


def test_no_requests_add_up_to_nothing() -> None:
    assert list(RequestTrace().summary().items()) == [
        ("total_requests", 0),
        ("total_bytes", 0),
        ("unique_files", 0),
        ("bytes_received", 0),
        ("unique_bytes", 0),
        ("duplicate_bytes", 0),
        ("amplification", None),
        ("most_in_flight", 0),
        ("wall_time", 0.0),
        ("idle_time", 0.0),
        ("p50_duration", None),
        ("p95_duration", None),
        ("errors", 0),
        ("dropped", 0),
    ]


def test_what_the_records_add_up_to() -> None:
    trace = RequestTrace(
        [
            record("a", 0, 100, 10.0, 1.0, method="get"),
            record("a", 50, 100, 10.5, 1.5),  # 50 bytes again; in flight with the first
            record("b", 0, 40, 14.0, 1.0, bytes_received=10, error="OSError: broken"),
            record("b", 0, 0, 13.5, 0.25, method="head"),
        ]
    )
    assert list(trace.summary().items()) == [
        ("total_requests", 4),
        ("total_bytes", 240),
        ("unique_files", 2),
        ("min_request_size", 0),
        ("max_request_size", 100),
        ("mean_request_size", 60.0),
        ("bytes_received", 210),
        ("unique_bytes", 160),
        ("duplicate_bytes", 50),
        ("amplification", 210 / 160),
        ("most_in_flight", 2),
        ("wall_time", 5.0),
        ("idle_time", 1.75),
        ("p50_duration", 1.0),
        ("p95_duration", 1.5),
        ("errors", 1),
        ("dropped", 0),
    ]
    assert (trace.total_requests, trace.total_bytes) == (4, 240)
    trace.clear()
    assert (trace.total_requests, trace.total_bytes, trace.requests) == (0, 0, [])


def test_ranges_of_one_call_are_one_in_flight() -> None:
    call = [record("a", start, 10, 1.0, 2.0, method="get_ranges", thread="one") for start in (0, 20, 40)]
    assert RequestTrace(call).summary()["most_in_flight"] == 1
    other = record("a", 0, 10, 1.0, 2.0, method="get_ranges", thread="two")
    assert RequestTrace([*call, other]).summary()["most_in_flight"] == 2
    singly = [record("a", start, 10, 1.0, 2.0, thread="one") for start in (0, 20, 40)]
    assert RequestTrace(singly).summary()["most_in_flight"] == 3


def test_requests_one_after_the_other_are_never_in_flight_together() -> None:
    trace = RequestTrace([record("a", 0, 10, 1.0, 0.5), record("a", 0, 10, 1.5, 0.5), record("a", 0, 10, 2.0, 0.0)])
    assert [trace.summary()[name] for name in ("most_in_flight", "wall_time", "idle_time")] == [1, 1.0, 0.0]


def test_a_request_that_takes_no_time_is_in_flight() -> None:
    assert RequestTrace([record("a", 0, 10, 1.0, 0.0)]).summary()["most_in_flight"] == 1


def test_a_record_of_unknown_duration_counts_but_for_its_time() -> None:
    trace = RequestTrace([record("a", 0, 10, 1.0, None), record("a", 0, 10, 3.0, 0.5)])
    summary = trace.summary()
    assert [summary[name] for name in ("total_requests", "wall_time", "idle_time")] == [2, 2.5, 2.0]
    assert (summary["p50_duration"], summary["p95_duration"]) == (0.5, 0.5)


def test_the_duration_that_half_of_the_requests_did_not_exceed() -> None:
    trace = RequestTrace([record("a", 0, 1, 0.0, number / 100) for number in range(1, 101)])
    assert (trace.summary()["p50_duration"], trace.summary()["p95_duration"]) == (0.5, 0.95)


def test_what_is_added_by_hand_has_arrived() -> None:
    trace = RequestTrace()
    trace.add("a", 0, 100, 1.0, 0.5)
    trace.add("a", 50, 100, 2.0, 0.5)
    assert [trace.summary()[name] for name in ("bytes_received", "unique_bytes")] == [200, 150]


@pytest.mark.parametrize("max_records", [1, 10])
def test_the_oldest_records_are_dropped(max_records: int) -> None:
    trace = RequestTrace(max_records=max_records)
    kept = trace.requests
    for number in range(25):
        trace.add("a", number, 1, 0.0)
        assert len(trace.requests) == min(number + 1, max_records)
    assert trace.requests is kept
    assert [record.start for record in trace.requests] == list(range(25 - max_records, 25))
    assert (trace.dropped, trace.summary()["dropped"], trace.total_requests) == (
        25 - max_records,
        25 - max_records,
        max_records,
    )
    trace.clear()
    assert trace.dropped == 0


def test_records_that_are_passed_count_among_the_oldest() -> None:
    given = RequestTrace()
    for number in range(10):
        given.add("a", number, 1, 0.0)
    trace = RequestTrace(given.requests, max_records=4)
    assert ([record.start for record in trace.requests], trace.dropped) == ([6, 7, 8, 9], 6)
    trace.add("a", 10, 1, 0.0)
    assert ([record.start for record in trace.requests], trace.dropped) == ([7, 8, 9, 10], 7)


@pytest.mark.parametrize("requests", [100, (), None, "a"])
def test_requests_that_are_no_list_are_refused(requests: Any) -> None:
    with pytest.raises(TypeError, match=r"^requests must be a list of RequestRecord, got "):
        RequestTrace(requests)


def test_large_traces_drop_in_batches_and_never_exceed_their_limit() -> None:
    trace = RequestTrace(max_records=5000)
    for number in range(20_000):
        trace.add("a", number, 1, 0.0)
        assert len(trace.requests) <= 5000
    assert len(trace.requests) > 4990
    assert len(trace.requests) + trace.dropped == 20_000
    assert trace.requests[0].start == trace.dropped


def test_no_record_of_any_thread_is_lost_uncounted() -> None:
    trace = RequestTrace(max_records=50)
    threads = [
        threading.Thread(target=lambda: [trace.add("a", number, 1, 0.0) for number in range(20_000)]) for _ in range(8)
    ]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert (len(trace.requests), trace.dropped) == (50, 8 * 20_000 - 50)


@pytest.mark.parametrize("given", [0, -1, "10", None])
def test_a_limit_is_a_positive_number(given: object) -> None:
    with pytest.raises((TypeError, ValueError), match="max_records"):
        RequestTrace(max_records=given)  # type: ignore[arg-type]


def test_a_copy_and_a_pickle_go_on_by_themselves() -> None:
    trace = RequestTrace(max_records=2)
    for number in range(3):
        trace.add("a", number, 1, 0.0)
    for other in (copy.deepcopy(trace), pickle.loads(pickle.dumps(trace))):
        assert other == trace
        assert other.summary() == trace.summary()
        other.add("a", 4, 1, 0.0)
        assert (len(other.requests), other.dropped, trace.dropped) == (2, 2, 1)


def test_a_trace_is_shown_as_a_table() -> None:
    trace = RequestTrace([record("a", 0, 3 << 20, 10.0, 0.03), record("<b>", 0, 1 << 20, 10.0, 1.5)])
    lines = [line.rsplit("  ", 1) for line in str(trace).splitlines()]
    shown = {label.strip(): text.strip() for label, text in lines}
    assert list(shown) == [name.replace("_", " ") for name in trace.summary()]
    assert [shown[name] for name in ("total requests", "total bytes", "amplification", "wall time")] == [
        "2",
        "4 MiB",
        "1",
        "1.5 s",
    ]
    assert len({len(line) for line in str(trace).splitlines()}) == 1
    assert "<tr><th>bytes received</th><td>4 MiB</td></tr>" in trace._repr_html_()
    assert repr(trace) == "<RequestTrace of 2 requests, 4194304 bytes>"
    assert "amplification" in str(RequestTrace())
