"""What is tried again, and which error is raised in the end: stores that fail as they are told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from obspec_utils._io.backends import ASYNC
from obspec_utils._io.fetch import fetch, fetch_parts
from obspec_utils._io.retry import Attempts, RetryBudget
from obspec_utils._ranges import ByteRange
from obspec_utils._version import Version
from obspec_utils.exceptions import IncompleteReadError, ObjectChangedError

CONTENT = bytes(range(100))
VERSION = Version(100, '"1"')


class GenericError(Exception):
    """As obstore's, by name."""


class NotFoundError(FileNotFoundError):
    """As obstore's."""


class Answered:
    def __init__(self, store: Failing, span: tuple[int, int]) -> None:
        self.meta = {"size": 100, "e_tag": store.e_tag}
        self.range, self.attributes, self._store = span, {}, store

    def buffer(self) -> bytes:
        self._store.fail("body")
        return CONTENT[slice(*self.range)]

    async def buffer_async(self) -> bytes:
        return self.buffer()


class Failing:
    """A store whose requests or bodies raise the errors it is given, one after the other."""

    e_tag: str | None = '"1"'

    def __init__(self, *errors: Exception, place: str = "body") -> None:
        self.errors, self.place, self.asked = list(errors), place, 0

    def fail(self, place: str) -> None:
        if place == self.place and self.errors:
            raise self.errors.pop(0)

    def get(self, path: str, *, options: Any = None) -> Answered:
        self.asked += 1
        self.fail("headers")
        return Answered(self, options["range"])

    async def get_async(self, path: str, *, options: Any = None) -> Answered:
        return self.get(path, options=options)


@pytest.fixture(params=["sync", "async"])
def read(request: pytest.FixtureRequest) -> Any:
    """Fetch one part, by either twin."""
    if request.param == "sync":
        return lambda store, version=VERSION: bytes(fetch(store, "object", [ByteRange(10, 20)], version, 1)[0])

    def run(store: object, version: Version = VERSION) -> bytes:
        (body,) = asyncio.run(fetch_parts(ASYNC, store, "object", [ByteRange(10, 20)], version, 1))
        return bytes(body)

    return run


BREAKING = [GenericError("broke"), IncompleteReadError("short"), ConnectionResetError("reset"), TimeoutError("late")]


@pytest.mark.parametrize("error", BREAKING, ids=repr)
def test_a_body_that_breaks_twice_is_read_at_the_third_try(read: Any, error: Exception) -> None:
    store = Failing(error, ConnectionResetError())
    assert read(store) == CONTENT[10:20]
    assert store.asked == 3


def test_in_the_end_the_first_error_is_raised(read: Any) -> None:
    first = GenericError("first")
    store = Failing(first, TimeoutError("second"), ConnectionResetError("third"))
    with pytest.raises(GenericError, match="first") as raised:
        read(store)
    assert raised.value is first
    assert store.asked == 3


@pytest.mark.parametrize("error", [NotFoundError("gone"), PermissionError(), ValueError(), OSError(), KeyError()])
@pytest.mark.parametrize("place", ["body", "headers"])
def test_definite_errors_are_final(read: Any, error: Exception, place: str) -> None:
    store = Failing(error, place=place)
    with pytest.raises(type(error)):
        read(store)
    assert store.asked == 1
    store = Failing(ConnectionResetError("first"), error, place=place)
    with pytest.raises(type(error)):
        read(store)
    assert store.asked == 2


def test_a_generic_error_in_place_of_headers_was_met_with_the_store_s_own_tries(read: Any) -> None:
    store = Failing(GenericError("refused"), place="headers")
    with pytest.raises(GenericError, match="refused"):
        read(store)
    assert store.asked == 1


def test_another_connection_error_in_place_of_headers_may_pass(read: Any) -> None:
    store = Failing(ConnectionResetError(), place="headers")
    assert read(store) == CONTENT[10:20]
    assert store.asked == 2


def test_a_version_that_can_t_be_compared_is_not_asked_for_again(read: Any) -> None:
    store = Failing(ConnectionResetError("first"))
    store.e_tag = None
    with pytest.raises(ConnectionResetError, match="first"):
        read(store, Version(100))
    assert store.asked == 1


@pytest.mark.parametrize("e_tag", [None, '"2"'])
def test_a_response_of_another_version_is_an_error_before_its_body_is_read(read: Any, e_tag: str | None) -> None:
    store = Failing(ConnectionResetError("first"))
    store.e_tag = e_tag
    with pytest.raises(ObjectChangedError):
        read(store, VERSION)
    assert store.asked == 1


def test_a_store_that_tells_no_versions_with_its_ranges_is_asked_once(read: Any) -> None:
    class Ranges:
        asked = 0

        def get_range(self, path: str, *, start: int, end: int) -> bytes:
            self.asked += 1
            raise ConnectionResetError

        async def get_range_async(self, path: str, *, start: int, end: int) -> bytes:
            return self.get_range(path, start=start, end=end)

    store = Ranges()
    with pytest.raises(ConnectionResetError):
        read(store)
    assert store.asked == 1


@pytest.mark.parametrize(("parts", "retries"), [(1, 4), (32, 4), (39, 4), (40, 5), (850, 106)])
def test_a_fetch_has_four_retries_or_one_in_eight_parts(parts: int, retries: int) -> None:
    budget = RetryBudget(parts)
    assert [budget.take() for _ in range(retries + 2)] == [True] * retries + [False, False]


def test_a_part_that_has_no_tries_left_takes_nothing_from_the_budget() -> None:
    budget = RetryBudget(1)
    tries = Attempts(budget, safe=True)
    assert [tries.delay_after(TimeoutError(), reading=True) for _ in range(5)] == [0, 0, None, None, None]
    unsafe = Attempts(budget, safe=False)
    assert unsafe.delay_after(TimeoutError(), reading=True) is None
    assert [budget.take() for _ in range(3)] == [True, True, False]
