"""One version: an object replaced between two parts of a read is an error, never a mix."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from obspec.exceptions import PreconditionError, map_exception

from obspec_utils._version import Version
from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.readers import BlockStoreReader, BufferedStoreReader, EagerStoreReader, ParallelStoreReader
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore
from tests.servers import random_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Remote

MIB = 1 << 20
SIZE = 4 * MIB


def eager(remote: Remote) -> bytes:
    return EagerStoreReader(remote.store, "object", request_size=MIB).read()


def parallel(remote: Remote) -> bytes:
    file = ParallelStoreReader(remote.store, "object")
    return b"".join(file.read(MIB) for _ in range(4))


def block(remote: Remote) -> bytes:
    file = BlockStoreReader(remote.store, "object")
    return b"".join(file.read(MIB) for _ in range(4))


def buffered(remote: Remote) -> bytes:
    file = BufferedStoreReader(remote.store, "object")
    return b"".join(file.read(MIB) for _ in range(4))


def splitting(remote: Remote) -> bytes:
    return bytes(SplittingReadableStore(remote.store, request_size=MIB).get("object").buffer())


def splitting_async(remote: Remote) -> bytes:
    async def read() -> bytes:
        result = await SplittingReadableStore(remote.store, request_size=MIB).get_async("object")
        return b"".join([chunk async for chunk in result])

    return asyncio.run(read())


def caching(remote: Remote) -> bytes:
    store = CachingReadableStore(SplittingReadableStore(remote.store, request_size=MIB))
    return bytes(store.get("object").buffer())


WAYS = [eager, parallel, block, buffered, splitting, splitting_async, caching]
SIZES = {"same": SIZE, "longer": SIZE + MIB, "shorter": SIZE - MIB, "tiny": 10, "empty": 0}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_an_object_replaced_between_two_parts_raises(remote: Remote, way: Callable[[Remote], bytes], size: str) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault("replace", data=random_bytes(SIZES[size], 2), covers=MIB, times=1)
    with pytest.raises(ObjectChangedError, match="'object' changed while it was being read") as raised:
        way(remote)
    assert isinstance(map_exception(raised.value), PreconditionError)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_weak_etag_is_the_same_version(remote: Remote, way: Callable[[Remote], bytes]) -> None:
    content = remote.put("object", SIZE)
    remote.server.add_fault("weak_etag", covers=MIB)
    assert way(remote) == content


# An S3Store refuses answers without an ETag.
over_http = pytest.mark.parametrize("remote", ["http"], indirect=True)


@over_http
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("missing", [["no_etag"], ["no_etag", "no_last_modified"]], ids=" ".join)
def test_an_object_without_etag_is_read(remote: Remote, way: Callable[[Remote], bytes], missing: list[Any]) -> None:
    content = remote.put("object", SIZE)
    for fault in missing:
        remote.server.add_fault(fault)
    assert way(remote) == content


@over_http
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_without_any_version_the_size_is_checked(remote: Remote, way: Callable[[Remote], bytes]) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault("no_etag")
    remote.server.add_fault("no_last_modified")
    remote.server.add_fault("replace", data=random_bytes(SIZE + MIB, 2), covers=MIB, times=1)
    with pytest.raises(ObjectChangedError, match="size"):
        way(remote)


DATE = datetime(2026, 1, 1, tzinfo=UTC)
LATER = DATE + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("one", "other", "changed"),
    [
        (Version(1, "a", DATE), Version(1, "a", LATER), False),
        (Version(1, "a", DATE), Version(1, "b", DATE), True),
        (Version(1, "a", DATE), Version(2, "a", DATE), True),
        (Version(1, 'W/"a"', DATE), Version(1, '"a"', DATE), False),
        (Version(1, None, DATE), Version(1, None, LATER), True),
        (Version(1, "a", DATE), Version(1, None, LATER), True),
        (Version(1, "a", DATE), Version(1, None, DATE), False),
        (Version(1, "a", None), Version(1, None, DATE), True),
        (Version(1), Version(1), False),
    ],
)
def test_what_tells_versions_apart(one: Version, other: Version, changed: bool) -> None:  # noqa: FBT001
    if changed:
        with pytest.raises(ObjectChangedError, match="'object'"):
            one.check("object", other)
    else:
        one.check("object", other)


def test_a_deleted_object_is_the_store_s_own_error(remote: Remote) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault("delete", covers=MIB, times=1)
    with pytest.raises(FileNotFoundError):
        EagerStoreReader(remote.store, "object", request_size=MIB)


@pytest.mark.parametrize("hint", [0, 1, SIZE - 1, SIZE + 1, 10 * SIZE])
def test_a_wrong_file_size_never_truncates(remote: Remote, hint: int) -> None:
    content = remote.put("object", SIZE)
    assert EagerStoreReader(remote.store, "object", request_size=MIB, file_size=hint).read() == content


def test_a_result_that_failed_can_be_read_again(remote: Remote) -> None:
    content = remote.put("object", SIZE)
    result = SplittingReadableStore(remote.store, request_size=MIB).get("object")
    remote.server.add_fault("status", status=403, covers=MIB, times=1)
    with pytest.raises(Exception, match=r"(?i)403|forbidden|denied|permission"):
        result.buffer()
    assert result.buffer() == content
