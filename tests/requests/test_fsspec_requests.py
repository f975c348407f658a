"""What ObspecFileSystem requests: one request for a small object, one plan for the ranges of an object."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

import pytest
from obstore.exceptions import BaseError

from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.fsspec import ObspecFileSystem
from obspec_utils.wrappers import CachingReadableStore, CoalescingReadableStore, SplittingReadableStore
from tests.servers.web_server import WebServer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import ObjectServer

    from .conftest import Remote

MIB = 1 << 20
SIZE = 100_000


def seen(remote: Remote) -> list[tuple[str, int | None, int | None]]:
    """Return method and range of the requests since the last clear, and clear."""
    found = sorted((each.method, each.start or 0, each.stop or 0) for each in remote.log())
    remote.server.clear()
    return found


@pytest.fixture
def content(remote: Remote) -> bytes:
    return remote.put("dir/object", SIZE)


@pytest.fixture
def fs(remote: Remote) -> ObspecFileSystem:
    return ObspecFileSystem(remote.store)


def test_a_small_object_is_one_request(remote: Remote, fs: ObspecFileSystem, content: bytes, tmp_path: Path) -> None:
    assert fs.cat_file("dir/object") == content
    assert [(each.method, each.sent) for each in remote.log()] == [("GET", SIZE)]
    remote.server.clear()
    with fs.open("dir/object") as file:
        assert file.read() == content
    assert [(each.method, each.sent) for each in remote.log()] == [("GET", SIZE)]
    remote.server.clear()
    fs.get_file("dir/object", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == content
    assert [(each.method, each.sent) for each in remote.log()] == [("GET", SIZE)]
    remote.server.clear()
    assert fs.cat(["dir/object"]) == {"dir/object": content}
    assert len(remote.log()) == 1


def test_an_empty_object_is_two_requests_at_most(remote: Remote, fs: ObspecFileSystem) -> None:
    remote.put("empty", 0)
    assert fs.cat_file("empty") == b""
    assert len(remote.log()) == 2


def test_a_range_is_one_request(remote: Remote, fs: ObspecFileSystem, content: bytes) -> None:
    assert fs.cat_file("dir/object", 10, 20) == content[10:20]
    assert seen(remote) == [("GET", 10, 20)]
    assert fs.cat_file("dir/object", start=SIZE - 5, end=SIZE + 100) == content[-5:]
    assert [each.sent for each in remote.log()] == [5]
    remote.server.clear()
    assert fs.cat_file("dir/object", start=SIZE - 5) == content[-5:]
    assert [(each.range_header, each.sent) for each in remote.log()] == [(f"bytes={SIZE - 5}-", 5)]
    remote.server.clear()
    assert fs.cat_file("dir/object", start=-7) == content[-7:]
    assert [(each.range_header, each.sent) for each in remote.log()] == [("bytes=-7", 7)]
    remote.server.clear()
    assert fs.cat_file("dir/object", 10, 10) == fs.cat_file("dir/object", 10, 5) == b""
    assert seen(remote) == []


def test_an_offset_from_the_end_costs_one_request_for_the_size(
    remote: Remote, fs: ObspecFileSystem, content: bytes
) -> None:
    assert fs.cat_file("dir/object", -20, -10) == content[-20:-10]
    assert seen(remote) == [("GET", 0, 1), ("GET", SIZE - 20, SIZE - 10)]
    assert fs.cat_ranges(["dir/object"] * 3, [0, -10, 3], [2, -5, 5]) == [content[:2], content[-10:-5], content[3:5]]
    assert seen(remote) == [("GET", 0, 1), ("GET", 0, 2), ("GET", 3, 5), ("GET", SIZE - 10, SIZE - 5)]


def test_nothing_is_requested_to_the_end_that_has_a_stop(remote: Remote, fs: ObspecFileSystem, content: bytes) -> None:
    far = 9 << 30
    assert fs.cat_ranges(["dir/object"] * 2, [far, -5], [far + 10, -3]) == [b"", content[-5:-3]]
    assert seen(remote) == [("GET", 0, 1), ("GET", SIZE - 5, SIZE - 3)]
    assert fs.cat_ranges(["dir/object"] * 2, [10, -5], [far, -3]) == [content[10:], content[-5:-3]]
    assert [each.range_header for each in remote.log()] == ["bytes=10-"]


def test_past_the_end_is_empty(remote: Remote, fs: ObspecFileSystem, content: bytes) -> None:
    assert fs.cat_file("dir/object", SIZE, SIZE + 5) == b""
    assert fs.cat_file("dir/object", SIZE + 10) == b""
    assert sum(each.sent for each in remote.log() if each.status in {200, 206}) <= 2
    assert fs.cat_ranges(["dir/object"] * 2, [SIZE - 1, SIZE + 1], [SIZE + 1, SIZE + 2]) == [content[-1:], b""]


def test_ranges_of_one_call_are_one_plan(remote: Remote, fs: ObspecFileSystem, content: bytes) -> None:
    slices = [(500, 700), (0, 100), (100, 200), (150, 300), (500, 500), (700, 701), (90_000, 90_010), (0, 100)]
    starts, ends = map(list, zip(*slices, strict=True))
    assert fs.cat_ranges(["dir/object"] * len(slices), starts, ends) == [content[a:b] for a, b in slices]
    assert seen(remote) == [("GET", 0, 300), ("GET", 500, 701), ("GET", 90_000, 90_010)]
    assert fs.cat_ranges(["dir/object"] * 2, [0, 110], [100, 120], max_gap=10) == [content[:100], content[110:120]]
    assert seen(remote) == [("GET", 0, 120)]


def test_the_rest_of_an_object_serves_the_ranges_in_it(remote: Remote, fs: ObspecFileSystem, content: bytes) -> None:
    slices = [(-100, None), (-50, -40), (0, 10), (SIZE - 110, SIZE - 90), (5, 20)]
    starts, ends = map(list, zip(*slices, strict=True))
    assert fs.cat_ranges(["dir/object"] * len(slices), starts, ends) == [content[slice(*each)] for each in slices]
    assert sorted(each.sent for each in remote.log()) == [10, 20, 100]


def test_requests_of_a_call_are_sent_together_and_bounded(remote: Remote, fs: ObspecFileSystem) -> None:
    content = remote.put("large", 2 * MIB)
    remote.server.configure(latency=0.2, gather=2)
    starts = list(range(0, 2 * MIB, 20_000))
    ends = [start + 1000 for start in starts]
    found = fs.cat_ranges(["large"] * len(starts), starts, ends)
    assert found == [content[start:end] for start, end in zip(starts, ends, strict=True)]
    assert len(remote.log()) == len(starts) == 105
    assert 2 <= remote.server.most_in_flight() <= 64


def test_a_long_range_is_read_in_parts(remote: Remote, fs: ObspecFileSystem) -> None:
    content = remote.put("large", 20 * MIB)
    assert fs.cat_file("large", 1, 20 * MIB) == content[1:]
    assert len(remote.log()) == 3


def test_large_objects_are_read_in_parallel_parts(remote: Remote, fs: ObspecFileSystem, tmp_path: Path) -> None:
    content = remote.put("large", 50 * MIB)
    remote.server.configure(latency=0.1, gather=4)
    assert fs.cat_file("large") == content
    assert len(remote.log()) == 5
    assert 4 <= remote.server.most_in_flight() <= 5  # the body of the first may still arrive
    remote.server.clear()
    remote.server.add_fault("drop", "bucket/large", skip=2, after=MIB, times=1)
    fs.get_file("large", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    assert len(remote.log()) == 6
    assert 4 <= remote.server.most_in_flight() <= 5
    remote.server.clear()
    buffer = io.BytesIO()
    fs.get_file("large", buffer)
    assert buffer.getvalue() == content
    assert len(remote.log()) == 1


def test_all_ranges_of_a_call_are_of_one_version(remote: Remote, fs: ObspecFileSystem, content: bytes) -> None:
    remote.server.add_fault("replace", "bucket/dir/object", skip=1, times=1, data=content[::-1])
    (first, second) = fs.cat_ranges(["dir/object"] * 2, [0, 50_000], [10, 50_010])
    assert isinstance(first, ObjectChangedError)
    assert isinstance(second, ObjectChangedError)
    remote.server.add_fault("replace", "bucket/dir/object", skip=1, times=1, data=content)
    with pytest.raises(ObjectChangedError):
        fs.cat_ranges(["dir/object"] * 2, [0, -10], [10, None], on_error="raise")


def test_an_error_of_one_object_is_that_of_its_ranges(remote: Remote, fs: ObspecFileSystem, content: bytes) -> None:
    other = remote.put("other", 1000)
    remote.server.add_fault("status", "bucket/other", status=403, times=None)
    broken, found, also = fs.cat_ranges(["other", "dir/object", "other"], [0, 5, 500], [1, 6, 501])
    assert found == content[5:6]
    assert type(broken).__name__ == type(also).__name__ == "PermissionDeniedError"
    assert other


def test_a_server_that_ignores_ranges_sends_the_object_once(
    remote: Remote, fs: ObspecFileSystem, content: bytes
) -> None:
    remote.server.add_fault("ignore_range", times=None)
    starts = list(range(0, 50_000, 1000))
    found = fs.cat_ranges(["dir/object"] * len(starts), starts, [start + 10 for start in starts])
    assert found == [content[start : start + 10] for start in starts]
    assert [each.range_header for each in remote.log()].count(None) == 1
    assert fs.cat_file("dir/object", -10) == content[-10:]
    assert fs.cat_file("dir/object", 10, 20) == content[10:20]


def test_a_body_that_breaks_is_not_returned(remote: Remote, fs: ObspecFileSystem, tmp_path: Path) -> None:
    remote.put("object", 50 * 1000)
    remote.server.add_fault("drop", "bucket/object", after=100, times=None)
    with pytest.raises(Exception, match=r"."):
        fs.get_file("object", str(tmp_path / "copy"))
    assert list(tmp_path.iterdir()) == []
    (broken,) = fs.cat_ranges(["object"], 0, 40_000)
    assert isinstance(broken, Exception)


def test_a_copy_whose_body_breaks_is_begun_again(remote: Remote, fs: ObspecFileSystem, tmp_path: Path) -> None:
    content = remote.put("object", 5 * MIB)
    for target in (str(tmp_path / "copy"), io.BytesIO(b"before")):
        remote.server.add_fault("drop", "bucket/object", after=2 * MIB, times=1)
        if isinstance(target, io.BytesIO):
            target.seek(6)
        fs.get_file("object", target)
        assert len(remote.statuses()) == 2
    assert isinstance(target, io.BytesIO)
    assert target.getvalue() == b"before" + content
    assert (tmp_path / "copy").read_bytes() == content


def test_a_directory_is_one_list_and_a_glob_too(object_server: ObjectServer) -> None:
    for name in ("a.nc", "b.nc", "deep/c.nc"):
        object_server.put(f"bucket/dir/{name}", b"content")
    fs = ObspecFileSystem(object_server.s3_store("bucket"))
    for call, expected in {
        lambda: fs.ls("dir", detail=False): ["dir/a.nc", "dir/b.nc", "dir/deep"],
        lambda: fs.find("dir"): ["dir/a.nc", "dir/b.nc", "dir/deep/c.nc"],
        lambda: fs.glob("dir/*.nc"): ["dir/a.nc", "dir/b.nc"],
        lambda: fs.glob("dir/**/*.nc"): ["dir/a.nc", "dir/b.nc", "dir/deep/c.nc"],
        lambda: fs.du("dir"): 21,
        lambda: fs.size("dir/a.nc"): 7,
        lambda: fs.exists("dir/a.nc"): True,
    }.items():
        object_server.clear()
        assert call() == expected
        assert len(object_server.log()) == 1
    object_server.clear()
    assert fs.isdir("dir")
    assert not fs.exists("di")
    assert [each.method for each in object_server.log()] == ["HEAD", "GET"] * 2


def test_an_error_is_no_missing_object(remote: Remote, fs: ObspecFileSystem, content: bytes) -> None:
    remote.server.add_fault("status", "bucket/dir/object", method="HEAD", status=403, times=None)
    with pytest.raises(BaseError):  # its text has no status
        fs.exists("dir/object")
    remote.server.add_fault("status", "bucket*", method="*", status=403, times=None)
    for call in (fs.exists, fs.info, fs.cat_file, fs.open):
        with pytest.raises(BaseError, match="403"):
            call("dir/object")
    is_http = type(remote.store).__name__ == "HTTPStore"  # its URL has a path
    error, text = (NotImplementedError, "can't list: use") if is_http else (BaseError, "403")
    for call in (fs.ls, fs.find):
        with pytest.raises(error, match=text):
            call("dir/object")
    assert content


def test_the_store_caches_and_the_filesystem_does_not(remote: Remote, content: bytes) -> None:
    fs = ObspecFileSystem(CachingReadableStore(remote.store))
    for _ in range(2):
        assert fs.cat_file("dir/object") == content
        assert fs.cat_file("dir/object", 10, 20) == content[10:20]
        assert fs.cat_ranges(["dir/object"] * 2, [0, -10], [10, None]) == [content[:10], content[-10:]]
        assert fs.open("dir/object").read() == content
        assert fs.size("dir/object") == SIZE
    assert len(remote.log()) == 1


def test_a_splitting_store_splits_whole_objects(remote: Remote, content: bytes) -> None:
    fs = ObspecFileSystem(SplittingReadableStore(remote.store, request_size=40_000))
    assert fs.cat_file("dir/object") == content
    assert len(remote.log()) == 3


def test_a_coalescing_store_joins_the_ranges_of_tasks(remote: Remote, content: bytes) -> None:
    async def run() -> list[bytes]:
        fs = ObspecFileSystem(CoalescingReadableStore(remote.store), asynchronous=True)
        return await asyncio.gather(*(fs._cat_file("dir/object", at, at + 100) for at in range(0, 1000, 100)))

    assert asyncio.run(run()) == [content[at : at + 100] for at in range(0, 1000, 100)]
    assert seen(remote) == [("GET", 0, 1000)]


def test_an_aiohttp_store_reads_on_any_loop(object_server: ObjectServer) -> None:
    object_server.put_random("bucket/object", SIZE)
    content = object_server.get("bucket/object")
    store = object_server.aiohttp_store("bucket")
    fs = ObspecFileSystem(store)
    assert fs.cat_file("object") == fs.open("object").read() == content
    assert fs.cat_ranges(["object"] * 2, [0, 500], [10, 510]) == [content[:10], content[500:510]]
    assert fs.cat_file("object", -3) == content[-3:]
    assert fs.cat_file("object", SIZE, SIZE + 1) == b""
    assert fs.info("object")["size"] == SIZE
    assert not fs.exists("missing")
    buffer = io.BytesIO()
    fs.get_file("object", buffer)
    assert buffer.getvalue() == content

    async def run() -> bytes:
        async with store:
            there: bytes = await ObspecFileSystem(store, asynchronous=True)._cat_file("object")
            return there

    assert asyncio.run(run()) == content


def test_a_plain_web_server_tells_what_is_missing() -> None:
    from aiohttp import web
    from obstore.store import HTTPStore

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/a" and request.method in {"GET", "HEAD"}:
            return web.Response(body=b"content")
        return web.Response(status=404 if request.method in {"GET", "HEAD"} else 405)

    with WebServer(handle) as server:
        fs = ObspecFileSystem(HTTPStore(server.url, client_options={"allow_http": True}))
        assert fs.cat_file("a") == b"content"
        assert fs.exists("a")
        assert not fs.exists("missing")
        with pytest.raises(FileNotFoundError):
            fs.info("missing")


def test_etags_that_vary_are_compared_as_the_store_says(remote: Remote) -> None:
    content = remote.put("large", 40 * MIB)
    remote.server.add_fault("vary_etag", times=None)
    fs = ObspecFileSystem(remote.store)
    with pytest.raises(ObjectChangedError):
        fs.cat_ranges(["large"] * 2, [0, 30 * MIB], [5, 30 * MIB + 5], on_error="raise")
    for wrap in (SplittingReadableStore, CoalescingReadableStore):
        fs = ObspecFileSystem(wrap(remote.store, check_version="size"))
        found = fs.cat_ranges(["large"] * 2, [0, 30 * MIB], [5, 30 * MIB + 5])
        assert found == [content[:5], content[30 * MIB : 30 * MIB + 5]]
        assert fs.cat_file("large") == content
