"""Many objects opened at once from one event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from obspec_utils.readers import EagerStoreReader, ParallelStoreReader, open_reader_async

if TYPE_CHECKING:
    from .conftest import Remote

COUNT = 100
KIB = 1 << 10


async def test_a_hundred_objects_are_opened_side_by_side_while_the_loop_goes_on(remote: Remote) -> None:
    contents = [remote.put(f"object {number}", 10 * KIB, seed=number + 1) for number in range(COUNT)]
    remote.server.clear()
    remote.server.configure(latency=0.2, gather=COUNT // 2 + 1)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    opening = [open_reader_async(remote.store, f"object {number}") for number in range(COUNT)]
    readers = await asyncio.gather(*opening)
    counting.cancel()
    assert [reader.read() for reader in readers] == contents
    assert {type(reader) for reader in readers} == {EagerStoreReader}
    assert len(remote.log()) == COUNT
    assert remote.server.most_in_flight() > COUNT // 2
    assert turns > 100


async def test_the_reader_is_the_one_that_open_reader_makes(remote: Remote) -> None:
    content = remote.put("object", 300 * KIB)
    reader = await open_reader_async(remote.store, "object", memory=64 * KIB, read_ahead="pattern")
    assert type(reader) is ParallelStoreReader
    assert reader.read() == content
    with pytest.raises(FileNotFoundError):
        await open_reader_async(remote.store, "missing")
    with pytest.raises(ValueError, match="read_ahead must be"):
        await open_reader_async(remote.store, "object", read_ahead="ahead")  # type: ignore[arg-type]


async def test_no_more_requests_are_in_flight_than_the_process_may_have(remote: Remote) -> None:
    content = remote.put("object", 6 << 20)
    remote.server.configure(latency=0.3, gather=101)
    readers = await asyncio.gather(*(open_reader_async(remote.store, "object", memory=6 << 20) for _ in range(60)))
    assert 100 < remote.server.most_in_flight() <= 128
    assert all(reader.read() == content for reader in readers)
