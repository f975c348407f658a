"""A part that breaks is asked for again, alone, a stated number of times, and only of the same version."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError

from obspec_utils._io import concurrency, retry
from obspec_utils._io.fetch import read_first
from obspec_utils._io.request import request_first
from obspec_utils._version import Version
from obspec_utils.exceptions import IncompleteReadError, ObjectChangedError
from obspec_utils.readers import EagerStoreReader
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore
from tests.servers import random_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Remote

PART = 1 << 20
PARTS = 8
SIZE = PARTS * PART
# Where the parts begin: the first one is begun by get() and read with the others.
FIRST, MIDDLE, LAST = 0, 4 * PART, SIZE - 1


def splitting(remote: Remote) -> SplittingReadableStore:
    return SplittingReadableStore(remote.store, request_size=PART)


def eager(remote: Remote) -> bytes:
    return EagerStoreReader(remote.store, "object", request_size=PART).read()


def buffer(remote: Remote) -> bytes:
    return bytes(splitting(remote).get("object").buffer())


def chunks(remote: Remote) -> bytes:
    return b"".join(splitting(remote).get("object"))


def cached_range(remote: Remote) -> bytes:
    return bytes(CachingReadableStore(splitting(remote)).get_range("object", start=0, end=SIZE))


def buffer_async(remote: Remote) -> bytes:
    async def read() -> bytes:
        return bytes(await (await splitting(remote).get_async("object")).buffer_async())

    return asyncio.run(read())


def chunks_async(remote: Remote) -> bytes:
    async def read() -> bytes:
        return b"".join([chunk async for chunk in await splitting(remote).get_async("object")])

    return asyncio.run(read())


WAYS = [eager, buffer, chunks, cached_range, buffer_async, chunks_async]
each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
both_kinds = pytest.mark.parametrize("way", [buffer, chunks, buffer_async, chunks_async], ids=lambda way: way.__name__)


def spans_asked_for(remote: Remote, byte: int) -> int:
    return sum((request.start or 0) <= byte < (request.stop or 0) for request in remote.log())


def no_thread_is_left() -> bool:
    return not concurrency.limiter.in_use


@each_way
@pytest.mark.parametrize("fault", ["drop", "short_body"])
@pytest.mark.parametrize("byte", [FIRST, MIDDLE, LAST])
def test_a_part_that_is_cut_once_is_one_more_request(
    remote: Remote, way: Callable[[Remote], bytes], fault: str, byte: int
) -> None:
    content = remote.put("object", SIZE)
    remote.server.add_fault(fault, after=PART // 2, covers=byte, times=1)
    assert way(remote) == content
    assert len(remote.log()) == PARTS + 1
    assert spans_asked_for(remote, byte) == 2


@each_way
@pytest.mark.parametrize(("fault", "error"), [("drop", GenericError), ("short_body", IncompleteReadError)])
def test_a_part_that_always_breaks_is_asked_for_three_times(
    remote: Remote, way: Callable[[Remote], bytes], fault: str, error: type[Exception]
) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault(fault, after=1000, covers=MIDDLE)
    with pytest.raises(error):
        way(remote)
    assert spans_asked_for(remote, MIDDLE) == 3
    assert len(remote.log()) <= PARTS + 2
    assert no_thread_is_left()


@both_kinds
def test_four_parts_of_a_fetch_may_break_and_no_more(remote: Remote, way: Callable[[Remote], bytes]) -> None:
    content = remote.put("object", SIZE)
    for part in range(4):
        remote.server.add_fault("drop", after=1000, covers=2 * part * PART, times=1)
    assert way(remote) == content
    assert len(remote.log()) == PARTS + 4
    remote.server.clear()
    remote.server.clear_faults()
    remote.server.add_fault("drop", after=1000, times=5)
    with pytest.raises(GenericError):
        way(remote)
    assert len(remote.log()) <= PARTS + 4
    assert no_thread_is_left()


@each_way
def test_a_definite_error_is_raised_at_once_and_the_rest_is_not_started(
    remote: Remote, way: Callable[[Remote], bytes]
) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault("status", status=403, covers=MIDDLE)
    with pytest.raises(PermissionDeniedError):
        way(remote)
    assert spans_asked_for(remote, MIDDLE) == 1


@each_way
@pytest.mark.parametrize("byte", [FIRST, MIDDLE])
def test_an_object_replaced_before_the_retry_is_an_error(
    remote: Remote, way: Callable[[Remote], bytes], byte: int
) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault("drop", after=PART // 2, covers=byte, times=1)
    remote.server.add_fault("replace", data=random_bytes(SIZE, 2), covers=byte, skip=1, times=1)
    with pytest.raises(ObjectChangedError, match="'object' changed while it was being read"):
        way(remote)
    assert spans_asked_for(remote, byte) == 2


@both_kinds
def test_an_object_that_is_gone_at_the_retry_is_not_found(remote: Remote, way: Callable[[Remote], bytes]) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault("drop", after=1000, covers=MIDDLE, times=1)
    remote.server.add_fault("delete", covers=MIDDLE, skip=1, times=1)
    with pytest.raises(FileNotFoundError):
        way(remote)


@both_kinds
@pytest.mark.parametrize("remote", ["http"], indirect=True)
def test_without_a_version_nothing_is_asked_for_again(remote: Remote, way: Callable[[Remote], bytes]) -> None:
    content = remote.put("object", SIZE)
    remote.server.add_fault("no_etag")
    remote.server.add_fault("drop", after=1000, covers=MIDDLE, times=1)
    assert way(remote) == content  # there is a date still
    remote.server.clear()
    remote.server.add_fault("no_last_modified")
    remote.server.add_fault("drop", after=1000, covers=MIDDLE, times=1)
    with pytest.raises(GenericError):
        way(remote)
    assert spans_asked_for(remote, MIDDLE) == 1


@both_kinds
@pytest.mark.parametrize("remote", ["http"], indirect=True)
def test_an_answer_that_lost_its_version_is_not_taken(remote: Remote, way: Callable[[Remote], bytes]) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault("drop", after=1000, covers=MIDDLE, times=1)
    for fault in ("no_etag", "no_last_modified"):
        remote.server.add_fault(fault, covers=MIDDLE, skip=1)
    with pytest.raises((GenericError, ObjectChangedError)):
        way(remote)
    assert spans_asked_for(remote, MIDDLE) == 2


def test_the_body_of_a_first_answer_alone_is_asked_for_again(remote: Remote) -> None:
    content = remote.put("object", SIZE)
    remote.server.add_fault("drop", after=1000, times=1)
    first = request_first(remote.store, "object", PART)
    assert first.meta is not None
    assert bytes(read_first(remote.store, first, Version.of(first.meta))) == content[:PART]
    assert remote.ranges() == [(0, PART), (0, PART)]


def test_a_server_without_ranges_is_asked_for_the_whole_again(remote: Remote) -> None:
    content = remote.put("object", SIZE)
    remote.server.add_fault("ignore_range")
    remote.server.add_fault("drop", after=1000, skip=1, times=1)
    assert buffer(remote) == content


def test_requests_that_pass_through_are_not_asked_for_again(remote: Remote) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault("drop", after=1000)
    for store, asked in ((splitting(remote), 1), (CachingReadableStore(remote.store), 3)):
        remote.server.clear()
        with pytest.raises(GenericError):
            store.get("object", options={"range": (0, PART)}).buffer()
        assert len(remote.log()) == asked  # what a cache fetches for itself does not pass through


def test_a_task_cancelled_while_it_pauses_asks_for_nothing_more(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "_DELAYS", (1000, 1000))
    remote.put("object", SIZE)
    remote.server.add_fault("drop", after=1000, covers=MIDDLE)

    async def read() -> None:
        result = await splitting(remote).get_async("object")
        reading = asyncio.create_task(result.buffer_async())
        while len([request for request in remote.log() if request.end is not None]) < PARTS:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    asyncio.run(read())
    assert len(remote.log()) == PARTS


def test_a_part_that_pauses_does_not_outlast_a_definite_error(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_DELAYS", (1000, 1000))  # longer than any test may take
    remote.put("object", SIZE)
    remote.server.add_fault("drop", after=1000, covers=MIDDLE)
    remote.server.add_fault("stall", seconds=0.5, covers=LAST)
    remote.server.add_fault("status", status=403, covers=LAST)
    for way in (buffer, chunks, buffer_async):
        with pytest.raises(PermissionDeniedError):
            way(remote)
    assert no_thread_is_left()
