"""The request log and the counts of requests in flight."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request as the server saw it.

    `start` and `stop` are the half-open offsets served (as asked, when nothing could be served),
    None without a range. `sent` counts body bytes. `begin` and `end` are on the machine's
    monotonic clock (`time.monotonic()`). `status` and `end` are None while in flight; `status`
    stays None if the connection was lost or dropped before the head was sent.
    """

    method: str
    path: str
    start: int | None
    stop: int | None
    begin: float
    connection: int
    range_header: str | None = None
    if_match: str | None = None
    version: str | None = None
    status: int | None = None
    sent: int = 0
    end: float | None = None


class Records:
    """Requests since the last clear, and the most of them that were in flight at once."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._log: dict[int, LoggedRequest] = {}
        self._in_flight: Counter[str] = Counter()
        self._most: dict[str, int] = {}
        self._total = 0
        self._most_total = 0

    def begin(self, request: LoggedRequest) -> int:
        """Note that a request head has come in; the number is for `finish`."""
        number = next(self._numbers)
        self._log[number] = request
        self._in_flight[request.path] += 1
        self._total += 1
        self._note_most(request.path)
        return number

    def finish(self, number: int, path: str, *, status: int | None, sent: int, end: float) -> None:
        """Note that the body has been sent, or the connection lost."""
        self._in_flight[path] -= 1
        self._total -= 1
        if number in self._log:
            self._log[number] = replace(self._log[number], status=status, sent=sent, end=end)

    def log(self) -> list[LoggedRequest]:
        """All requests since the last clear, in the order of their arrival."""
        return list(self._log.values())

    def most_in_flight(self, path: str | None) -> int:
        """Return the most at once since the last clear, over all paths or for one."""
        return self._most_total if path is None else self._most.get(path, 0)

    def clear(self) -> None:
        """Empty the log; requests still in flight go on counting."""
        self._log.clear()
        self._in_flight = +self._in_flight
        self._most = dict(self._in_flight)
        self._most_total = self._total

    def _note_most(self, path: str) -> None:
        self._most[path] = max(self._most.get(path, 0), self._in_flight[path])
        self._most_total = max(self._most_total, self._total)
