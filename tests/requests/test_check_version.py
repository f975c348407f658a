"""What is compared to notice another version: for servers whose ETags or dates differ from response to response."""

from __future__ import annotations

import asyncio
import copy
import pickle
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.readers import (
    BlockStoreReader,
    BufferedStoreReader,
    EagerStoreReader,
    ParallelStoreReader,
    open_reader,
    open_reader_async,
)
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore
from tests.servers import random_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Remote

MIB = 1 << 20
SIZE = 4 * MIB

READERS: dict[str, Callable[..., Any]] = {
    "eager": partial(EagerStoreReader, request_size=MIB),
    "parallel": partial(ParallelStoreReader, chunk_size=64 * 1024),
    "without read-ahead": partial(ParallelStoreReader, read_ahead=None),
    "block": BlockStoreReader,
    "buffered": BufferedStoreReader,
    "buffered in parallel": partial(BufferedStoreReader, max_concurrent_requests=4),
    "open, whole": partial(open_reader, memory=2 * SIZE),
    "open, in blocks": partial(open_reader, memory=MIB),
}


def read_with(make: Callable[..., Any], remote: Remote, options: dict[str, Any]) -> bytes:
    file = make(remote.store, "object", **options)
    return b"".join(file.read(MIB) for _ in range(5))


def splitting(remote: Remote, options: dict[str, Any]) -> bytes:
    return bytes(SplittingReadableStore(remote.store, request_size=MIB, **options).get("object").buffer())


def splitting_async(remote: Remote, options: dict[str, Any]) -> bytes:
    async def read() -> bytes:
        result = await SplittingReadableStore(remote.store, request_size=MIB, **options).get_async("object")
        return b"".join([chunk async for chunk in result])

    return asyncio.run(read())


def opened_async(remote: Remote, options: dict[str, Any]) -> bytes:
    return bytes(asyncio.run(open_reader_async(remote.store, "object", **options)).read())


WAYS: dict[str, Callable[[Remote, dict[str, Any]], bytes]] = {
    **{name: partial(read_with, make) for name, make in READERS.items()},
    "splitting": splitting,
    "splitting_async": splitting_async,
    "opened_async": opened_async,
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Callable[[Remote, dict[str, Any]], bytes]:
    return WAYS[request.param]


DATES = "2[-0-9: +]+"


@pytest.mark.parametrize("options", [{}, {"check_version": "auto"}, {"check_version": "etag"}], ids=str)
def test_etags_that_differ_raise_and_the_error_names_the_option(
    remote: Remote, way: Callable[..., bytes], options: dict[str, Any]
) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault("vary_etag")
    other = "size" if "etag" in options.values() else "date"
    found = r'ETag "varied-\d+", found "varied-\d+"'
    expected = rf"^'object' changed .*: expected {found}\. .* pass check_version='{other}'\.$"
    with pytest.raises(ObjectChangedError, match=expected):
        way(remote, options)


@pytest.mark.parametrize("check_version", ["date", "size"])
def test_etags_that_differ_can_be_ignored(remote: Remote, way: Callable[..., bytes], check_version: str) -> None:
    content = remote.put("object", SIZE)
    remote.server.add_fault("vary_etag")
    assert way(remote, {"check_version": check_version}) == content


@pytest.mark.parametrize("check_version", ["auto", "etag", "size"])
def test_dates_that_differ_do_not_matter_with_an_etag(
    remote: Remote, way: Callable[..., bytes], check_version: str
) -> None:
    content = remote.put("object", SIZE)
    remote.server.add_fault("vary_last_modified")
    assert way(remote, {"check_version": check_version}) == content


def test_dates_are_compared_though_there_is_an_etag(remote: Remote, way: Callable[..., bytes]) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault("vary_last_modified")
    expected = f"^'object' .*: expected Last-Modified {DATES}, found {DATES}. .* pass check_version='size'.$"
    with pytest.raises(ObjectChangedError, match=expected):
        way(remote, {"check_version": "date"})


# An S3Store refuses responses without an ETag.
over_http = pytest.mark.parametrize("remote", ["http"], indirect=True)


@over_http
def test_without_an_etag_dates_that_differ_raise(remote: Remote, way: Callable[..., bytes]) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault("no_etag")
    remote.server.add_fault("vary_last_modified")
    with pytest.raises(ObjectChangedError, match=r"expected Last-Modified .* pass check_version='size'"):
        way(remote, {})


@over_http
def test_without_a_date_the_error_names_the_size(remote: Remote) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault("no_last_modified")
    remote.server.add_fault("vary_etag")
    with pytest.raises(ObjectChangedError, match="pass check_version='size'"):
        EagerStoreReader(remote.store, "object", request_size=MIB)


@over_http
@pytest.mark.parametrize("missing", ["no_etag", "no_last_modified"])
def test_without_what_it_names_the_size_alone_is_compared(
    remote: Remote, way: Callable[..., bytes], missing: Any
) -> None:
    content = remote.put("object", SIZE)
    check_version = "etag" if missing == "no_etag" else "date"
    remote.server.add_fault(missing)
    remote.server.add_fault("vary_last_modified" if missing == "no_etag" else "vary_etag")
    assert way(remote, {"check_version": check_version}) == content
    remote.server.add_fault("replace", data=random_bytes(SIZE + MIB, 2), covers=MIB, times=1)
    expected = f"^'object' changed .*: expected size {SIZE}, found {SIZE + MIB}\\. .* read the new one\\.$"
    with pytest.raises(ObjectChangedError, match=expected):
        way(remote, {"check_version": check_version})


@pytest.mark.parametrize("size", [SIZE, SIZE + MIB])
@pytest.mark.parametrize("check_version", ["etag", "date"])
def test_a_replaced_object_is_noticed(remote: Remote, way: Callable[..., bytes], check_version: str, size: int) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault("replace", data=random_bytes(size, 2), covers=MIB, times=1)
    with pytest.raises(ObjectChangedError, match="'object' changed while it was being read"):
        way(remote, {"check_version": check_version})


def pickled(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


def test_a_first_body_that_breaks_is_requested_again(remote: Remote) -> None:
    """The retry compares as the parts do."""
    content = remote.put("object", SIZE)
    remote.server.add_fault("vary_etag")
    remote.server.add_fault("drop", after=1000, times=1)
    file = ParallelStoreReader(remote.store, "object", chunk_size=64 * 1024, check_version="date")
    assert file.read(MIB) == content[:MIB]
    assert remote.ranges() == [(0, MIB), (0, MIB)]


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "duplicate", [copy.copy, lambda file: pickle.loads(pickle.dumps(file))], ids=["copy", "pickle"]
)
def test_copies_compare_the_same(remote: Remote, name: str, duplicate: Callable[[Any], Any]) -> None:
    content = remote.put("object", SIZE)
    remote.server.add_fault("vary_etag")
    file = READERS[name](remote.store, "object", check_version="date")
    assert file.read(10) == content[:10]
    other = duplicate(duplicate(file))
    assert other.read() == content[10:]
    remote.server.put("bucket/object", random_bytes(SIZE, 2))
    with pytest.raises(ObjectChangedError, match="expected Last-Modified"):
        duplicate(file).read()


@pytest.mark.parametrize(
    "duplicate", [copy.copy, lambda store: pickle.loads(pickle.dumps(store))], ids=["copy", "pickle"]
)
@pytest.mark.parametrize("check_version", ["auto", "etag", "date", "size"])
def test_copies_of_wrappers_have_the_option(
    remote: Remote, check_version: Any, duplicate: Callable[[Any], Any]
) -> None:
    for make in (CachingReadableStore, SplittingReadableStore):
        store = duplicate(make(remote.store, check_version=check_version))
        assert store._options() == ({} if check_version == "auto" else {"check_version": check_version})
        assert ("check_version" in repr(store)) == (check_version != "auto")
