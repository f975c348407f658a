"""What readers promise beyond being files: read-only, bounded, shared by threads, freed when closed."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import random
import struct
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from obstore.store import LocalStore, MemoryStore

from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.protocols import ReadableFile
from obspec_utils.readers import (
    BlockStoreReader,
    BufferedStoreReader,
    EagerStoreReader,
    ParallelStoreReader,
    open_reader,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

READERS = [EagerStoreReader, ParallelStoreReader, BlockStoreReader, BufferedStoreReader]
SMALL = {
    EagerStoreReader: {"request_size": 1000, "max_concurrent_requests": 2},
    ParallelStoreReader: {"chunk_size": 1000, "max_cached_chunks": 4},
    BlockStoreReader: {"block_size": 1000, "max_cached_blocks": 4},
    BufferedStoreReader: {"buffer_size": 1000},
}
# Each eight bytes tell their own offset.
CONTENT = b"".join(struct.pack(">Q", offset) for offset in range(0, 80_000, 8))

every_reader = pytest.mark.parametrize("reader", READERS)


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.put("object", CONTENT)
    return store


@every_reader
def test_it_is_a_buffered_binary_file_for_reading(reader: Callable[..., Any], store: MemoryStore) -> None:
    file = reader(store, "object")
    assert isinstance(file, io.BufferedIOBase)
    assert isinstance(file, ReadableFile)
    assert (file.readable(), file.seekable(), file.writable(), file.isatty()) == (True, True, False, False)
    for refused in (lambda: file.write(b"x"), file.truncate, file.fileno, file.detach):
        with pytest.raises(io.UnsupportedOperation):
            refused()
    assert (file.path, file.size, file.mode) == ("object", len(CONTENT), "rb")
    assert file.readall() == CONTENT
    assert "object" in repr(file)
    assert "MemoryStore" in repr(file)


def test_each_class_has_what_h5py_calls_while_an_error_is_set_of_its_own() -> None:
    class Mine(ParallelStoreReader):
        pass

    for kind in (*READERS, Mine):
        assert {"flush", "readinto", "seek", "tell", "truncate", "write"} <= vars(kind).keys()


@every_reader
def test_its_repr_tells_size_position_and_whether_it_is_closed(reader: Callable[..., Any], store: MemoryStore) -> None:
    file = reader(store, "object")
    assert repr(file).endswith("position 0>")
    assert ("size" in repr(file)) == (reader is EagerStoreReader), "nothing is requested to learn it"
    file.read(10)
    assert repr(file).endswith(", size 80000, position 10>")
    file.close()
    assert repr(file).endswith(", size 80000, position 10, closed>")


@every_reader
def test_what_is_closed_says_so(reader: Callable[..., Any], store: MemoryStore) -> None:
    file = reader(store, "object")
    with file as entered:
        assert entered.read(8) == CONTENT[:8]
    assert file.closed
    for refused in (file.read, file.tell, file.readable, file.seekable, file.readline, lambda: file.seek(0)):
        with pytest.raises(ValueError, match=r"closed file.*'object'"):
            refused()
    assert file.size == len(CONTENT)
    file.close()


def test_the_size_of_a_reader_closed_unread_is_not_fetched(store: MemoryStore) -> None:
    file = ParallelStoreReader(store, "object")
    file.close()
    with pytest.raises(ValueError, match="closed"):
        _ = file.size


@every_reader
def test_text_is_read_through_the_usual_wrapper(reader: Callable[..., Any]) -> None:
    store = MemoryStore()
    text = "naïve\nlines\n" * 500
    store.put("text", text.encode())
    assert io.TextIOWrapper(reader(store, "text", **SMALL[reader]), encoding="utf-8").read() == text
    lines = list(reader(store, "text", **SMALL[reader]))
    assert b"".join(lines) == text.encode()
    assert len(lines) == 1000


@every_reader
def test_a_long_line_is_one_line(reader: Callable[..., Any]) -> None:
    store = MemoryStore()
    content = b"x" * 30_000 + b"\n" + b"y" * 20_000
    store.put("lines", content)
    file = reader(store, "lines", **SMALL[reader])
    assert [len(line) for line in file] == [30_001, 20_000]
    file.seek(0)
    assert file.readline(10_000) == b"x" * 10_000


@every_reader
def test_a_seek_too_far_is_an_overflow_as_of_other_files(reader: Callable[..., Any], store: MemoryStore) -> None:
    file = reader(store, "object")
    file.seek(1)
    with pytest.raises(OverflowError, match="too large"):
        file.seek((1 << 63) - 1, io.SEEK_CUR)
    assert file.tell() == 1


@every_reader
def test_threads_that_share_a_reader_get_bytes_that_belong_together(
    reader: Callable[..., Any], store: MemoryStore
) -> None:
    file = reader(store, "object", **SMALL[reader])

    def use(seed: int) -> int:
        rng = random.Random(seed)
        for _ in range(400):
            file.seek(8 * rng.randrange(10_000))
            if rng.random() < 0.5:
                data = file.read(8 * rng.randrange(1, 500))
            else:
                buffer = bytearray(8 * rng.randrange(1, 500))
                data = bytes(buffer[: file.readinto(buffer)])
            if data:
                offset = struct.unpack(">Q", data[:8])[0]
                assert data == CONTENT[offset : offset + len(data)]
        return seed

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(8))) == list(range(8))


def kept(file: Any) -> list[bytes]:
    """Return the blocks a reader keeps, and its window."""
    blocks = file._strategy._cache
    return [data for *_, data in [*blocks._used.values(), *blocks._readahead.values()]]


@pytest.mark.parametrize(
    ("make", "budget"),
    [
        (partial(ParallelStoreReader, chunk_size=1000, max_cached_chunks=4), 4000),
        (partial(ParallelStoreReader, chunk_size=16_000, max_cached_chunks=2), 32_000),
        (partial(BufferedStoreReader, buffer_size=500), 32_000),
        (partial(BufferedStoreReader, buffer_size=100, max_concurrent_requests=3), 6400),
        (partial(open_reader, memory=20_000), 20_000),
    ],
)
def test_what_is_kept_never_exceeds_the_budget_nor_pins_more(
    store: MemoryStore, make: Callable[..., Any], budget: int
) -> None:
    file = make(store, "object")
    rng = random.Random(0)
    for step in range(600):
        start, length = rng.randrange(80_000), rng.randrange(1, 9000)
        if step % 3:
            file.seek(start)
        start = file.tell()
        assert file.read(length) == CONTENT[start : start + length]
        assert all(type(data) is bytes for data in kept(file)), "a view would keep what was fetched with it"
        assert sum(map(len, kept(file))) <= budget


def test_a_long_run_in_sequence_keeps_two_buffers() -> None:
    store = MemoryStore()
    store.put("long", bytes(4 << 20))
    file = BufferedStoreReader(store, "long", buffer_size=1 << 17)
    most = 0
    while file.read(5000):
        most = max(most, sum(map(len, kept(file))))
        if file.tell() > 2 << 20:
            assert sum(map(len, kept(file))) <= 2 << 17
    assert most > 2 << 17, "before, more is kept: reads of headers come back"


@every_reader
@pytest.mark.parametrize("dtype", ["M8[s]", "m8[ns]", [("time", "M8[s]"), ("value", "i8")]])
@pytest.mark.parametrize("length", [0, 1, 1000, 6000])
def test_readinto_fills_arrays_of_times_as_bytesio_does(
    store: MemoryStore, reader: Callable[..., Any], dtype: Any, length: int
) -> None:
    for method in ("readinto", "readinto1"):
        file, expected = reader(store, "object", **SMALL[reader]), io.BytesIO(CONTENT)
        for _ in range(3):  # the last one runs past the end of the longest
            found, wanted = np.zeros(length, dtype), np.zeros(length, dtype)
            assert getattr(file, method)(found) == getattr(expected, method)(wanted)
            assert found.tobytes() == wanted.tobytes()
            assert file.tell() == expected.tell()


@every_reader
def test_readinto_refuses_arrays_of_times_that_bytesio_refuses(store: MemoryStore, reader: Callable[..., Any]) -> None:
    file = reader(store, "object")
    frozen = np.zeros(10, "M8[s]")
    frozen.setflags(write=False)
    for refused in (frozen, np.zeros((10, 10), "M8[s]")[:, 0], np.zeros(10, "M8[s]")[::2]):
        with pytest.raises((TypeError, ValueError, BufferError)) as expected:
            io.BytesIO(CONTENT).readinto(refused)
        with pytest.raises(type(expected.value)):
            file.readinto(refused)
        assert file.tell() == 0
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.readinto(np.zeros(10, "M8[s]"))


class Pinned(bytearray):
    """A body whose end can be watched."""


class Watched:
    """A store whose last body can be watched."""

    def __init__(self) -> None:
        self.watch: list[weakref.ref[Pinned]] = []

    def get(self, path: str, *, options: Any = None) -> Any:
        body = Pinned(CONTENT)
        self.watch.append(weakref.ref(body))

        class Result:
            meta = {"path": path, "size": len(CONTENT), "e_tag": '"1"', "last_modified": None, "version": None}  # noqa: RUF012
            range = (0, len(CONTENT))
            attributes: dict[str, str] = {}  # noqa: RUF012

            def buffer(self, body: Pinned = body) -> Pinned:
                return body

        return Result()


@every_reader
def test_closing_frees_what_is_kept(reader: Callable[..., Any]) -> None:
    store = Watched()
    file = reader(store, "object")
    assert file.read(8) == CONTENT[:8]
    file.close()
    gc.collect()
    assert [watch() for watch in store.watch] == [None]


@every_reader
def test_a_copy_reads_for_itself_from_the_same_position(reader: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(CONTENT)
    file = reader(LocalStore(tmp_path), "object", **SMALL[reader])
    file.seek(80)
    other = copy.copy(file)
    assert other.read(8) == CONTENT[80:88]
    assert file.tell() == 80
    file.close()
    assert other.read(8) == CONTENT[88:96]


@every_reader
def test_a_copy_knows_the_version_and_refuses_another(reader: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(CONTENT)
    file = reader(LocalStore(tmp_path), "object", **SMALL[reader])
    file.read(8)
    (tmp_path / "object").write_bytes(CONTENT[:-8])
    other = pickle.loads(pickle.dumps(file))
    assert (other.size, other.tell()) == (len(CONTENT), 8)
    with pytest.raises(ObjectChangedError, match="'object' changed"):
        other.read(8)


@every_reader
def test_a_copy_has_the_options_of_the_original(reader: Callable[..., Any], store: MemoryStore) -> None:
    file = reader(store, "object", **SMALL[reader])
    found = copy.copy(file)._options
    assert {name: found[name] for name in SMALL[reader]} == SMALL[reader]


@every_reader
@pytest.mark.parametrize("number", [0, -1])
def test_a_constructor_refuses_sizes_that_are_not_positive_and_leaves_nothing(
    reader: Callable[..., Any], store: MemoryStore, number: int
) -> None:
    for name in SMALL[reader]:
        with pytest.raises(ValueError, match=rf"{name} must be positive, got {number}"):
            reader(store, "object", **{name: number})
    gc.collect()
