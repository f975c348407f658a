"""Ctrl-C in a sync read ends it at once; what was under way ends by itself, and nothing stays behind."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils._io import concurrency, gc_pause, interruptible, threads
from obspec_utils._io.concurrency import gather, gather_async
from obspec_utils._io.single_flight import SingleFlight
from obspec_utils.caches import DiskCache
from obspec_utils.caches.disk._leases import lease_files
from obspec_utils.readers import BufferedStoreReader, EagerStoreReader, ParallelStoreReader, open_reader
from obspec_utils.wrappers import (
    CachingReadableStore,
    CoalescingReadableStore,
    RequestTrace,
    SplittingReadableStore,
    TracingReadableStore,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WAIT = 10
CONTENT = bytes(range(256)) * 400
PART = 10_240  # a tenth of it


class HeldStore:
    """A store whose bodies, or headers, do not arrive before `go_on` is set."""

    def __init__(self, held_from: int = 0, *, headers: bool = False) -> None:
        self.held_from = held_from
        self.headers = headers
        self.arrived, self.go_on = threading.Event(), threading.Event()
        self.requests: list[tuple[int, int]] = []
        self.threads: list[int] = []

    def get(self, path: str, *, options: Any = None) -> Any:
        start, stop = (options or {}).get("range", (0, len(CONTENT)))
        self.requests.append((start, min(stop, len(CONTENT))))
        self.threads.append(threading.get_ident())
        if self.headers:
            self.body(0, 0)
        meta = {"path": path, "size": len(CONTENT), "e_tag": '"1"', "last_modified": None, "version": None}
        span = self.requests[-1]
        return SimpleNamespace(meta=meta, range=span, attributes={}, buffer=lambda: self.body(*span))

    def body(self, start: int, stop: int) -> bytes:
        if start >= self.held_from:
            self.arrived.set()
            assert self.go_on.wait(WAIT)
        return CONTENT[start:stop]

    def head(self, path: str) -> Any:
        self.body(0, 0)
        return self.get(path).meta

    def get_range(self, path: str, *, start: int, end: int | None = None, length: int | None = None) -> bytes:
        return self.body(start, end if length is None else start + length)

    def get_ranges(self, path: str, *, starts: Any, ends: Any = None, lengths: Any = None) -> list[bytes]:
        return [self.body(start, stop) for start, stop in zip(starts, ends, strict=True)]


@pytest.fixture(autouse=True)
def nothing_stays_behind() -> Iterator[None]:
    yield
    assert is_soon(lambda: not concurrency.limiter.in_use)
    assert is_soon(gc.isenabled, 0.2)
    holders = [reference() for reference in gc_pause._to_reset]
    tables = [it._claims for it in holders if isinstance(it, SingleFlight)]
    assert not [claim for table in tables for claim in table.values() if not claim.is_lost]


def is_soon(condition: Callable[[], object], seconds: float = WAIT) -> bool:
    give_up = time.monotonic() + seconds
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.001)
    return bool(condition())


@pytest.fixture
def ctrl_c(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A function that interrupts the main thread by a signal, as Ctrl-C does."""
    assert threading.current_thread() is threading.main_thread()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    main = threading.get_ident()
    yield lambda: signal.pthread_kill(main, signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def interrupted(store: HeldStore, ctrl_c: Callable[[], None], read: Callable[[], object]) -> KeyboardInterrupt:
    """Call a function and interrupt it while a body is waited for; return the error."""

    def when_it_waits() -> None:
        if store.arrived.wait(WAIT):
            time.sleep(0.01)
            ctrl_c()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(when_it_waits)
        with pytest.raises(KeyboardInterrupt) as caught:
            read()
    assert not store.go_on.is_set()
    return caught.value


def stacked(store: HeldStore) -> CachingReadableStore:
    return CachingReadableStore(TracingReadableStore(SplittingReadableStore(store), RequestTrace()), block_size=1000)


READS: dict[str, Callable[[Any], object]] = {
    "EagerStoreReader": lambda store: EagerStoreReader(store, "o"),
    "ParallelStoreReader": lambda store: ParallelStoreReader(store, "o").read(10),
    "ParallelStoreReader.size": lambda store: ParallelStoreReader(store, "o").size,
    "BufferedStoreReader": lambda store: BufferedStoreReader(store, "o").readline(),
    "BufferedStoreReader.readinto": lambda store: BufferedStoreReader(store, "o").readinto(bytearray(10)),
    "open_reader": lambda store: open_reader(store, "o"),
    "splitting get": lambda store: SplittingReadableStore(store).get("o").buffer(),
    "splitting chunks": lambda store: list(SplittingReadableStore(store, 10_000).get("o")),
    "splitting get_range": lambda store: SplittingReadableStore(store).get_range("o", start=0, end=5),
    "splitting head": lambda store: SplittingReadableStore(store).head("o"),
    "coalescing get_range": lambda store: CoalescingReadableStore(store).get_range("o", start=0, end=5),
    "coalescing get_ranges": lambda store: CoalescingReadableStore(store).get_ranges("o", starts=[5, 0], ends=[9, 5]),
    "coalescing parts": lambda store: CoalescingReadableStore(store, max_request_size=9).get_ranges(
        "o", starts=[0, 50], ends=[25, 60]
    ),
    "tracing get_range": lambda store: TracingReadableStore(store, RequestTrace()).get_range("o", start=0, end=5),
    "caching get": lambda store: CachingReadableStore(store).get("o").buffer(),
    "caching get_range": lambda store: CachingReadableStore(store).get_range("o", start=0, end=5),
    "caching get_ranges": lambda store: CachingReadableStore(store).get_ranges("o", starts=[0, 9], ends=[5, 12]),
    "caching blocks": lambda store: CachingReadableStore(store, block_size=1000).get_range("o", start=0, end=5),
    "caching head": lambda store: CachingReadableStore(store).head("o"),
    "caching prefetch": lambda store: CachingReadableStore(store).prefetch(["o"]),
    "all": lambda store: stacked(store).get("o").buffer(),
}


@pytest.mark.parametrize("headers", [True, False], ids=["headers", "body"])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_ctrl_c_ends_a_read_whose_bytes_do_not_arrive(
    ctrl_c: Callable[[], None],
    read: Callable[[Any], object],
    headers: bool,  # noqa: FBT001
) -> None:
    store = HeldStore(headers=headers)
    interrupted(store, ctrl_c, lambda: read(store))
    assert not gc.isenabled()  # others may wait for what is under way
    store.go_on.set()


def test_a_read_that_was_interrupted_can_be_made_again_on_the_same_reader(ctrl_c: Callable[[], None]) -> None:
    store = HeldStore(held_from=PART)
    reader = ParallelStoreReader(store, "o", PART)  # type: ignore[arg-type]
    assert reader.read(100) == CONTENT[:100]
    reader.seek(5 * PART)
    buffer = bytearray(100)
    interrupted(store, ctrl_c, lambda: reader.readinto(buffer))
    store.go_on.set()
    assert is_soon(lambda: not concurrency.limiter.in_use)
    assert buffer == bytes(100)  # nobody writes into what the caller has taken back
    assert reader.tell() == 5 * PART
    assert reader.read(100) == CONTENT[5 * PART : 5 * PART + 100]


def test_what_was_under_way_is_cached_when_it_arrives(ctrl_c: Callable[[], None]) -> None:
    store = HeldStore()
    cached = CachingReadableStore(store, block_size=1000)  # type: ignore[arg-type]
    interrupted(store, ctrl_c, lambda: cached.get_range("o", start=2000, end=2010))
    store.go_on.set()
    assert is_soon(lambda: cached.cache_size)
    requests = len(store.requests)
    assert cached.get_range("o", start=2000, end=2010) == CONTENT[2000:2010]
    assert len(store.requests) == requests


def test_who_waits_for_an_interrupted_fetch_gets_its_bytes(ctrl_c: Callable[[], None]) -> None:
    store = HeldStore()
    cached = CachingReadableStore(store)  # type: ignore[arg-type]

    def join() -> bytes:
        assert store.arrived.wait(WAIT)
        return bytes(cached.get("o").buffer())

    with ThreadPoolExecutor(4) as pool:
        joining = [pool.submit(join) for _ in range(4)]
        interrupted(store, ctrl_c, lambda: cached.get("o"))
        store.go_on.set()
        assert [future.result(WAIT) for future in joining] == [CONTENT] * 4
    assert store.requests == [(0, len(CONTENT))]


def test_no_request_is_sent_after_ctrl_c_and_who_waits_takes_over(ctrl_c: Callable[[], None]) -> None:
    store = HeldStore(held_from=PART)
    split = SplittingReadableStore(store, PART, max_concurrent_requests=2)  # type: ignore[arg-type]
    result = split.get("o")

    def join() -> bytes:
        assert store.arrived.wait(WAIT)
        return bytes(result.buffer())

    interrupted(store, ctrl_c, result.buffer)
    under_way = len(store.requests)
    assert under_way <= 3
    with ThreadPoolExecutor(1) as pool:
        joining = pool.submit(join)
        time.sleep(0.02)
        store.go_on.set()
        assert joining.result(WAIT) == CONTENT
    again = [span for span in store.requests if store.requests.count(span) > 1]
    assert len(set(again)) <= under_way  # what the interrupted call had fetched

    store = HeldStore(held_from=PART)
    split = SplittingReadableStore(store, PART, max_concurrent_requests=2)  # type: ignore[arg-type]
    interrupted(store, ctrl_c, split.get("o").buffer)
    under_way = len(store.requests)
    store.go_on.set()
    assert is_soon(lambda: not concurrency.limiter.in_use)
    assert len(store.requests) == under_way


def test_a_traceback_that_is_kept_keeps_no_lease_and_no_bytes(ctrl_c: Callable[[], None], tmp_path: Path) -> None:
    store = HeldStore()
    cache = DiskCache(tmp_path / "cache", 1 << 20)
    cached = CachingReadableStore(store, block_size=50_000, cache=[cache], namespace="n")  # type: ignore[arg-type]
    error = interrupted(store, ctrl_c, lambda: cached.get_range("o", start=0, end=9))
    store.go_on.set()
    assert is_soon(lambda: not any(file.held for file in lease_files._files.values()))
    kept = [value for frame in frames(error) for value in frame.f_locals.values() if isinstance(value, bytes)]
    calls = [value for frame in frames(error) for value in frame.f_locals.values() if hasattr(value, "outcome")]
    assert not kept
    assert calls
    assert [call.outcome for call in calls] == [None] * len(calls)


def test_a_result_that_comes_with_the_interrupt_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    wait = interruptible._Call.start_and_wait

    def wait_and_raise(call: interruptible._Call) -> None:
        wait(call)
        raise KeyboardInterrupt

    monkeypatch.setattr(interruptible._Call, "start_and_wait", wait_and_raise)
    with pytest.raises(KeyboardInterrupt) as caught:
        interruptible.interruptible(lambda: CONTENT)
    kept = [value for frame in frames(caught.value) for value in frame.f_locals.values()]
    assert any(isinstance(value, interruptible._Call) for value in kept)
    assert not [value for value in kept if getattr(value, "outcome", None) is not None]


def test_a_call_that_was_interrupted_waits_for_no_other_process(ctrl_c: Callable[[], None], tmp_path: Path) -> None:
    waiting = threading.Event()

    class Leased(DiskCache):
        def lease(self, key: str) -> None:  # type: ignore[override] # as where another process fetches
            waiting.set()

    store = HeldStore()
    store.arrived = waiting
    cache = Leased(tmp_path / "cache", 1 << 20)
    cached = CachingReadableStore(store, block_size=50_000, cache=[cache], namespace="n")  # type: ignore[arg-type]
    interrupted(store, ctrl_c, lambda: cached.get_range("o", start=0, end=9))
    assert is_soon(lambda: not concurrency.limiter.in_use)
    assert store.requests == []


def test_a_reader_that_is_closed_after_ctrl_c_keeps_nothing_that_arrives_later(ctrl_c: Callable[[], None]) -> None:
    store = HeldStore(held_from=PART)
    reader = ParallelStoreReader(store, "o", PART)  # type: ignore[arg-type]
    reader.read(10)
    reader.seek(5 * PART)
    interrupted(store, ctrl_c, lambda: reader.read(100))
    reader.close()
    store.go_on.set()
    assert is_soon(lambda: not concurrency.limiter.in_use)
    assert list(reader._strategy._cache.numbers()) == []  # type: ignore[attr-defined]


def test_users_functions_are_called_for_what_was_under_way_too(ctrl_c: Callable[[], None]) -> None:
    store, called = HeldStore(), []
    traced = TracingReadableStore(store, RequestTrace(), on_request=called.append)  # type: ignore[arg-type]
    interrupted(store, ctrl_c, lambda: ParallelStoreReader(traced, "o").read(10))
    store.go_on.set()
    assert is_soon(lambda: called)


def test_a_signal_handler_that_reads_meanwhile_has_a_thread_of_its_own() -> None:
    store = HeldStore()
    other = HeldStore()
    other.go_on.set()

    def read_other(*_: object) -> None:
        ParallelStoreReader(other, "o").read(10)  # type: ignore[arg-type]
        store.go_on.set()

    before = signal.signal(signal.SIGUSR1, read_other)
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: store.arrived.wait(WAIT) and signal.raise_signal(signal.SIGUSR1))
            assert ParallelStoreReader(store, "o").read(10) == CONTENT[:10]  # type: ignore[arg-type]
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert other.threads
    assert threading.get_ident() not in other.threads


def test_nothing_is_collected_while_the_main_thread_waits_where_collection_was_off() -> None:
    class Littering(HeldStore):
        def body(self, start: int, stop: int) -> bytes:
            kept = [[] for _ in range(3 * gc.get_threshold()[0])]
            time.sleep(3 * gc_pause.COLLECTION_INTERVAL)
            counts.append(gc.get_count()[0])
            assert kept
            return CONTENT[start:stop]

    counts: list[int] = []
    gc.disable()
    try:
        ParallelStoreReader(Littering(), "o").read(10)  # type: ignore[arg-type]
    finally:
        gc.enable()
    assert counts[0] > 2 * gc.get_threshold()[0]


def test_objects_are_finalized_in_the_main_thread_while_it_waits() -> None:
    class Node:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            finalized.append(threading.get_ident())

    class Littering(HeldStore):
        def body(self, start: int, stop: int) -> bytes:
            for _ in range(3 * gc.get_threshold()[0]):
                Node()
            assert is_soon(lambda: finalized)
            return CONTENT[start:stop]

    finalized: list[int] = []
    ParallelStoreReader(Littering(), "o").read(10)  # type: ignore[arg-type]
    assert set(finalized) == {threading.get_ident()}


def frames(error: BaseException) -> list[Any]:
    found, traceback = [], error.__traceback__
    while traceback is not None:
        found.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return found


def test_a_store_is_called_with_the_caller_s_context_variables() -> None:
    variable = contextvars.ContextVar("variable", default="default")
    seen: list[str] = []

    class Seeing(HeldStore):
        def body(self, start: int, stop: int) -> bytes:
            seen.append(variable.get())
            return CONTENT[start:stop]

    token = variable.set("the caller's")
    try:
        EagerStoreReader(Seeing(), "o", PART)  # type: ignore[arg-type]
    finally:
        variable.reset(token)
    assert seen == ["the caller's"] * 10


def test_what_is_in_memory_is_read_by_the_caller_s_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    store = HeldStore()
    store.go_on.set()
    readers = [
        EagerStoreReader(store, "o", PART),  # type: ignore[arg-type]
        ParallelStoreReader(store, "o", PART),  # type: ignore[arg-type]
        open_reader(store, "o"),
    ]
    cached = [CachingReadableStore(store), CachingReadableStore(store, block_size=1000)]  # type: ignore[arg-type]
    for reader in readers:
        assert reader.read() == CONTENT
    for caching in cached:
        assert caching.get("o").buffer() == CONTENT
    monkeypatch.setattr(interruptible, "start_thread", lambda *_: pytest.fail("a thread was started"))
    for reader in readers:
        for start in range(0, len(CONTENT), 3333):
            reader.seek(start)
            assert reader.read(5000) == CONTENT[start : start + 5000]
            reader.seek(start)
            assert reader.readline() in CONTENT
    for caching in cached:
        assert caching.get("o").buffer() == b"".join(caching.get("o")) == CONTENT
        assert caching.get_range("o", start=500, end=9000) == CONTENT[500:9000]
        assert caching.get_ranges("o", starts=[0, 500], ends=[5000, 700]) == [CONTENT[:5000], CONTENT[500:700]]
        assert caching.head("o")["size"] == len(CONTENT)


def test_debuggers_and_profilers_see_what_a_thread_of_a_call_does() -> None:
    called: list[str] = []
    before = threading.getprofile()
    threading.setprofile(lambda frame, event, _: called.append(frame.f_code.co_name) if event == "call" else None)
    try:
        store = HeldStore()
        store.go_on.set()
        ParallelStoreReader(store, "o").read(5)  # type: ignore[arg-type]
    finally:
        threading.setprofile(before)  # type: ignore[arg-type]
    assert "body" in called


def test_users_functions_are_called_in_the_main_thread() -> None:
    store, called = HeldStore(), []
    store.go_on.set()
    trace = RequestTrace()
    traced = TracingReadableStore(store, trace, on_request=lambda _: called.append(threading.get_ident()))  # type: ignore[arg-type]
    EagerStoreReader(traced, "o", PART)  # type: ignore[arg-type]
    assert called == [threading.get_ident()] * 10
    assert threading.get_ident() not in store.threads[:1]


def test_an_error_of_the_store_is_raised_and_leads_back_to_nothing() -> None:
    class BrokenError(Exception):
        pass

    def fail() -> None:
        raise BrokenError

    with pytest.raises(BrokenError) as caught:
        interruptible.interruptible(fail)
    assert not [value for frame in frames(caught.value) for value in frame.f_locals.values() if value is caught.value]


def test_where_no_threads_can_be_had_the_caller_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads._thread, "start_new_thread", refuse)
    assert gather(lambda number: number, 10, 4) == list(range(10))
    store = HeldStore()
    store.go_on.set()
    assert EagerStoreReader(store, "o", PART).read() == CONTENT  # type: ignore[arg-type]
    assert set(store.threads) == {threading.get_ident()}


def test_an_interrupted_task_s_claim_is_replaced() -> None:
    in_flight: SingleFlight[str] = SingleFlight()
    loop = asyncio.new_event_loop()

    async def interrupt() -> str:
        raise KeyboardInterrupt

    async def fetch() -> str:
        return "value"

    def not_now(*_: object) -> None:
        raise KeyboardInterrupt  # in the very place that would release the claim

    async def read(fetch: Callable[[], Any]) -> str:
        return await in_flight.run_async("key", fetch, find=lambda _: None, keep=lambda *_: None)

    in_flight.abandon = not_now  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(read(interrupt))
    del in_flight.abandon  # type: ignore[method-assign]
    assert in_flight._claims
    assert loop.run_until_complete(asyncio.wait_for(read(fetch), WAIT)) == "value"
    loop.close()


async def test_a_result_that_can_t_be_kept_fails_the_task_and_leaves_no_claim() -> None:
    in_flight: SingleFlight[str] = SingleFlight()

    async def fetch() -> str:
        return "value"

    def refuse(*_: object) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        await in_flight.run_async("key", fetch, find=lambda _: None, keep=refuse)
    assert in_flight._claims == {}


async def test_a_job_that_is_cancelled_from_within_cancels_the_whole() -> None:
    async def cancelled() -> int:
        raise asyncio.CancelledError

    async def done() -> int:
        return 1

    with pytest.raises(asyncio.CancelledError):
        await gather_async(lambda number: [done, cancelled, done][number](), 3, 2)
