"""h5py sees through a reader, with any read-ahead and any memory, what it sees of the file itself."""

from __future__ import annotations

import copy
import io
import pickle
from typing import TYPE_CHECKING

import h5py
import pytest
from obstore.store import MemoryStore

from obspec_utils.readers import BlockStoreReader, ParallelStoreReader, open_reader
from tests.integration.counting import CountingStore
from tests.integration.hdf5_snapshot import snapshot
from tests.integration.programs.running import run
from tests.requests._hdf5_granules import chunked_in_steps, grouped, scattered, walk
from tests.unit._hdf5_files import LIBVERS, MAKERS, make

if TYPE_CHECKING:
    from collections.abc import Callable

    from obspec_utils.readers import EagerStoreReader

    Reader = EagerStoreReader | ParallelStoreReader

MODES = ["auto", "metadata", "pattern", None]
MEMORY = 64 * 1024
WAIT = 30


def _parallel(chunk_size: int, chunks: int) -> Callable[..., Reader]:
    return lambda store, mode: ParallelStoreReader(store, "f", chunk_size, chunks, read_ahead=mode)


# Memory in bytes, and the reader.
TINY: dict[str, tuple[int, Callable[..., Reader]]] = {
    "pages": (MEMORY, _parallel(4096, 16)),
    "odd": (7000, _parallel(1000, 7)),
    "blocks": (MEMORY, lambda store, mode: BlockStoreReader(store, "f", 9999, 6, read_ahead=mode)),
    "opened": (MEMORY, lambda store, mode: open_reader(store, "f", memory=MEMORY, read_ahead=mode)),
}


@pytest.fixture
def data(name: str, libver: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.chdir(tmp_path)  # where libhdf5 looks for external data
    return make(name, libver)


each_file = pytest.mark.parametrize(("name", "libver"), [(name, libver) for name in MAKERS for libver in LIBVERS])


@each_file
def test_h5py_sees_what_is_in_the_file(data: bytes, tmp_path) -> None:
    tmp_path.joinpath("f").write_bytes(data)
    with tmp_path.joinpath("f").open("rb") as file:
        expected = snapshot(file, most=1 << 16)
    assert len(expected) > 5
    for mode in MODES:
        store = CountingStore(data)
        reader = ParallelStoreReader(store, "f", 1 << 15, 512, read_ahead=mode)
        assert snapshot(reader, most=1 << 16) == expected
        stats = reader.stats()
        assert (stats.requests, stats.bytes_fetched) == (len(store.sent), store.bytes_sent)
        assert stats.bytes_wasted <= len(data)


@pytest.mark.parametrize("tiny", TINY)
@each_file
def test_h5py_sees_what_is_in_the_file_with_little_memory(data: bytes, tiny: str) -> None:
    expected = snapshot(io.BytesIO(data), most=1 << 14)
    memory, open_file = TINY[tiny]
    for mode in MODES:
        store = CountingStore(data)
        reader = open_file(store, mode)
        assert snapshot(reader, most=1 << 14) == expected
        stats = reader.stats()
        assert stats.bytes_fetched == store.bytes_sent
        assert stats.bytes_kept <= max(memory, len(data) if tiny == "opened" else 0)
        # What was evicted is fetched again, and used again: read-ahead stops where it wastes more than the file has,
        # unless half of the bytes are used. One step of it may be on top.
        assert stats.bytes_wasted <= max(len(data), stats.bytes_used) + memory


@pytest.mark.parametrize("make_file", [scattered, grouped, chunked_in_steps])
@pytest.mark.parametrize("mode", MODES)
def test_large_files_waste_less_than_their_size(make_file: Callable[[], bytes], mode: str) -> None:
    data = make_file()
    store = CountingStore(data)
    reader = ParallelStoreReader(store, "f", read_ahead=mode)
    with h5py.File(reader) as file:
        assert walk(file) > 10
        for name in list(file)[:3]:
            if isinstance(file[name], h5py.Dataset):
                file[name][...]
        stats = reader.stats()
    assert (stats.requests, stats.bytes_fetched) == (len(store.sent), store.bytes_sent)
    assert stats.bytes_wasted - store.bytes_sent_twice() <= len(data)
    assert stats.bytes_kept <= 64 << 20


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("make_copy", [copy.copy, copy.deepcopy, lambda reader: pickle.loads(pickle.dumps(reader))])
@pytest.mark.parametrize("kind", [ParallelStoreReader, BlockStoreReader, open_reader])
def test_copies_keep_the_read_ahead_and_send_no_request_until_they_are_read(kind, make_copy, mode: str | None) -> None:
    data = chunked_in_steps()
    options = {"memory": 1 << 20} if kind is open_reader else {}
    store = PicklableStore(data)
    with kind(store, "f", read_ahead=mode, **options) as reader:
        reader.seek(1000)
        reader.read(10)
        PicklableStore.requests = 0
        twin = make_copy(reader)
        assert PicklableStore.requests == 0
        assert (type(twin), twin.tell(), twin.size) == (type(reader), 1010, len(data))
        assert twin._options == reader._options
        assert twin._options["read_ahead"] == mode
        assert twin.read(100) == data[1010:1110]
    with h5py.File(twin) as file:
        assert (file["v05"][3] == 3 * 12 + 5).all()
        assert list(file) == [f"v{number:02}" for number in range(12)]


class PicklableStore:
    """A store of which copies have the same data, and one count of requests."""

    requests = 0

    def __init__(self, data: bytes) -> None:
        self._data = data

    def get(self, path, *, options=None):
        PicklableStore.requests += 1
        store = MemoryStore()
        store.put(path, self._data)
        meta = {"path": path, "size": len(self._data), "e_tag": "1", "last_modified": None, "version": None}
        result = store.get(path, options=options)
        return Result(meta, tuple(result.range), result)


class Result:
    """A response with the metadata that every copy of a store agrees on."""

    def __init__(self, meta, span, result) -> None:
        self.meta, self.range, self._result = meta, span, result
        self.attributes: dict[str, str] = {}

    def buffer(self):
        return self._result.buffer()


@pytest.mark.parametrize("value", ["Auto", "", "none", 1, True, False, 0, b"auto", object, ["auto"], {"auto": 1}])
@pytest.mark.parametrize("kind", [ParallelStoreReader, BlockStoreReader, open_reader])
def test_a_bad_value_of_read_ahead_is_an_error_that_shows_it(kind, value) -> None:
    store = CountingStore(b"123")
    with pytest.raises(ValueError, match="read_ahead must be 'auto', 'metadata', 'pattern' or None, got") as raised:
        kind(store, "f", read_ahead=value)
    assert repr(value) in str(raised.value)
    assert store.sent == []


@pytest.mark.parametrize("seed", ["one", "two"])
def test_damaged_files_give_the_same_results_and_errors_as_without_a_reader(seed: str) -> None:
    result = run("damaged_hdf5", seed, "3", "30000", timeout=170).result()
    assert result["looks"] > 50
    assert result["faults"] == []
