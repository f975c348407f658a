"""A board of flights whose fetches can be held up."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from obspec_utils._io.single_flight import SingleFlight

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

__all__ = ["WAIT", "Board", "Interrupt", "joined", "until", "until_true", "wait_for"]

WAIT = 10


class Board:
    """Flights over a dict, with a fetch that can be held up."""

    def __init__(self) -> None:
        self.kept: dict[Hashable, str] = {}
        self.in_flight: SingleFlight[str] = SingleFlight()
        self.fetches: list[str] = []
        self.started = threading.Event()
        self.release = threading.Event()

    def run(self, key: str, fetch: Callable[[], str]) -> str:
        return self.in_flight.run(key, fetch, find=self.kept.get, keep=self.kept.__setitem__)

    async def run_async(self, key: str, fetch: Callable[[], Awaitable[str]]) -> str:
        return await self.in_flight.run_async(key, fetch, find=self.kept.get, keep=self.kept.__setitem__)

    def fetch(self, value: str = "value") -> str:
        self.fetches.append(value)
        self.started.set()
        assert self.release.wait(WAIT)
        return value


class Interrupt(BaseException):
    """As Ctrl-C in the thread that leads."""


async def until(event: threading.Event) -> None:
    while not event.is_set():
        await asyncio.sleep(0.001)


async def until_true(condition: Callable[[], object]) -> None:
    for _ in range(WAIT * 1000):
        if condition():
            return
        await asyncio.sleep(0.001)
    pytest.fail("the condition did not come true")


def joined(fetcher: Board, key: str = "key") -> int:
    """Return how many threads wait for the flight that is led by a thread."""
    claim = fetcher.in_flight._claims.get((key, None))
    return 0 if claim is None or claim._future is None else len(claim._future._condition._waiters)


def wait_for(condition: object) -> None:
    deadline = threading.Event()
    for _ in range(10_000):
        if condition():  # type: ignore[operator]
            return
        deadline.wait(0.001)
    pytest.fail("the condition did not come true")
