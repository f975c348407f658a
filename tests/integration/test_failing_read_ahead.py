"""What is only read ahead, or read by another thread, may fail or stall without harm to a read."""

from __future__ import annotations

import io
import threading
import time
from typing import TYPE_CHECKING

import h5py
import pytest

from obspec_utils.readers import ParallelStoreReader
from tests.integration.counting import WAIT, CountingStore, WaitingStore, in_threads
from tests.requests._hdf5_granules import chunked_in_steps, scattered

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1 << 20
BLOCK = MIB // 16


class RefusingStore(CountingStore):
    """A store that refuses every range with one byte in it."""

    def __init__(self, data: bytes, refused: int) -> None:
        super().__init__(data)
        self.refused = refused
        self.refusals = 0

    def get(self, path, *, options=None):
        start, stop = (options or {}).get("range", (0, 1 << 60))
        if start <= self.refused < stop:
            self.refusals += 1
            raise PermissionError(path)
        return super().get(path, options=options)


def header_of(data: bytes, name: str) -> int:
    with h5py.File(io.BytesIO(data)) as file:
        return h5py.h5o.get_info(file[name].id).addr


def failing(reader: ParallelStoreReader) -> list[str]:
    """Return the variables whose attributes can't be read."""
    found = []
    with h5py.File(reader) as file:
        for number in range(150):
            name = f"variable {number:03}"
            try:
                assert dict(file[name].attrs)
            except (OSError, KeyError, RuntimeError):
                found.append(name)
    return found


@pytest.mark.parametrize("mode", ["auto", "metadata"])
def test_a_structure_that_can_not_be_read_ahead_fails_only_reads_of_it(mode: str) -> None:
    data = scattered()
    refused = header_of(data, "variable 100")
    expected = failing(ParallelStoreReader(RefusingStore(data, refused), "f", read_ahead=None))
    assert "variable 100" in expected
    store = RefusingStore(data, refused)
    found = failing(ParallelStoreReader(store, "f", read_ahead=mode))
    assert "variable 100" in found
    assert set(found) <= set(expected)
    assert store.refusals <= 20 + 10 * len(expected)


def test_a_chunk_that_can_not_be_read_ahead_fails_only_reads_of_it() -> None:
    data = chunked_in_steps()
    with h5py.File(io.BytesIO(data)) as file:
        chunks = [file["v05"].id.get_chunk_info(step) for step in range(60)]
    store = RefusingStore(data, chunks[40].byte_offset + 30_000)
    with h5py.File(ParallelStoreReader(store, "f")) as file:
        for step in range(60):
            try:
                assert (file["v05"][step] == step * 12 + 5).all()
            except (OSError, RuntimeError):  # its block, of 64 KiB, is part of no other chunk of this variable
                assert step == 40
                break
        else:
            pytest.fail("the chunk was read")
        for step in range(41, 60):
            assert (file["v05"][step] == step * 12 + 5).all()


def test_threads_whose_bytes_were_in_a_failed_request_get_its_error() -> None:
    data = bytes(range(256)) * (32 * MIB // 256)
    store = WaitingStore(data)
    reader = ParallelStoreReader(store, "f", read_ahead=None)
    for start in range(0, 2 * MIB, BLOCK):
        reader._read_at(start, start + BLOCK)
    position = next(start for start in range(0, len(data), BLOCK) if reader._strategy.cached(start, start + 1) is None)
    store.is_open.clear()
    while store.arrived.acquire(blocking=False):
        pass
    original, sent = store.get, []

    def get(path, *, options=None):
        sent.append(options)
        original(path, options=options)
        raise PermissionError(path)

    store.get = get
    errors: list[str] = []

    def read(place: int) -> None:
        try:
            reader._read_at(place, place + 10)
        except PermissionError as error:
            errors.append(str(error))

    ahead = threading.Thread(target=read, args=(position,))
    ahead.start()
    assert store.arrived.acquire(timeout=WAIT)
    time.sleep(0.1)  # all parts of the batch have been sent
    begun = len(sent)
    others = [threading.Thread(target=read, args=(position + 5,))]
    for thread in others:
        thread.start()
    time.sleep(0.1)
    store.is_open.set()
    for thread in (ahead, *others):
        thread.join(WAIT)
        assert not thread.is_alive()
    assert errors == ["f", "f"]
    assert len(sent) == begun


@pytest.mark.parametrize("make", [chunked_in_steps, lambda: bytes(4 * MIB)], ids=["HDF5", "other"])
def test_a_stalled_first_miss_holds_up_no_reads_of_other_bytes(make: Callable[[], bytes]) -> None:
    data = make()
    store = WaitingStore(data)
    reader = ParallelStoreReader(store, "f", chunk_size=BLOCK, max_cached_chunks=16)
    original = store.get

    def get(path, *, options=None):
        start, _ = options["range"]
        return original(path, options=options) if start > MIB else super(WaitingStore, store).get(path, options=options)

    store.get = get
    store.is_open.clear()
    stalled = threading.Thread(target=reader._read_at, args=(3 * MIB, 3 * MIB + 10))
    stalled.start()
    assert store.arrived.acquire(timeout=WAIT)
    in_threads([lambda: reader._read_at(500_000, 500_010)])
    assert stalled.is_alive()
    store.is_open.set()
    stalled.join(WAIT)


@pytest.mark.parametrize("mode", ["auto", "pattern"])
def test_a_copy_of_a_reader_sends_one_request_for_one_read(mode: str) -> None:
    data = bytes(4 * MIB)
    store = CountingStore(data)
    reader = ParallelStoreReader(store, "f", read_ahead=mode)
    reader.read(10)
    copied = type(reader)._unread(*reader.__reduce__()[0].args, **reader.__reduce__()[0].keywords)
    copied.__setstate__(reader.__reduce__()[2])
    store.sent.clear()
    assert copied._read_at(3 * MIB, 3 * MIB + 10) == bytes(10)
    assert len(store.sent) == 1


def test_close_frees_the_structure() -> None:
    reader = ParallelStoreReader(CountingStore(scattered()), "f", read_ahead="metadata")
    reader.close()
    assert reader._strategy._ahead is None
    assert reader.stats().bytes_kept == 0
