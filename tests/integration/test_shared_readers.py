"""Threads that share a reader fetch each byte once, and get the right ones."""

from __future__ import annotations

import io
import random
import threading

import h5py
import pytest

from obspec_utils.readers import BufferedStoreReader, ParallelStoreReader
from tests.integration.counting import WAIT, CountingStore, WaitingStore, in_threads
from tests.requests._hdf5_granules import chunked_in_steps, grouped, walk
from tests.unit._hdf5 import RecordingFile

MODES = ["auto", "metadata", "pattern", None]
MIB = 1 << 20
BLOCK = MIB // 16


def _chunks(data: bytes) -> list[tuple[int, int]]:
    with h5py.File(io.BytesIO(data)) as file:
        found = file["v05"].id
        infos = [found.get_chunk_info(number) for number in range(found.get_num_chunks())]
    return [(info.byte_offset, info.byte_offset + info.size) for info in infos]


def _read(reader: ParallelStoreReader, start: int, stop: int) -> bytes:
    return reader._read_at(start, stop)  # as threads that share a position have to


@pytest.mark.parametrize("mode", MODES)
def test_threads_that_share_a_reader_get_the_right_bytes(mode: str) -> None:
    data = chunked_in_steps()
    chunks = _chunks(data)
    store = CountingStore(data)
    reader = ParallelStoreReader(store, "f", read_ahead=mode)

    def job(seed: int) -> None:
        source = random.Random(seed)
        reads = [source.choice(chunks) for _ in range(30)] + chunks[seed : 50 : seed % 3 + 1]
        reads += [(place, place + 600) for place in (source.randrange(len(data) - 600) for _ in range(30))]
        for start, stop in reads:
            assert _read(reader, start, stop) == data[start:stop]

    in_threads([lambda seed=seed: job(seed) for seed in range(8)])


def test_threads_that_read_the_same_structures_fetch_each_once() -> None:
    data = grouped()
    alone = CountingStore(data)
    places = _structures(data)
    reader = ParallelStoreReader(alone, "f")
    for start, stop in places:
        _read(reader, start, stop)
    store = CountingStore(data)
    shared = ParallelStoreReader(store, "f")

    def job() -> None:
        for start, stop in places:
            assert _read(shared, start, stop) == data[start:stop]

    in_threads([job] * 16)
    assert store.bytes_sent_twice() == alone.bytes_sent_twice() == 0
    # Which thread misses first may change how much is read ahead.
    assert store.bytes_sent <= 1.1 * alone.bytes_sent


def _structures(data: bytes) -> list[tuple[int, int]]:
    """Return what h5py reads for a walk."""
    file = RecordingFile(data)
    with h5py.File(file) as opened:
        walk(opened)
    return file.reads


def test_threads_that_read_different_chunks_fetch_each_once() -> None:
    data = chunked_in_steps()
    chunks = _chunks(data)
    store = CountingStore(data)
    reader = ParallelStoreReader(store, "f", read_ahead="metadata")

    def job(first: int) -> None:
        for start, stop in chunks[first:] + chunks[:first]:
            assert _read(reader, start, stop) == data[start:stop]

    in_threads([lambda first=first: job(first) for first in range(0, 60, 7)])
    assert store.bytes_sent_twice() == 0


def test_a_thread_waits_for_a_chunk_that_another_fetches_ahead_and_no_longer_for_others() -> None:
    data = chunked_in_steps()
    chunks = _chunks(data)
    store = WaitingStore(data)
    reader = ParallelStoreReader(store, "f", read_ahead="metadata")
    _read(reader, *chunks[10])
    store.is_open.clear()
    while store.arrived.acquire(blocking=False):
        pass
    begun = len(store.sent)
    ahead = threading.Thread(target=_read, args=(reader, *chunks[11]))
    ahead.start()
    for _ in range(17):  # the chunk, and the sixteen after it
        assert store.arrived.acquire(timeout=WAIT)
    seen: list[bytes] = []
    waiting = threading.Thread(target=lambda: seen.append(_read(reader, *chunks[14])))
    other = threading.Thread(target=lambda: seen.append(_read(reader, *chunks[40])))
    waiting.start()
    other.start()
    assert store.arrived.acquire(timeout=WAIT)  # of the other chunk alone
    store.is_open.set()
    for thread in (ahead, waiting, other):
        thread.join(WAIT)
        assert not thread.is_alive()
    assert sorted(seen) == sorted(data[slice(*chunks[number])] for number in (14, 40))
    assert len(store.sent) - begun == 18
    assert store.bytes_sent_twice() == 0


def test_a_failed_fetch_of_one_thread_is_tried_by_the_one_that_waited() -> None:
    data = chunked_in_steps()
    chunks = _chunks(data)
    store = WaitingStore(data)
    reader = ParallelStoreReader(store, "f", read_ahead="metadata")
    working = store.get
    store.is_open.clear()
    while store.arrived.acquire(blocking=False):
        pass

    def fail(path, *, options=None):
        store.arrived.release()
        assert store.is_open.wait(WAIT)
        store.get = working
        raise PermissionError(path)

    store.get = fail
    errors: list[BaseException] = []

    def read() -> None:
        try:
            assert _read(reader, *chunks[30]) == data[slice(*chunks[30])]
        except PermissionError as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    threads[0].start()
    assert store.arrived.acquire(timeout=WAIT)
    threads[1].start()
    store.is_open.set()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()
    assert len(errors) <= 2
    assert _read(reader, *chunks[30]) == data[slice(*chunks[30])]


def _random_reads(size: int, seed: int) -> list[tuple[int, int]]:
    source = random.Random(seed)
    return [(place, place + 600) for place in (source.randrange(size - 600) for _ in range(60))]


@pytest.mark.parametrize("mode", ["auto", "metadata", None])
@pytest.mark.parametrize("threads", [1, 8])
def test_what_is_fetched_by_structure_is_not_fetched_by_blocks(threads: int, mode: str | None) -> None:
    data = chunked_in_steps()
    store = CountingStore(data)
    reader = ParallelStoreReader(store, "f", max_cached_chunks=128, read_ahead=mode)

    def job(seed: int) -> None:
        for start, stop in _random_reads(len(data), seed):
            assert _read(reader, start, stop) == data[start:stop]

    in_threads([lambda seed=seed: job(seed) for seed in range(threads)])
    assert store.bytes_sent_twice() == 0
    if mode is not None:  # else a part of the first response may not have been received
        assert reader.stats().bytes_fetched == store.bytes_sent
    assert reader.stats().requests == len(store.sent)


@pytest.mark.parametrize("kind", [ParallelStoreReader, BufferedStoreReader])
def test_threads_wait_for_what_another_reads_ahead(kind) -> None:
    data = bytes(range(256)) * (32 * MIB // 256)
    store = WaitingStore(data)
    reader = kind(store, "f")
    for start in range(0, 2 * MIB, BLOCK):
        _read(reader, start, start + BLOCK)
    store.is_open.clear()
    while store.arrived.acquire(blocking=False):
        pass
    begun = len(store.sent)
    seen: list[bool] = []
    position = next(start for start in range(0, len(data), BLOCK) if reader._strategy.cached(start, start + 1) is None)
    ahead = threading.Thread(target=_read, args=(reader, position, position + 10))
    ahead.start()
    assert store.arrived.acquire(timeout=WAIT)
    places = [position + BLOCK * number for number in range(1, 32)]  # of the range that is read ahead
    others = [
        threading.Thread(
            target=lambda place=place: seen.append(_read(reader, place, place + 10) == data[place : place + 10])
        )
        for place in places
    ]
    for thread in others:
        thread.start()
    store.is_open.set()
    for thread in (ahead, *others):
        thread.join(WAIT)
        assert not thread.is_alive()
    assert seen == [True] * len(places)
    assert len(store.sent) > begun
    assert store.bytes_sent_twice() == 0
