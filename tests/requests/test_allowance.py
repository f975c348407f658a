"""However many read at once: requests in flight are bounded by those who read and the allowance, and all get on."""

from __future__ import annotations

import asyncio
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from obstore.exceptions import PermissionDeniedError

from obspec_utils._io import concurrency
from obspec_utils._io.concurrency import gather, gather_async
from obspec_utils.readers import EagerStoreReader
from obspec_utils.wrappers import SplittingReadableStore

if TYPE_CHECKING:
    from .conftest import Remote

KIB = 1 << 10
WAIT = 30


def put(remote: Remote) -> bytes:
    content = remote.put("object", 18 * 10 * KIB)
    remote.server.configure(latency=0.02, gather=1)
    return content


def all_is_given_back() -> bool:
    return not concurrency.limiter.in_use


def read(remote: Remote) -> bytes:
    return EagerStoreReader(remote.store, "object", request_size=10 * KIB).read()


@pytest.mark.parametrize("allowance", [0, 8, concurrency.MAX_HELPERS])
def test_64_readers_in_16_threads(remote: Remote, monkeypatch: pytest.MonkeyPatch, allowance: int) -> None:
    monkeypatch.setattr(concurrency, "limiter", concurrency.CapacityLimiter(allowance))
    content = put(remote)
    with ThreadPoolExecutor(16) as pool:
        reading = [pool.submit(read, remote) for _ in range(64)]
        assert all(future.result(WAIT * 4) == content for future in reading)
    assert len(remote.log()) == 64 * 18
    assert remote.server.most_in_flight() <= 16 + allowance
    assert remote.server.most_in_flight() >= min(16, allowance)
    assert all_is_given_back()


@pytest.mark.parametrize("allowance", [0, 8])
def test_40_tasks(remote: Remote, monkeypatch: pytest.MonkeyPatch, allowance: int) -> None:
    monkeypatch.setattr(concurrency, "limiter", concurrency.CapacityLimiter(allowance))
    content = put(remote)
    store = SplittingReadableStore(remote.store, request_size=10 * KIB)

    async def load() -> bytes:
        return bytes(await (await store.get_async("object")).buffer_async())

    async def main() -> bool:
        return all(body == content for body in await asyncio.gather(*[load() for _ in range(40)]))

    assert asyncio.run(main())
    assert len(remote.log()) == 40 * 18
    assert remote.server.most_in_flight() <= 40 + allowance
    assert all_is_given_back()


def test_errors_give_everything_back(remote: Remote) -> None:
    put(remote)
    remote.server.add_fault("status", status=403, covers=100 * KIB)
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(read, remote) for _ in range(16)]:
            assert isinstance(future.exception(WAIT), PermissionDeniedError)
    assert all_is_given_back()


def test_cancelled_tasks_give_everything_back() -> None:
    async def main() -> None:
        reading = asyncio.create_task(gather_async(lambda _: asyncio.sleep(WAIT), 20, 10))
        while concurrency.limiter.in_use < 9:
            await asyncio.sleep(0.001)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    asyncio.run(main())
    assert all_is_given_back()


def test_helpers_come_when_others_have_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "limiter", concurrency.CapacityLimiter(1))
    concurrency.limiter.acquire()
    met = threading.Barrier(2)

    def job(number: int) -> None:
        if number == 0:
            concurrency.limiter.release()
        if number in {2, 3}:  # only two at once get past this
            met.wait(WAIT)

    gather(job, 6, 3)
    assert all_is_given_back()


def test_a_full_allowance_leaves_the_work_to_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "limiter", concurrency.CapacityLimiter(0))
    caller = threading.current_thread()
    assert gather(lambda _: threading.current_thread(), 5, 3) == [caller] * 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_the_whole_allowance() -> None:
    forked: list[int] = []

    def job(number: int) -> None:
        if number == 3:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that there are threads is the point
                child = os.fork()
            if not child:
                os._exit(concurrency.limiter.in_use)
            forked.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    gather(job, 6, 4)
    assert forked == [0]
    assert all_is_given_back()
