"""What goes wrong in the middle: failures, closing, several consumers at once. Nothing stays broken."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from obstore.store import LocalStore, MemoryStore

from obspec_utils import ObjectStoreRegistry, glob
from obspec_utils.caches._lru import LruCache
from obspec_utils.readers import BufferedStoreReader, EagerStoreReader, ParallelStoreReader
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTENT = bytes(range(251)) * 400
WAIT = 10


class Pinned(bytearray):
    """A body whose end can be watched."""


class Answered:
    """The answer of a store in Python."""

    def __init__(self, meta: dict[str, Any], span: tuple[int, int], body: Callable[[], Any]) -> None:
        self.meta, self.range, self.attributes, self.buffer = meta, span, {}, body

    async def buffer_async(self) -> Any:
        await asyncio.sleep(0.001)
        return self.buffer()


class Store:
    """A store of one object, whose bodies do what a test wants."""

    def __init__(self, body: Callable[[int, int], Any] = lambda start, stop: CONTENT[start:stop]) -> None:
        self.body = body

    def get(self, path: str, *, options: Any = None) -> Answered:
        start, stop = (options or {}).get("range", (0, len(CONTENT)))
        stop = min(stop, len(CONTENT))
        return Answered({"path": path, "size": len(CONTENT)}, (start, stop), lambda: self.body(start, stop))

    async def get_async(self, path: str, *, options: Any = None) -> Answered:
        await asyncio.sleep(0.001)
        return self.get(path, options=options)


def test_threads_and_loops_may_consume_one_result() -> None:
    for _ in range(20):
        store: Any = SplittingReadableStore(Store(), request_size=1000, max_concurrent_requests=2)
        result = store.get("object")
        barrier = threading.Barrier(3)

        async def consume(result: Any = result, barrier: threading.Barrier = barrier) -> bytes:
            barrier.wait(WAIT)
            return b"".join([chunk async for chunk in result])

        def iterate(result: Any = result, barrier: threading.Barrier = barrier) -> bytes:
            barrier.wait(WAIT)
            return b"".join(result)

        with ThreadPoolExecutor(3) as pool:
            loops = [pool.submit(lambda consume=consume: asyncio.run(consume())) for _ in range(2)]
            thread = pool.submit(iterate)
            assert [future.result(WAIT) for future in (*loops, thread)] == [CONTENT] * 3
        assert result.buffer() == CONTENT


@pytest.mark.parametrize("wrap", [EagerStoreReader, CachingReadableStore, SplittingReadableStore])
def test_a_failed_read_leaves_no_bytes_behind_for_the_collector(wrap: Any) -> None:
    bodies: list[weakref.ref[Pinned]] = []

    def body(start: int, stop: int) -> Any:
        if start > 20_000:
            raise OSError("broken")
        kept = Pinned(CONTENT[start:stop])
        bodies.append(weakref.ref(kept))
        return kept

    def read() -> None:
        if wrap is EagerStoreReader:
            EagerStoreReader(Store(body), "object", request_size=5000, max_concurrent_requests=2)
        else:
            store: Any = SplittingReadableStore(Store(body), request_size=5000, max_concurrent_requests=2)
            (store if wrap is SplittingReadableStore else wrap(store)).get("object").buffer()

    gc.disable()
    try:
        with pytest.raises(OSError, match="broken"):
            read()
        assert len(bodies) >= 1
        assert [watch() for watch in bodies if watch() is not None] == []
    finally:
        gc.enable()


@pytest.mark.parametrize("reader", [ParallelStoreReader, BufferedStoreReader])
def test_a_reader_closed_while_another_thread_reads_keeps_nothing(reader: Any) -> None:
    asked, release = threading.Event(), threading.Event()

    def body(start: int, stop: int) -> bytes:
        asked.set()
        release.wait(WAIT)
        return CONTENT[start:stop]

    file = reader(Store(body), "object")
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(file.read, 10)
        assert asked.wait(WAIT)
        file.close()
        release.set()
        assert reading.result(WAIT) == CONTENT[:10]
    for refused in (lambda: file.read(5), lambda: file.readinto(bytearray(5)), file.readline):
        with pytest.raises(ValueError, match="closed"):
            refused()
    assert len(file._piece[2]) == 0


def test_a_long_line_is_looked_for_in_steps_that_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    store.put("line", bytes(8 << 20))
    file = EagerStoreReader(store, "line")
    at, calls = file._read_at, []
    monkeypatch.setattr(file, "_read_at", lambda *span: calls.append(span) or at(*span))
    assert len(file.readline()) == 8 << 20
    assert 8 <= len(calls) < 20


def test_glob_lists_where_the_store_below_a_wrapper_has_no_head() -> None:
    class Listing:
        def list(self, prefix: str | None = None) -> Any:
            return iter([[{"path": "a/b.nc"}, {"path": "a/c.nc"}]])

    wrapped: Any = CachingReadableStore(Listing())  # type: ignore[arg-type] # that is the point
    assert list(glob(wrapped, "a/b.nc")) == ["a/b.nc"]


@pytest.mark.parametrize("call", [{"key": "object", "file": b"new"}, {"file": b"new", "key": "object"}])
def test_a_change_by_arguments_of_other_names_forgets_everything(call: dict[str, Any]) -> None:
    class Writable(Store):
        def put(self, key: str, file: bytes) -> None:
            self.body = lambda start, stop: (file * len(CONTENT))[start:stop]

    store: Any = CachingReadableStore(Writable())  # type: ignore[arg-type]
    store.get("object")
    store.put(**call)
    assert store.cached_paths == []
    assert bytes(store.get_range("object", start=0, end=3)) == b"new"


def test_what_is_no_path_is_for_the_store_to_refuse(tmp_path: Path) -> None:
    store = CachingReadableStore(MemoryStore())
    with pytest.raises(TypeError):
        store.put(tmp_path, b"")
    with pytest.raises(TypeError):
        store.delete(5)


def test_a_count_that_an_interrupt_left_wrong_is_right_again_when_the_cache_is_empty() -> None:
    cache: LruCache[int, str] = LruCache(10)
    cache.put(1, "one", 4)
    cache._size = 14  # as if a change had been counted but not made
    cache.put(2, "two", 4)
    assert (cache.keys(), cache.size) == ([2], 4)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.5])
def test_a_number_that_is_not_whole_is_refused(value: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"max_size must be a whole number, got"):
        CachingReadableStore(LocalStore(tmp_path), max_size=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["float", "int32", "uint64"])
def test_whole_numbers_of_any_type_are_taken(kind: str) -> None:
    import numpy as np

    number: Any = float(1000) if kind == "float" else np.dtype(kind).type(1000)
    for file in (
        ParallelStoreReader(Store(), "object", chunk_size=number, max_cached_chunks=number),
        BufferedStoreReader(Store(), "object", buffer_size=number),
        EagerStoreReader(Store(), "object", request_size=number, max_concurrent_requests=number),
    ):
        file.seek(999)
        assert file.read(3) == CONTENT[999:1002]
        assert file.read() == CONTENT[1002:]


@pytest.mark.parametrize(("start", "length"), [("uint8", "uint8"), ("uint8", "int"), ("int", "uint8")])
def test_sums_of_small_integers_do_not_overflow(start: str, length: str) -> None:
    import numpy as np

    kinds: dict[str, Any] = {"uint8": np.uint8, "int": int}
    store: Any = CachingReadableStore(Store())
    for _ in range(2):
        found = store.get_range("object", start=kinds[start](200), length=kinds[length](100))
        assert bytes(found) == CONTENT[200:300]


def test_metadata_without_an_etag_will_do() -> None:
    store: Any = CachingReadableStore(Store())
    assert bytes(store.get_range("object", start=5, length=3)) == CONTENT[5:8]
    assert store.get("object", options={"if_match": '"1"', "range": (0, 3)}).range == (0, 3)


@pytest.mark.parametrize("secret", ["token", "user:password", "user:pa@ss:word"])
def test_an_error_never_shows_who_may_read(secret: str) -> None:
    with pytest.raises(ValueError, match="Could not find an ObjectStore") as raised:
        ObjectStoreRegistry().resolve(f"https://{secret}@host/a.nc?signature=1")
    assert not any(part in str(raised.value) for part in (*secret.split(":"), "signature"))


def test_threads_that_begin_with_one_reader_share_its_first_request() -> None:
    slow, release = threading.Event(), threading.Event()
    requests: list[Any] = []

    class Slow(Store):
        def get(self, path: str, *, options: Any = None) -> Answered:
            answer = super().get(path, options=options)
            requests.append(options)
            slow.set()
            assert release.wait(WAIT)
            return answer

    file = ParallelStoreReader(Slow(), "object", chunk_size=1000)
    with ThreadPoolExecutor(2) as pool:
        sizes = [pool.submit(lambda: file.size) for _ in range(2)]
        assert slow.wait(WAIT)
        release.set()
        assert [future.result(WAIT) for future in sizes] == [len(CONTENT)] * 2
    assert len(requests) == 1
    assert file.read(2000) == CONTENT[:2000]


def test_a_line_that_fails_half_way_is_read_whole_the_next_time() -> None:
    failing = [True]

    def body(start: int, stop: int) -> bytes:
        if start >= 10_000 and failing:
            failing.clear()
            raise OSError("broken")
        return bytes(stop - start)

    file = BufferedStoreReader(Store(body), "object", buffer_size=1000)
    with pytest.raises(OSError, match="broken"):
        file.readline()
    assert file.tell() == 0
    assert len(file.readline()) == len(CONTENT)


def test_a_store_that_ignores_ranges_is_not_kept_whole_by_every_chunk() -> None:
    class Whole(Store):
        def get(self, path: str, *, options: Any = None) -> Answered:
            return super().get(path)

    file = ParallelStoreReader(Whole(), "object", chunk_size=1000, max_cached_chunks=4)
    for start in range(0, len(CONTENT), 1000):
        file.seek(start)
        assert file.read(10) == CONTENT[start : start + 10]
    assert all(len(data) <= 1000 for *_, data in file._strategy._cache._used.values())


@pytest.mark.parametrize("split", [False, True])
def test_a_store_with_ranges_alone_is_read_through_a_cache(split: bool) -> None:  # noqa: FBT001
    class Ranges:
        def head(self, path: str) -> dict[str, Any]:
            return {"path": path, "size": len(CONTENT)}

        def get_range(self, path: str, *, start: int, end: int) -> bytes:
            return CONTENT[start:end]

    store: Any = SplittingReadableStore(Ranges()) if split else Ranges()  # type: ignore[arg-type]
    cached = CachingReadableStore(store)
    assert ParallelStoreReader(cached, "object").read() == CONTENT
    assert cached.cache_size == (len(CONTENT) if split else 0)
    with pytest.raises(TypeError, match=r"Can't read 'object' with if_match=: Ranges has no get\(\)"):
        SplittingReadableStore(Ranges()).get("object", options={"if_match": '"1"'})  # type: ignore[arg-type]
