"""A range that was cut, or that shares a request, is of one version, as far as the server tells versions apart."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from obstore.store import MemoryStore

from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.wrappers import CoalescingReadableStore
from tests.servers import random_bytes

if TYPE_CHECKING:
    from ._ways import Async, Sync
    from .conftest import Remote

# An S3Store refuses responses without an ETag.
over_http = pytest.mark.parametrize("remote", ["http"], indirect=True)


VERSIONS = {place: bytes(random_bytes(100, 2 + place)) for place in (0, 50)}


def replace_at(remote: Remote, added: int = 0) -> None:
    """Have the object replaced before the request for byte 0, and before that for byte 50, whichever comes first."""
    remote.put("object", 100)
    for place, data in VERSIONS.items():
        remote.server.add_fault("replace", "bucket/object", covers=place, times=1, data=data + bytes(place * added))


def read_cut(remote: Remote, call: Sync | Async, **options: Any) -> list[bytes]:
    """Read a range that is cut into three parts, and one that is not."""
    store = CoalescingReadableStore(remote.store, max_request_size=30, **options)
    return call.get_ranges(store, "object", [0, 95], [90, 100])


@pytest.mark.parametrize("check_version", ["auto", "etag", "date"])
def test_a_cut_range_is_of_one_version(remote: Remote, call: Sync | Async, check_version: str) -> None:
    replace_at(remote)
    with pytest.raises(ObjectChangedError, match="'object' changed while it was being read"):
        read_cut(remote, call, check_version=check_version)


async def test_a_cut_range_of_a_task_is_of_one_version(remote: Remote) -> None:
    replace_at(remote)
    store = CoalescingReadableStore(remote.store, max_request_size=30)
    with pytest.raises(ObjectChangedError, match="'object' changed while it was being read"):
        await store.get_range_async("object", start=0, end=90)


@over_http
def test_without_an_etag_the_date_tells_versions_apart(remote: Remote, call: Sync | Async) -> None:
    remote.server.add_fault("no_etag")
    replace_at(remote)
    with pytest.raises(ObjectChangedError, match=r"expected Last-Modified .* pass check_version='size'"):
        read_cut(remote, call)


@over_http
def test_without_either_the_size_does(remote: Remote, call: Sync | Async) -> None:
    remote.server.add_fault("no_etag")
    remote.server.add_fault("no_last_modified")
    replace_at(remote, added=1)
    with pytest.raises(ObjectChangedError, match="expected size"):
        read_cut(remote, call)


def test_etags_that_differ_raise_and_the_error_names_the_option(remote: Remote, call: Sync | Async) -> None:
    remote.put("object", 100)
    remote.server.add_fault("vary_etag")
    with pytest.raises(ObjectChangedError, match="pass check_version='date'"):
        read_cut(remote, call)


@pytest.mark.parametrize("check_version", ["date", "size"])
@pytest.mark.parametrize(
    "duplicate",
    [lambda store: store, copy.copy, copy.deepcopy, lambda store: pickle.loads(pickle.dumps(store))],
    ids=["itself", "copy", "deepcopy", "pickle"],
)
def test_etags_that_differ_can_be_ignored(remote: Remote, duplicate: Any, check_version: Any) -> None:
    content = remote.put("object", 100)
    remote.server.add_fault("vary_etag")
    store = duplicate(CoalescingReadableStore(remote.store, max_request_size=30, check_version=check_version))
    assert asyncio.run(store.get_range_async("object", start=0, end=90)) == content[:90]
    assert store.get_ranges("object", starts=[0], ends=[90]) == [content[:90]]


def test_check_version_is_one_of_four() -> None:
    with pytest.raises(ValueError, match=r"check_version must be 'auto', .* got 'dates'"):
        CoalescingReadableStore(MemoryStore(), check_version="dates")  # type: ignore[arg-type]


async def test_ranges_that_share_a_request_are_of_one_version_others_may_be_of_another(remote: Remote) -> None:
    replace_at(remote)
    ranges = [(0, 10), (10, 20), (50, 60), (60, 70)]
    store = CoalescingReadableStore(remote.store)
    found = await asyncio.gather(*(store.get_range_async("object", start=start, end=end) for start, end in ranges))
    assert [bytes(one) for one in found] == [
        VERSIONS[place][start:end] for place, (start, end) in zip([0, 0, 50, 50], ranges, strict=True)
    ]
