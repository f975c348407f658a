"""As many jobs at a time as are allowed, whenever the helpers begin."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from obspec_utils._io import concurrency
from obspec_utils._io.concurrency import gather, gather_async

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 18
WAIT = 30


def test_helpers_that_begin_while_others_are_started_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    began = threading.Semaphore(0)
    together = threading.Barrier(COUNT)
    start_thread = concurrency.start_thread

    def start_and_wait_until_it_works(function: Callable[..., object], *args: object) -> None:
        start_thread(function, *args)
        assert began.acquire(timeout=WAIT)

    def job(number: int) -> int:
        began.release()
        together.wait(WAIT)
        return number

    monkeypatch.setattr(concurrency, "start_thread", start_and_wait_until_it_works)
    assert gather(job, COUNT, COUNT) == list(range(COUNT))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio.eager_task_factory is new in Python 3.12")
def test_tasks_that_begin_at_once_count_once() -> None:
    async def main() -> list[int]:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        together = asyncio.Barrier(COUNT)

        async def job(number: int) -> int:
            await asyncio.wait_for(together.wait(), WAIT)
            return number

        return await gather_async(job, COUNT, COUNT)

    assert asyncio.run(main()) == list(range(COUNT))
