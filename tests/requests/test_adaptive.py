"""What the readers that keep a part of the object fetch: in which requests, and how many bytes."""

from __future__ import annotations

import random
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils.readers import BufferedStoreReader, ParallelStoreReader, open_reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Remote

MIB = 1 << 20
READERS = {
    "parallel": partial(ParallelStoreReader, max_cached_chunks=16),
    "buffered": BufferedStoreReader,
    "buffered, 3 requests": partial(BufferedStoreReader, max_concurrent_requests=3),
    "opened": partial(open_reader, memory=16 * MIB),
}
every_reader = pytest.mark.parametrize("make", READERS.values(), ids=READERS)
Trace = list[tuple[int, int]]


def sent(remote: Remote) -> int:
    return sum(request.sent for request in remote.log())


def read(file: Any, trace: Trace, content: bytes, remote: Remote) -> int:
    """Read as a trace tells; return how many of the reads had to wait for requests."""
    waits, count = 0, len(remote.log())
    for start, length in trace:
        file.seek(start)
        assert file.read(length) == content[start : start + length]
        count, before = len(remote.log()), count
        waits += count > before
    return waits


def lru(trace: Trace, block_size: int, max_blocks: int) -> tuple[int, int]:
    """Return what a cache of blocks that fetches nothing ahead would move: bytes, and reads that have to wait."""
    kept: OrderedDict[int, None] = OrderedDict()
    fetched = waits = 0
    for start, length in trace:
        wanted = range(start // block_size, -(-(start + length) // block_size))
        missing = [number for number in wanted if number not in kept]
        for number in wanted:
            kept[number] = None
            kept.move_to_end(number)
        while len(kept) > max_blocks:
            kept.popitem(last=False)
        fetched += len(missing) * block_size
        waits += bool(missing)
    return fetched, waits


def walk_of_40_places() -> Trace:
    """Small reads about 0.8 MB apart, the next place now ahead and now behind, old places again and again."""
    rng = random.Random(0)
    places = [number * 800_000 + rng.randrange(100_000) for number in range(40)]
    order = [number for first in range(0, 40, 4) for number in rng.sample(range(first, first + 4), 4)]
    trace = []
    for seen, number in enumerate(order, 1):
        trace.append((places[number], rng.randrange(100, 3000)))
        again = rng.choices(order[:seen], k=5)
        trace += [(places[other] + rng.randrange(2000), rng.randrange(8, 600)) for other in again]
    return trace


@every_reader
def test_a_scattered_walk_is_few_batches_and_no_more_bytes_than_the_object_has(
    remote: Remote, make: Callable[..., Any]
) -> None:
    content = remote.put("object", 32 * MIB)
    waits = read(make(remote.store, "object"), walk_of_40_places(), content, remote)
    # The first piece, the first jump's page and one more place alone; then steps of 4 and 8 MiB, and the object is
    # through: of 40 places each would be a round trip without them.
    assert waits <= 9
    assert sent(remote) <= 32 * MIB


def make_netcdf(path: Path) -> None:
    """Write 24 MB: 60 variables in 6 groups, whose headers and chunk indices lie among the data."""
    import h5py
    import numpy as np

    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for number in range(60):
            group = file.require_group(f"group{number // 10}")
            group.attrs["title"] = "a group of variables " * 20
            variable = group.create_dataset(f"v{number}", data=rng.random((50, 1000)), chunks=(5, 1000))
            variable.attrs["units"] = "K"
            variable.attrs["long_name"] = "a variable " * 20


def walk(file: Any) -> list[object]:
    """Return all metadata of an HDF5 file: names, attributes, shapes, and where the chunks are."""
    import h5py

    found: list[object] = []

    def visit(name: str, item: Any) -> None:
        found.append((name, {key: str(value) for key, value in item.attrs.items()}, getattr(item, "shape", None)))
        if isinstance(item, h5py.Dataset):
            found.append([item.id.get_chunk_info(number).byte_offset for number in range(item.id.get_num_chunks())])

    with h5py.File(file, "r") as opened:
        opened.visititems(visit)
    return found


@pytest.fixture(scope="module")
def netcdf(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[object]]:
    path = tmp_path_factory.mktemp("walk") / "object.nc"
    make_netcdf(path)
    return path.read_bytes(), walk(path)


@every_reader
def test_a_walk_through_the_metadata_of_a_netcdf4_file_moves_no_more_bytes_than_it_has(
    remote: Remote, netcdf: tuple[bytes, list[object]], make: Callable[..., Any]
) -> None:
    content, expected = netcdf
    assert len(content) > 24_000_000
    remote.server.put("bucket/object", content)
    with make(remote.store, "object") as file:
        assert walk(file) == expected
    if isinstance(file, ParallelStoreReader):  # by the structure: many small requests, side by side
        assert sent(remote) <= len(content) // 8
        assert len(remote.log()) <= 100
    else:
        assert sent(remote) <= len(content)
        # One reading of metadata at a time would be some hundred requests.
        assert len(remote.log()) <= 26


@pytest.mark.parametrize("reader", [ParallelStoreReader, BufferedStoreReader])
@pytest.mark.parametrize("start", [2 * MIB, 40 * MIB])
def test_a_long_read_is_split_over_eighteen_connections(remote: Remote, reader: Any, start: int) -> None:
    content = remote.put("object", 80 * MIB)
    file = reader(remote.store, "object")
    assert file.read(1) == content[:1]
    remote.server.clear()
    remote.server.configure(latency=0.1, gather=18)
    file.seek(start)
    assert file.read(32 * MIB) == content[start : start + 32 * MIB]
    assert remote.server.most_in_flight("bucket/object") == len(remote.log()) == 18
    ranges = remote.ranges()
    assert [ranges[0][0], *(stop for _, stop in ranges)] == [start + 32 * MIB * part // 18 for part in range(19)]
    assert sent(remote) == 32 * MIB


def test_a_long_read_uses_no_more_connections_than_it_may(remote: Remote) -> None:
    content = remote.put("object", 80 * MIB)
    file = BufferedStoreReader(remote.store, "object", max_concurrent_requests=3)
    assert file.read(1) == content[:1]
    remote.server.clear()
    remote.server.configure(latency=0.1, gather=3)
    file.seek(40 * MIB)
    assert file.read(33 * MIB) == content[40 * MIB : 73 * MIB]
    assert remote.ranges() == [(start * MIB, (start + 11) * MIB) for start in (40, 51, 62)]
    assert remote.server.most_in_flight("bucket/object") == 3


@pytest.mark.parametrize("size", [1, 300])
def test_no_read_of_any_length_has_more_than_eighteen_requests_in_flight(remote: Remote, size: int) -> None:
    content = remote.put("object", 8 * MIB)
    remote.server.configure(latency=0.02, gather=1)
    rng = random.Random(size)
    chunk = 64 * size
    for make in (partial(ParallelStoreReader, chunk_size=chunk), partial(BufferedStoreReader, buffer_size=chunk)):
        file = make(remote.store, "object")
        for step in range(25):
            start, length = rng.randrange(8 * MIB), rng.randrange(1, 40 * chunk)
            if step % 3:
                file.seek(start)
            start = file.tell()
            assert file.read(length) == content[start : start + length]
        assert remote.server.most_in_flight("bucket/object") <= 18
        remote.server.clear()


def test_a_read_longer_than_the_memory_goes_around_it_and_leaves_what_is_kept(remote: Remote) -> None:
    content = remote.put("object", 40 * MIB)
    file = ParallelStoreReader(remote.store, "object", max_cached_chunks=4)
    for start in (0, 20 * MIB, 30 * MIB):
        file.seek(start)
        file.read(10)
    kept = {*file._strategy._cache._used, *file._strategy._cache._readahead}
    remote.server.clear()
    file.seek(MIB // 2)
    assert file.read(30 * MIB) == content[MIB // 2 : 30 * MIB + MIB // 2]
    block = MIB // 16
    # All but the first chunk and the blocks of 20 and 30 MiB, to the very byte that was asked for.
    assert [remote.ranges()[0][0], remote.ranges()[-1][1]] == [MIB, 30 * MIB + MIB // 2]
    assert sent(remote) == 30 * MIB - MIB // 2 - 2 * block
    remote.server.clear()
    for start in (0, MIB - 10, 20 * MIB, 30 * MIB):
        file.seek(start)
        assert file.read(10) == content[start : start + 10]
    assert remote.log() == []
    # What was left of the first response was taken beforehand.
    assert {*kept, *range(16)} == {*file._strategy._cache._used, *file._strategy._cache._readahead}


def test_reading_on_fetches_every_byte_once_in_steps_that_double_up_to_half_of_the_memory(remote: Remote) -> None:
    content = remote.put("object", 80 * MIB)
    file = ParallelStoreReader(remote.store, "object", max_cached_chunks=32)
    steps, seen = [], 0
    for start in range(0, 80 * MIB, MIB):
        assert file.read(MIB) == content[start : start + MIB]
        now = sent(remote)
        if now > seen:
            steps.append((now - seen) // MIB)
        seen = now
    assert steps == [1, 2, 4, 8, 16, 16, 16, 16, 1]
    ranges = remote.ranges()
    assert [stop for _, stop in ranges] == [*(start for start, _ in ranges[1:]), 80 * MIB]
    assert {stop - start for start, stop in ranges} == {MIB}


def test_reads_at_random_in_vain_add_up_to_the_object_s_size_at_most(remote: Remote) -> None:
    content = remote.put("object", 8 * MIB)
    rng = random.Random(0)
    trace = [(rng.randrange(8 * MIB - 9000), rng.randrange(1, 100)) for _ in range(800)]
    file = ParallelStoreReader(remote.store, "object", chunk_size=64 * 1024, max_cached_chunks=16)
    for start, length in trace:
        file.seek(start)
        assert file.read(length) == content[start : start + length]
    needed, _ = lru(trace, 4096, 256)
    assert needed < sent(remote) <= needed + 8 * MIB


def zone_reads(seed: int) -> Trace:
    """Seven of ten reads fall into two zones of 1 MiB, the others anywhere: what fetching chunks around is bad at."""
    rng = random.Random(seed)
    zones = [rng.randrange(63 * MIB) for _ in range(2)]
    trace = []
    for _ in range(300):
        length = rng.randint(1024, 16_384)
        zone = rng.choice(zones) + rng.randrange(MIB - length)
        trace.append((zone if rng.random() < 0.7 else rng.randrange(64 * MIB - length), length))
    return trace


def test_reads_that_come_back_to_zones_move_half_of_what_a_cache_of_chunks_does(remote: Remote) -> None:
    content = remote.put("object", 64 * MIB)
    waits = fetched = expected_waits = expected = 0
    for seed in range(3):
        remote.server.clear()
        file = ParallelStoreReader(remote.store, "object", chunk_size=MIB // 4, max_cached_chunks=64)
        waits += read(file, zone_reads(seed), content, remote)
        fetched += sent(remote)
        chunks = lru(zone_reads(seed), MIB // 4, 64)
        expected += chunks[0]
        expected_waits += chunks[1]
    assert fetched < expected / 2
    # A block fetched alone may be followed by one beside it, so that there are a few more round trips.
    assert waits <= expected_waits * 1.15
