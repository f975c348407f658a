"""The reader for whoever does not want to choose one: which one it is, and what it promises in each case."""

from __future__ import annotations

import io
import pickle
import random
from typing import TYPE_CHECKING, Any

import pytest
from obstore.store import LocalStore, MemoryStore

from obspec_utils.protocols import ReadableFile
from obspec_utils.readers import EagerStoreReader, ParallelStoreReader, open_reader
from obspec_utils.wrappers import CachingReadableStore, RequestTrace, SplittingReadableStore, TracingReadableStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTENT = random.Random(0).randbytes(50_000)
SIZE = len(CONTENT)

WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "none": lambda store: store,
    "caching": CachingReadableStore,
    "splitting": lambda store: SplittingReadableStore(store, request_size=7000),
    "tracing": lambda store: TracingReadableStore(store, RequestTrace()),
    "all": lambda store: TracingReadableStore(CachingReadableStore(SplittingReadableStore(store)), RequestTrace()),
}


class Untouchable:
    """A store that must not be asked for anything."""


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.put("object", CONTENT)
    store.put("empty", b"")
    return store


@pytest.mark.parametrize(
    ("memory", "kind"),
    [
        (SIZE + 1, EagerStoreReader),
        (SIZE, EagerStoreReader),
        (SIZE - 1, ParallelStoreReader),
        (64 << 20, EagerStoreReader),
        (1, ParallelStoreReader),
    ],
)
def test_what_fits_into_memory_is_loaded_and_what_does_not_is_read_as_needed(
    store: MemoryStore, memory: int, kind: type
) -> None:
    with open_reader(store, "object", memory=memory) as file:
        assert type(file) is kind
        assert file.size == SIZE
        assert file.tell() == 0
        assert file.read() == CONTENT


@pytest.mark.parametrize("memory", [1, SIZE])
def test_it_is_a_buffered_binary_file(store: MemoryStore, memory: int) -> None:
    file = open_reader(store, "object", memory=memory)
    assert isinstance(file, io.BufferedIOBase)
    assert isinstance(file, ReadableFile)
    assert (file.path, file.readable(), file.seekable(), file.writable()) == ("object", True, True, False)


@pytest.mark.parametrize("memory", [1, 15, 16, 17, 100, 4095, 4096, 49_999, 50_000])
def test_a_memory_of_any_size_reads_right_and_is_not_exceeded(store: MemoryStore, memory: int) -> None:
    file = open_reader(store, "object", memory=memory)
    rng = random.Random(memory)
    for step in range(100):
        if step % 3:
            file.seek(rng.randrange(SIZE))
        start, length = file.tell(), rng.choice([1, 10, 300, 9000])
        assert file.read(length) == CONTENT[start : start + length]
        if isinstance(file, ParallelStoreReader):
            blocks: Any = file._strategy._cache
            assert sum(len(data) for *_, data in [*blocks._used.values(), *blocks._readahead.values()]) <= memory
    file.seek(0)
    assert file.read() == CONTENT


@pytest.mark.parametrize("memory", [1, 1 << 20])
def test_an_empty_object_is_an_empty_file(store: MemoryStore, memory: int) -> None:
    file = open_reader(store, "empty", memory=memory)
    assert (file.size, file.read(), file.seek(0, io.SEEK_END)) == (0, b"", 0)


def test_a_missing_object_is_told_at_once(store: MemoryStore) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        open_reader(store, "missing")


@pytest.mark.parametrize(
    ("memory", "error", "message"),
    [
        (0, ValueError, "memory must be positive, got 0"),
        (-1, ValueError, "memory must be positive, got -1"),
        (1.5, ValueError, r"memory must be a whole number, got 1\.5"),
        ("1", TypeError, "str"),
        (None, TypeError, "NoneType"),
    ],
)
def test_a_memory_that_is_no_positive_number_is_refused_before_anything_is_asked_for(
    memory: Any, error: type[Exception], message: str
) -> None:
    store: Any = Untouchable()
    with pytest.raises(error, match=message):
        open_reader(store, "object", memory=memory)


@pytest.mark.parametrize("memory", [1e6, True])
def test_a_memory_that_is_a_whole_number_of_another_type_is_taken_as_elsewhere(store: MemoryStore, memory: Any) -> None:
    assert open_reader(store, "object", memory=memory).read() == CONTENT


def test_memory_is_given_by_name(store: MemoryStore) -> None:
    call: Any = open_reader
    with pytest.raises(TypeError, match="positional"):
        call(store, "object", 1 << 20)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("memory", [5000, SIZE])
def test_it_reads_through_every_wrapper(store: MemoryStore, wrapper: str, memory: int) -> None:
    with open_reader(WRAPPERS[wrapper](store), "object", memory=memory) as file:
        file.seek(20_000)
        assert file.read(9000) == CONTENT[20_000:29_000]
        file.seek(0)
        assert file.read() == CONTENT


@pytest.mark.parametrize("memory", [5000, SIZE])
def test_a_copy_sent_through_pickle_goes_on_from_the_same_position(tmp_path: Path, memory: int) -> None:
    (tmp_path / "object").write_bytes(CONTENT)
    trace = RequestTrace()
    file = open_reader(TracingReadableStore(LocalStore(tmp_path), trace), "object", memory=memory)
    file.seek(1234)
    copy = pickle.loads(pickle.dumps(file))
    assert type(copy) is type(file)
    assert (copy.tell(), copy.size, copy.path) == (1234, SIZE, "object")
    assert copy._options == file._options
    assert copy.read() == CONTENT[1234:]


@pytest.mark.parametrize("memory", [5000, SIZE])
def test_a_closed_one_keeps_nothing_and_says_so(store: MemoryStore, memory: int) -> None:
    file: Any = open_reader(store, "object", memory=memory)
    file.read(10)
    file.close()
    assert not len(getattr(file._strategy, "_cache", ())), "nothing is kept"
    assert getattr(file._strategy, "_parts", None) is None
    with pytest.raises(ValueError, match="closed"):
        file.read(1)
