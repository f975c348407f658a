"""What objects were, and when: what a cache over a store may answer, told by a bare store of the same kind."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, Any

from tests.contracts._outcomes import Outcome, perform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contracts._outcomes import Call


class Clock:
    """A `time` module whose time of day can be put forward."""

    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)

    def __init__(self) -> None:
        self.ahead = 0.0

    def time(self) -> float:
        return time.time() + self.ahead


@dataclass
class Version:
    """What was at a path: its bytes and metadata, or nothing; `until` is when it was replaced."""

    content: bytes | None
    meta: dict[str, Any] | None
    until: float = inf


@dataclass
class History:
    """Everything that was at any path of a store.

    The archive is a bare store of the same kind, with every version under a path of its own, so what the store
    answered to a call while it had a certain version can be found out later.
    """

    store: Any
    archive: Any
    clock: Clock
    _paths: dict[str, list[Version]] = field(default_factory=dict)
    _made: int = 0

    def content(self, size: int) -> bytes:
        """Return bytes that no other version has, anywhere."""
        self._made += 1
        return random.Random(self._made).randbytes(size)

    def note(self, path: str) -> None:
        """Look at what is at a path now."""
        versions = self._paths.setdefault(path, [Version(None, None)])
        try:
            result = self.store.get(path)
        except FileNotFoundError:
            found = Version(None, None)
        else:
            found = Version(bytes(result.buffer()), dict(result.meta))
            self.archive.put(f"{path}@{len(versions)}", found.content)
        versions[-1].until = self.clock.time()
        versions.append(found)

    def latest(self, path: str) -> int:
        """Return the number of the version that is there now."""
        return len(self._paths.setdefault(path, [Version(None, None)])) - 1

    def version(self, path: str, number: int = -1) -> Version:
        return self._paths.setdefault(path, [Version(None, None)])[number]

    def allowed(self, path: str, least: int, since: float) -> list[int]:
        """Return the versions from `least` on that were there at some time from `since` on, the latest first."""
        numbers = range(self.latest(path), least - 1, -1)
        return [number for number in numbers if self.version(path, number).until >= since]

    def outcomes(self, call: Call, numbers: list[int]) -> Iterator[Outcome]:
        """Return what the store answered to a call while it had these versions."""
        for number in numbers:
            outcome = perform(self.archive, replace(call, path=f"{call.path}@{number}"))
            if outcome.meta is not None:
                outcome = replace(outcome, meta=self.version(call.path, number).meta)
            yield outcome
