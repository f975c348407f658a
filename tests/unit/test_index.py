"""What a cache knows of objects does not grow with the number of objects it has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils.wrappers import CachingReadableStore, _index
from tests.contracts._stores import OnlyGet

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT = bytes(range(100))


@pytest.fixture(params=[None, 50])
def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Any]:
    monkeypatch.setattr(_index, "_BARE", 20)
    below: Any = OnlyGet({str(number): CONTENT for number in range(1000)})
    return lambda size: CachingReadableStore(below, size, block_size=request.param)


def test_versions_of_which_nothing_is_in_memory_are_few(made: Callable[[int], Any]) -> None:
    store = made(1000)
    for number in range(1000):
        store.get_range(str(number), start=0, end=100)
    assert len(store.cached_paths) == 10
    assert len(store._engine.index._known) <= 21
    assert list(store._engine.index._known)[-1] == "999"


def test_no_object_that_is_in_memory_is_forgotten_for_that(made: Callable[[int], Any]) -> None:
    store = made(30_000)
    asked = store._store.requests
    for number in range(290):
        store.get_range(str(number), start=0, end=100)
    for number in range(290, 1000):
        store.get_range(str(number), start=0, end=100)
        for hot in range(10):
            store.get_range(str(hot), start=0, end=100)
    assert len(asked) == 1000  # the hot ones, too, once
    assert len(store.cached_paths) == 300
    assert len(store._engine.index._known) <= 300 * 4 // 3 + 21
