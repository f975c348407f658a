"""What threads, Ctrl-C and failures must not leave behind in readers, results and the pause of collection."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

import pytest
from obstore.store import MemoryStore

from obspec_utils._io.buffers import BufferList
from obspec_utils._io.concurrency import gather_async
from obspec_utils._io.get_result import InMemoryBody, Result
from obspec_utils._version import Version
from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.readers import BufferedStoreReader, EagerStoreReader, ParallelStoreReader, _stream
from obspec_utils.readers._strategy import NO_PIECE, Strategy
from obspec_utils.readers._version_options import VersionOptions
from obspec_utils.wrappers import CachingReadableStore

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT = 30
MIB = 1 << 20
CONTENT = bytes(range(256)) * (2 * MIB // 256)


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.put("object", CONTENT)
    return store


def test_an_open_response_that_another_thread_reads_to_its_end_meanwhile_is_no_error(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ParallelStoreReader(store, "object", chunk_size=1 << 16)
    looked, go_on = threading.Event(), threading.Event()
    original: Callable[[Any], int] = _stream.ResponseStream.remaining.fget  # type: ignore[attr-defined]

    def left(stream: _stream.ResponseStream) -> int:
        if threading.current_thread() is other and not looked.is_set():
            looked.set()
            go_on.wait(WAIT)
        return original(stream)

    results: list[bytes] = []

    def jump() -> None:
        file.seek(MIB)
        results.append(file.read(200_000))

    other = threading.Thread(target=jump)
    monkeypatch.setattr(_stream.ResponseStream, "remaining", property(left))
    file.read(100)
    assert file._strategy._stream is not None
    other.start()
    assert looked.wait(WAIT)
    assert file._read_at(60_000, 65_536) == CONTENT[60_000:65_536]
    go_on.set()
    other.join(WAIT)
    assert results == [CONTENT[MIB : MIB + 200_000]]


@pytest.mark.parametrize("reader", [EagerStoreReader, ParallelStoreReader, BufferedStoreReader])
@pytest.mark.parametrize(
    "read", [lambda file: file.read(10), lambda file: file.readinto(bytearray(10)), lambda file: file.readline(10)]
)
def test_a_window_that_is_opened_while_another_thread_closes_does_not_stay(
    store: MemoryStore, reader: Any, read: Callable[[Any], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = reader(store, "object")
    file.read(10)
    file.seek(MIB // 2)
    file.read(10)
    file.seek(MIB // 2)
    file._piece = NO_PIECE
    find = file._strategy.find

    def find_and_close(position: int) -> Any:
        piece = find(position)
        file.close()
        return piece

    monkeypatch.setattr(file, "_find", find_and_close)
    read(file)
    assert file._piece is NO_PIECE
    with pytest.raises(ValueError, match="closed"):
        file.read(10)


def test_a_version_is_seen_by_other_threads_only_after_it_was_compared_and_together_with_its_size() -> None:
    class Watched(Strategy):
        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            assert self.version is None or self.version.size == self.size

    class Compared(Version):
        def check(self, path: str, found: Version) -> None:
            seen.append(strategy.version)
            Version.check(self, path, found)

    seen: list[Version | None] = []
    strategy, first = Watched(None, "object", VersionOptions("auto", None)), Compared(10)
    strategy.pin(first)
    assert (seen, strategy.version) == ([None], first)
    with pytest.raises(ObjectChangedError, match="'object' changed"):
        strategy.pin(Version(11))
    assert (strategy.version, strategy.size) == (first, 10)


async def test_a_failed_async_fetch_does_not_lead_back_to_itself() -> None:
    class BrokenError(Exception):
        pass

    async def fail() -> bytes:
        raise BrokenError

    async def work() -> bytes:
        return bytes(10)

    with pytest.raises(BrokenError) as caught:
        await gather_async(lambda number: [work, fail][number](), 2, 2)
    assert caught.value.__context__ is None


async def test_a_task_cancelled_beside_a_thread_that_joined_leaves_one_buffer() -> None:
    size = 24 * MIB
    parts = BufferList([bytes([number]) * MIB for number in range(24)])
    meta: Any = {"path": "o", "size": size}
    result = Result(meta, (0, size), {}, InMemoryBody(parts))
    task = asyncio.create_task(result.buffer_async())
    for _ in range(3):
        await asyncio.sleep(0)
    thread = threading.Thread(target=result.buffer)
    thread.run()  # here and now, as a thread would in between
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert len({id(view.obj) for view in parts._views}) == 1
    assert bytes(result.buffer()) == b"".join(bytes([number]) * MIB for number in range(24))


def test_a_reader_over_a_cache_does_not_keep_what_the_cache_lets_go(store: MemoryStore) -> None:
    cached = CachingReadableStore(store)
    file = BufferedStoreReader(cached, "object", buffer_size=1 << 17)
    while file.tell() < MIB:
        file.read(5000)
    assert file._strategy._stream is None
    cached.clear_cache()
    assert file.read(5000) == CONTENT[file.tell() - 5000 : file.tell()]
