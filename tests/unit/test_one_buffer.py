"""One contiguous buffer: made once, in place of the parts, and shared by all who ask."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import pytest
from obstore.store import HTTPStore, LocalStore

from obspec_utils._io import allocation
from obspec_utils._io.buffers import BufferList
from obspec_utils._io.get_result import InMemoryBody, Result
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

if TYPE_CHECKING:
    from pathlib import Path

    from obspec import ObjectMeta

    from tests.servers import ObjectServer

CONTENT = bytes(range(250)) * 400
WAIT = 10


class Pinned(bytearray):
    """A buffer whose end can be watched."""


def address(buffer: object) -> int:
    """Return where a buffer's bytes are."""
    view = (ctypes.c_ssize_t * 11)()  # as large as a Py_buffer, whose first field it is
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(buffer), ctypes.byref(view), 0)
    found = view[0]
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))
    return found


def pinned_parts(size: int = 1000) -> tuple[BufferList, list[weakref.ref[Pinned]]]:
    buffers = [Pinned(CONTENT[start : start + size]) for start in range(0, len(CONTENT), size)]
    return BufferList(buffers), [weakref.ref(buffer) for buffer in buffers]


def alive(watched: list[weakref.ref[Pinned]]) -> int:
    return sum(watch() is not None for watch in watched)


@pytest.fixture(params=["array", "large"], autouse=True)
def _both_kinds_of_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocation, "_LARGE", 1 if request.param == "large" else 1 << 40)


@pytest.fixture(params=["over http", "file"])
def store(request: pytest.FixtureRequest, object_server: ObjectServer, tmp_path: Path) -> HTTPStore | LocalStore:
    if request.param == "file":
        (tmp_path / "object").write_bytes(CONTENT)
        return LocalStore(tmp_path)
    object_server.put("bucket/object", CONTENT)
    return object_server.http_store("bucket")


def test_joined_parts_are_let_go_and_the_second_join_copies_nothing() -> None:
    parts, watched = pinned_parts()
    first = parts.join()
    assert alive(watched) == 0
    assert bytes(first) == CONTENT
    assert address(parts.join()) == address(first)
    assert b"".join(parts.pieces(0, len(CONTENT))) == CONTENT
    assert [piece.nbytes for piece in parts.pieces(500, 2500)] == [500, 1000, 500]


def test_each_part_goes_as_soon_as_it_is_copied_and_reads_are_right_meanwhile() -> None:
    parts, watched = pinned_parts()
    for number, _ in enumerate(parts.joining(), 1):
        assert alive(watched) == len(watched) - number
        assert bytes(parts.slice(number * 500, number * 700)) == CONTENT[number * 500 : number * 700]
    assert parts.joined


def test_a_join_given_up_half_way_leaves_all_as_it_was() -> None:
    parts, _ = pinned_parts()
    steps = parts.joining()
    for _ in range(40):
        next(steps)
    steps.close()
    assert not parts.joined
    assert bytes(parts.join()) == CONTENT


def test_of_two_joins_side_by_side_one_buffer_stays() -> None:
    parts, watched = pinned_parts()
    joins = [parts.joining(), parts.joining()]
    for _ in range(50):
        for join in joins:
            next(join)
    for join in joins:
        list(join)
    assert alive(watched) == 0
    assert len({id(view.obj) for view in parts._views} | {id(parts._wholes[0].obj)}) == 1
    assert bytes(parts.join()) == CONTENT


@pytest.mark.parametrize(("length", "view"), [(len(CONTENT) // 2, True), (len(CONTENT) // 2 - 1, False), (1000, False)])
@pytest.mark.parametrize("start", [0, 1500])
def test_a_slice_of_joined_parts_is_a_view_only_if_it_is_half_of_the_whole(
    length: int,
    view: bool,  # noqa: FBT001
    start: int,
) -> None:
    parts, _ = pinned_parts()
    whole = parts.join()
    kept = parts.slice(start, start + length)
    assert (address(kept) == address(whole) + start) is view
    assert bytes(kept) == CONTENT[start : start + length]


def test_a_split_object_is_fetched_into_one_buffer_that_all_reads_share(store: Any) -> None:
    result = SplittingReadableStore(store, request_size=9000).get("object")
    first = result.buffer()
    assert address(result.buffer()) == address(first)
    assert [len(chunk) for chunk in result] == [
        len(chunk) for chunk in SplittingReadableStore(store, 9000).get("object")
    ]
    assert b"".join(result) == CONTENT
    chunk = next(iter(result))
    assert address(chunk) == address(first)
    del result
    gc.collect()
    assert bytes(first) == CONTENT


async def test_so_it_is_by_the_async_twins(store: Any) -> None:
    result = await SplittingReadableStore(store, request_size=9000).get_async("object")
    first = await result.buffer_async()
    assert bytes(first) == CONTENT
    assert address(await result.buffer_async()) == address(first) == address(result.buffer())


@pytest.mark.parametrize("begun", [1, 5, 100])
def test_what_was_iterated_before_is_moved_into_the_buffer(store: Any, begun: int) -> None:
    result = SplittingReadableStore(store, request_size=9000, max_concurrent_requests=3).get("object")
    for _ in zip(range(begun), result, strict=False):
        pass
    first = result.buffer()
    assert bytes(first) == CONTENT
    assert address(result.buffer()) == address(first)
    assert cast("Any", result._body)._buffers == []


@pytest.mark.parametrize("filled_by", ["get", "get_range", "get_async"])
def test_a_cached_object_is_joined_once_and_small_ranges_of_it_are_copies(store: Any, filled_by: str) -> None:
    cached = CachingReadableStore(SplittingReadableStore(store, request_size=9000))
    if filled_by == "get_range":
        cached.get_range("object", start=0, length=1)
    elif filled_by == "get_async":
        asyncio.run(cached.get_async("object"))
    first = cached.get("object").buffer()
    assert bytes(first) == CONTENT
    assert address(cached.get("object").buffer()) == address(first)
    assert address(cached.get_range("object", start=0, end=len(CONTENT))) == address(first)
    assert address(cached.get_range("object", start=0, length=9000)) != address(first)
    assert cached.cache_size == len(CONTENT)


def test_an_object_of_one_part_is_not_copied(store: Any) -> None:
    cached = CachingReadableStore(SplittingReadableStore(store))
    cached.get("object")
    entries = cached._entries
    parts = entries.block((entries.find("object"), 0))
    assert parts is not None
    assert parts._wholes == []
    assert address(cached.get("object").buffer()) == address(parts._views[0])


def test_threads_and_tasks_that_ask_at_once_get_one_buffer() -> None:
    for _ in range(10):
        parts, watched = pinned_parts()
        result = Result(cast("ObjectMeta", {"size": len(CONTENT)}), (0, len(CONTENT)), {}, InMemoryBody(parts))
        barrier = threading.Barrier(4)

        def ask(number: int, result: Result = result, barrier: threading.Barrier = barrier) -> bytes:
            barrier.wait(WAIT)
            if number % 2:
                return bytes(result.buffer())

            async def read() -> bytes:
                return bytes(await result.buffer_async())

            return asyncio.run(read())

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(ask, range(4))) == [CONTENT] * 4
        assert alive(watched) == 0
        assert len({id(view.obj) for view in parts._views}) == 1
