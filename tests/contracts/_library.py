"""A seeded store, the outcomes of all calls of it, and stacks over it."""

from __future__ import annotations

import itertools
import os
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.contracts._calls import TOPICS
from tests.contracts._deviations import is_comparable
from tests.contracts._objects import CONTENTS, DATA, seed
from tests.contracts._outcomes import Call, Outcome, perform, perform_async
from tests.contracts._stacks import CACHING_STACKS, STACKS, build, stacks_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.servers.stores import OpenedStore

__all__ = ["Library"]

# Over a network each call costs milliseconds, and a cold cache several of them. There every stack makes one in so many
# of the calls, another share than the next stack, so that at least two stacks make each; EVERY_CALL=1 makes all. In
# process all are made.
_STACKS_OF_EACH_CALL = 2


class Library:
    """What the bare store answers is asked once a topic, sync and async, and compared with every stack."""

    def __init__(self, opened: OpenedStore) -> None:
        self.opened = opened
        self.kind = opened.kind
        self.store = opened.store
        seed(opened)
        self.meta = self.store.head(DATA)
        self._numbers = itertools.count(1)
        self.calls = {
            f"{topic}: {name}": call for topic, calls in TOPICS.items() for name, call in calls(self.meta).items()
        }
        self._expected: dict[str, Outcome] = {}
        self._expected_async: dict[str, Outcome] = {}
        self.warm = cache(self._make_warm)

    @property
    def expected(self) -> dict[str, Outcome]:
        """What the bare store's sync methods come to, by the names of the calls."""
        if not self._expected:
            self._expected = {name: perform(self.store, call) for name, call in self.calls.items()}
        return self._expected

    async def expected_async(self) -> dict[str, Outcome]:
        """Return what the bare store's async methods come to."""
        if not self._expected_async:
            self._expected_async = {name: await perform_async(self.store, call) for name, call in self.calls.items()}
        return self._expected_async

    def cold(self, stack: str, **options: Any) -> Any:
        """Return a new stack, its caches empty."""
        return build(stack, self.store, **options)

    def _make_warm(self, stack: str) -> Any:
        store = self.cold(stack)
        for path in CONTENTS:
            store.get(path).buffer()
        return store

    def warm_calls(self, stack: str) -> dict[str, Call]:
        """Return what to ask a stack whose caches are full."""
        return self._share(stack, CACHING_STACKS)

    def cold_calls(self, stack: str) -> dict[str, Call]:
        """Return what to ask a stack whose caches are empty."""
        return self._share(stack, STACKS)

    def _share(self, stack: str, among: Sequence[str]) -> dict[str, Call]:
        names = [name for name in self.calls if is_comparable(self.kind, stack, name)]
        if self.opened.capabilities.over_network and not os.environ.get("EVERY_CALL"):
            stacks = [other for other in stacks_on(self.kind) if other in among]
            shares = max(1, len(stacks) // _STACKS_OF_EACH_CALL)
            names = names[stacks.index(stack) % shares :: shares]
        return {name: self.calls[name] for name in names}

    def fresh_folder(self) -> str:
        """Name a folder that no other test writes to."""
        return f"written-{next(self._numbers)}"
