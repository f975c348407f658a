"""Errors and Ctrl-C while ranges are coalesced on an event loop: it may go on, nothing waits for ever or is kept."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils.wrappers import CoalescingReadableStore, _turns
from tests.unit.test_coalescing import CONTENT, Held, read, turns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contracts._stores import Result

CUTS = [(0, 10), (10, 20), (50, 60)]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def interrupted_then_finished(loop: asyncio.AbstractEventLoop, store: Any) -> list[bytes]:
    """Read ranges on a loop that Ctrl-C stops once, and that runs on then, as in a notebook."""
    readings = [loop.create_task(read_on(store, *cut)) for cut in CUTS]
    together = asyncio.gather(*readings)
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(together)
    return [bytes(one) for one in loop.run_until_complete(together)]


async def read_on(store: Any, start: int, end: int) -> bytes:
    return bytes(await store.get_range_async("object", start=start, end=end))


class Ready(Held):
    """A store whose responses are there at once."""

    def __init__(self) -> None:
        super().__init__()
        self.release.set()


def test_an_interrupt_of_the_planning_lets_the_callers_go_on_alone(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _turns.coalesce

    def interrupted_once(*arguments: Any) -> Any:
        monkeypatch.setattr(_turns, "coalesce", plan)
        raise KeyboardInterrupt

    monkeypatch.setattr(_turns, "coalesce", interrupted_once)
    store = Ready()
    found = interrupted_then_finished(loop, CoalescingReadableStore(store))
    assert found == [CONTENT[start:end] for start, end in CUTS]
    assert store.sent == CUTS


def test_an_interrupt_between_requests_that_are_sent_loses_none(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request is on its way; the caller of the second goes on alone."""
    store = Ready()
    coalescing = CoalescingReadableStore(store, max_request_size=30)
    create = loop.create_task
    left = [1]

    def interrupted_at_the_second(coroutine: Any, **options: Any) -> Any:
        if coroutine.__qualname__ == "Turns._fetch":
            if not left:
                monkeypatch.undo()
                coroutine.close()
                raise KeyboardInterrupt
            left.pop()
        return create(coroutine, **options)

    monkeypatch.setattr(loop, "create_task", interrupted_at_the_second)
    readings = [loop.create_task(read_on(coalescing, *cut)) for cut in [(0, 10), (10, 20), (50, 60), (60, 70)]]
    together = asyncio.gather(*readings)
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(together)
    assert b"".join(loop.run_until_complete(together)) == CONTENT[:20] + CONTENT[50:70]
    assert sorted(store.sent) == [(0, 20), (50, 60), (60, 70)]


def test_an_interrupt_of_a_request_stops_the_loop_once(loop: asyncio.AbstractEventLoop) -> None:
    class Interrupted(Ready):
        async def get_async(self, path: str, *, options: Any = None) -> Result:
            if options["range"] == (0, 20):
                self.sent.append(options["range"])
                raise KeyboardInterrupt
            return await super().get_async(path, options=options)

    store = Interrupted()
    found = interrupted_then_finished(loop, CoalescingReadableStore(store))
    assert found == [CONTENT[start:end] for start, end in CUTS]
    assert sorted(store.sent) == [(0, 10), (0, 20), (10, 20), (50, 60)]


async def test_an_error_that_no_caller_is_left_to_raise_is_not_reported_as_lost() -> None:
    class Broken(Held):
        async def get_async(self, path: str, *, options: Any = None) -> Result:
            await self.release.wait()
            raise ConnectionError

    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    for steps in range(6):  # each step from the arrival of the error to its callers
        store = Broken()
        reading = asyncio.ensure_future(
            CoalescingReadableStore(store).get_ranges_async("object", starts=[0, 50], ends=[10, 60])
        )
        await turns(4)
        store.release.set()
        await turns(steps)
        reading.cancel()
        with pytest.raises((asyncio.CancelledError, ConnectionError)):
            await reading
        del reading
        await turns(3)
        gc.collect()
        assert (steps, reported) == (steps, [])


async def test_an_error_is_freed_with_its_callers() -> None:
    """No cycle of the error, its traceback and a frame keeps it until the next collection."""

    class BrokenError(ConnectionError):  # can be referenced weakly
        pass

    class Broken(Ready):
        async def get_async(self, path: str, *, options: Any = None) -> Result:
            raise BrokenError

    gc.disable()
    try:
        try:
            await CoalescingReadableStore(Broken()).get_ranges_async("object", starts=[0, 50], ends=[10, 60])
        except BrokenError as raised:
            error = weakref.ref(raised)
        await asyncio.sleep(0)
        assert error() is None
    finally:
        gc.enable()


def test_ctrl_c_in_asyncio_run_cancels_the_requests() -> None:
    assert threading.current_thread() is threading.main_thread()
    store = Held()

    async def reading() -> None:
        coalescing = CoalescingReadableStore(store)
        readings = [read(coalescing, *cut) for cut in CUTS]
        while len(store.sent) < 2:
            await asyncio.sleep(0)
        signal.raise_signal(signal.SIGINT)
        await asyncio.gather(*readings)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(reading())
    assert sorted(store.cancelled) == sorted(store.sent) == [(0, 20), (50, 60)]
