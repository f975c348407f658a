"""The tracing store: one record a request, failed ones included, and what they add up to."""

from __future__ import annotations

import _thread
import asyncio
import copy
import pickle
import re
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from obstore.store import LocalStore, MemoryStore

from obspec_utils.wrappers import RequestRecord, RequestTrace, TracingReadableStore

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = b"0123456789" * 10


@pytest.fixture
def trace() -> RequestTrace:
    return RequestTrace()


@pytest.fixture
def store(trace: RequestTrace) -> TracingReadableStore:
    memory = MemoryStore()
    memory.put("a", CONTENT)
    memory.put("b", CONTENT)
    return TracingReadableStore(memory, trace)


def rows(trace: RequestTrace) -> list[tuple[object, ...]]:
    return [(r.path, r.method, r.start, r.length, r.end, r.range_style) for r in trace.requests]


def test_every_method_is_recorded_with_its_range(store: TracingReadableStore, trace: RequestTrace) -> None:
    store.get("a")
    store.get("a", options={"range": (5, 9)})
    store.get_range("a", start=1, end=5)
    store.get_range("a", start=1, length=5)
    store.get_ranges("b", starts=[0, 10], ends=[2, 11])
    store.get_ranges("b", starts=[0, 10], lengths=[2, 11], coalesce=0)
    store.head("b")
    assert rows(trace) == EXPECTED


async def test_the_async_methods_are_recorded_alike(store: TracingReadableStore, trace: RequestTrace) -> None:
    await store.get_async("a")
    await store.get_async("a", options={"range": (5, 9)})
    await store.get_range_async("a", start=1, end=5)
    await store.get_range_async("a", start=1, length=5)
    await store.get_ranges_async("b", starts=[0, 10], ends=[2, 11])
    await store.get_ranges_async("b", starts=[0, 10], lengths=[2, 11], coalesce=0)
    await store.head_async("b")
    assert rows(trace) == EXPECTED


EXPECTED = [
    ("a", "get", 0, 100, 100, None),
    ("a", "get", 5, 4, 9, None),
    ("a", "get_range", 1, 4, 5, "end"),
    ("a", "get_range", 1, 5, 6, "length"),
    ("b", "get_ranges", 0, 2, 2, "end"),
    ("b", "get_ranges", 10, 1, 11, "end"),
    ("b", "get_ranges", 0, 2, 2, "length"),
    ("b", "get_ranges", 10, 11, 21, "length"),
    ("b", "head", 0, 0, 0, None),
]


@pytest.mark.parametrize("kind", ["ends", "lengths"])
def test_ranges_may_be_arrays(store: TracingReadableStore, trace: RequestTrace, kind: str) -> None:
    import numpy as np

    second = np.array([4, 21] if kind == "ends" else [3, 1], dtype=np.uint8)
    found = store.get_ranges("a", starts=np.array([1, 20], dtype=np.uint8), **{kind: second})
    assert [bytes(buffer) for buffer in found] == [CONTENT[1:4], CONTENT[20:21]]
    assert rows(trace) == [("a", "get_ranges", 1, 3, 4, kind[:-1]), ("a", "get_ranges", 20, 1, 21, kind[:-1])]
    assert {type(record.end) for record in trace.requests} == {int}


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("get_range", {"start": "0", "length": 5}),
        ("get_range", {"start": None, "end": 5}),
        ("get_ranges", {"starts": None, "ends": [5]}),
        ("get_ranges", {"starts": ["0"], "lengths": [5]}),
    ],
)
def test_what_is_no_range_is_the_store_s_own_error(
    store: TracingReadableStore, trace: RequestTrace, method: str, options: dict[str, object]
) -> None:
    errors = []
    for asked in (store._store, store):
        with pytest.raises(TypeError) as caught:
            getattr(asked, method)("a", **options)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
    assert {(record.start, record.length) for record in trace.requests} <= {(0, 0)}


def test_failed_requests_are_recorded(store: TracingReadableStore, trace: RequestTrace) -> None:
    with pytest.raises(FileNotFoundError):
        store.get("missing")
    with pytest.raises(FileNotFoundError):
        store.head("missing")
    with pytest.raises(FileNotFoundError):
        store.get_range("missing", start=3, length=4)
    with pytest.raises(TypeError):
        store.get_range("a", start="x", end=4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="end or length"):
        store.get_range("a", start=3)
    assert rows(trace) == [
        ("missing", "get", 0, 0, 0, None),
        ("missing", "head", 0, 0, 0, None),
        ("missing", "get_range", 3, 4, 7, "length"),
        ("a", "get_range", 0, 0, 0, None),
        ("a", "get_range", 3, 0, 3, "length"),
    ]


def test_records_tell_when_and_how_long(store: TracingReadableStore, trace: RequestTrace) -> None:
    import time

    before = time.time()
    store.head("a")
    (record,) = trace.requests
    assert before <= record.timestamp <= time.time()
    assert record.duration is not None
    assert 0 <= record.duration < 60


def test_the_callback_gets_every_record(trace: RequestTrace, store: TracingReadableStore) -> None:
    seen: list[RequestRecord] = []
    traced = TracingReadableStore(store._store, trace, on_request=seen.append)
    traced.get("a")
    traced.get_ranges("b", starts=[0, 10], ends=[2, 11])
    assert seen == trace.requests
    assert len(seen) == 3


def test_calls_one_after_the_other_do_not_overlap(store: TracingReadableStore, trace: RequestTrace) -> None:
    for _ in range(100):
        store.get("a").buffer()
    summary = trace.summary()
    assert summary["most_in_flight"] == 1
    assert 0 < summary["idle_time"] < summary["wall_time"]


async def test_a_record_tells_its_task_or_thread(store: TracingReadableStore, trace: RequestTrace) -> None:
    await asyncio.create_task(store.head_async("a"), name="a task")
    thread = threading.Thread(target=store.head, args=("a",), name="a thread")
    thread.start()
    thread.join()
    done = threading.Event()
    known = threading.enumerate()
    _thread.start_new_thread(lambda: (store.head("a"), trace.requests[-1].thread, done.set()), ())
    assert done.wait(30)
    assert [record.thread for record in trace.requests[:2]] == ["a task", "a thread"]
    assert re.fullmatch(r"Thread \d+|Dummy-\d+", trace.requests[2].thread)
    assert threading.enumerate() == known


def test_a_record_tells_the_main_thread(store: TracingReadableStore, trace: RequestTrace) -> None:
    store.head("a")
    assert trace.requests[0].thread == threading.main_thread().name


def test_a_trace_of_one_s_own_may_have_the_add_of_0_9(store: TracingReadableStore) -> None:
    class Printing(RequestTrace):
        def add(self, path, start, length, timestamp, duration=None, method="get_range", range_style=None):  # type: ignore[no-untyped-def]
            super().add(path, start, length, timestamp, duration, method, range_style)

    trace = Printing()
    seen: list[RequestRecord] = []
    traced = TracingReadableStore(store._store, trace, on_request=seen.append)
    traced.get_range("a", start=20, end=1000)
    assert len(traced.get("a").buffer()) == 100
    assert rows(trace) == [("a", "get_range", 20, 980, 1000, "end"), ("a", "get", 0, 100, 100, None)]
    assert [(record.start, record.end, record.bytes_received) for record in seen] == [(20, 1000, 80), (0, 100, 100)]


def test_the_record_that_the_callback_got_changes_while_its_body_arrives(store: TracingReadableStore) -> None:
    seen: list[tuple[RequestRecord, int]] = []
    traced = TracingReadableStore(
        store._store, RequestTrace(), on_request=lambda record: seen.append((record, record.bytes_received))
    )
    traced.get("a").buffer()
    ((record, before),) = seen
    assert (before, record.bytes_received) == (0, 100)


def test_a_dataframe_has_a_row_a_request(store: TracingReadableStore, trace: RequestTrace) -> None:
    columns = ["path", "start", "length", "end", "timestamp", "duration", "method", "range_style"]
    columns += ["bytes_received", "error", "thread"]
    assert list(trace.to_dataframe().columns) == columns
    store.get_range("b", start=5, end=20)
    store.head("b")
    frame = trace.to_dataframe()
    assert list(frame.columns) == columns
    assert frame["length"].tolist() == [15, 0]
    assert frame["method"].tolist() == ["get_range", "head"]


def test_without_pandas_the_error_says_what_to_install(trace: RequestTrace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "obspec-utils\[pandas\]"$'):
        trace.to_dataframe()


def test_a_copy_shares_store_trace_and_callback(trace: RequestTrace, store: TracingReadableStore) -> None:
    seen: list[RequestRecord] = []
    traced = TracingReadableStore(store._store, trace, on_request=seen.append)
    copied = copy.copy(traced)
    copied.head("a")
    assert copied._store is traced._store
    assert len(trace.requests) == len(seen) == 1


def named(record: RequestRecord) -> None:
    CALLED.append(record)


CALLED: list[RequestRecord] = []


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_takes_the_records_and_a_callback_that_can_travel(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    trace = RequestTrace()
    traced = TracingReadableStore(LocalStore(tmp_path), trace, on_request=lambda _: None)
    traced.head("a")
    restored, its_trace = pickle.loads(pickle.dumps((traced, trace), protocol))
    restored.head("a")
    assert restored._on_request is None
    assert its_trace is restored._trace
    assert (len(its_trace.requests), len(trace.requests)) == (2, 1)
    kept = pickle.loads(pickle.dumps(TracingReadableStore(LocalStore(tmp_path), trace, on_request=named), protocol))
    assert kept._on_request.__name__ == "named"


@pytest.mark.parametrize("given", [{"end": 5}, {"length": -5}])
def test_invalid_ranges_ask_for_no_bytes(given: dict[str, int]) -> None:
    store, trace = MemoryStore(), RequestTrace()
    store.put("a", bytes(100))
    tracing = TracingReadableStore(store, trace)
    with pytest.raises((ValueError, OverflowError)):
        tracing.get_range("a", start=10, **given)
    with pytest.raises((ValueError, OverflowError)):
        tracing.get_ranges("a", starts=[10], **{f"{name}s": [value] for name, value in given.items()})  # type: ignore[arg-type]
    assert [(record.start, record.length, record.end) for record in trace.requests] == [(0, 0, 0)] * 2
    assert trace.summary()["min_request_size"] == trace.total_bytes == 0
