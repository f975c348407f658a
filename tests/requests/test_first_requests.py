"""A failed first request is retried; the whole object is requested only where ranges are not served."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from obstore.exceptions import BaseError

from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.readers import BufferedStoreReader, EagerStoreReader, ParallelStoreReader, open_reader
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

from .conftest import MIB, Remote

if TYPE_CHECKING:
    from tests.servers import ObjectServer

SIZE = 3 * MIB


def read_eager(store: Any) -> bytes:
    return EagerStoreReader(store, "object", request_size=MIB).read()


def read_split_async(store: Any) -> bytes:
    async def run() -> bytes:
        result = await SplittingReadableStore(store, request_size=MIB).get_async("object")
        return bytes(await result.buffer_async())

    return asyncio.run(run())


def read_blocks_async(store: Any) -> bytes:
    return bytes(asyncio.run(CachingReadableStore(store, block_size=MIB).get_range_async("object", start=0, end=SIZE)))


READS = {
    "eager": read_eager,
    "parallel": lambda store: ParallelStoreReader(store, "object", MIB, 2).read(SIZE),
    "buffered": lambda store: BufferedStoreReader(store, "object").read(),
    "open_reader": lambda store: open_reader(store, "object", memory=MIB).read(),
    "splitting": lambda store: bytes(SplittingReadableStore(store, request_size=MIB).get("object").buffer()),
    "splitting, async": read_split_async,
    "blocks": lambda store: bytes(
        CachingReadableStore(store, block_size=MIB).get_range("object", start=0, end=SIZE),
    ),
    "blocks, async": read_blocks_async,
}


@pytest.fixture(params=READS.values(), ids=READS)
def read(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize(
    "fault", [{"action": "status", "status": 503}, {"action": "status", "status": 400}, {"action": "drop"}]
)
def test_one_failure_is_met_with_the_same_range_again(remote: Remote, read: Any, fault: dict[str, Any]) -> None:
    content = remote.put("object", SIZE)
    remote.server.add_fault(**fault, times=1)
    assert read(remote.store) == content
    log = remote.log()
    assert log[0].range_header == log[1].range_header
    assert all(request.range_header for request in log)


@pytest.mark.parametrize("fault", [{"action": "status", "status": 503}, {"action": "drop"}])
def test_two_failures_are_raised_and_nothing_else_is_requested(
    remote: Remote, read: Any, fault: dict[str, Any]
) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault(**fault)
    with pytest.raises(Exception, match="Error performing GET"):
        read(remote.store)
    first, second = remote.log()
    assert first.range_header == second.range_header is not None


@pytest.mark.parametrize("status", [403, 404])
def test_a_definite_response_is_not_questioned(remote: Remote, read: Any, status: int) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault("status", status=status)
    with pytest.raises(Exception, match=r"denied|not found|Forbidden|No such"):
        read(remote.store)
    assert len(remote.log()) == 1


def test_a_refused_connection_is_an_error_at_once(remote: Remote, read: Any) -> None:
    store = type(remote.store)(
        **({"bucket": "b", "endpoint": "http://127.0.0.1:1", "skip_signature": True, "region": "x"}
           if "S3" in type(remote.store).__name__ else {"url": "http://127.0.0.1:1"}),
        client_options={"allow_http": True}, retry_config={"max_retries": 0},
    )  # fmt: skip
    with pytest.raises(Exception, match="Error performing GET"):
        read(store)


def test_a_range_that_is_ignored_now_and_then_is_requested_again(remote: Remote, read: Any) -> None:
    content = remote.put("object", SIZE)
    for position in (0, MIB + 5, SIZE - 1):
        remote.server.add_fault("ignore_range", covers=position, times=1)
    assert read(remote.store) == content
    assert all(request.range_header for request in remote.log())


def test_a_server_without_ranges_is_read_in_three_requests(remote: Remote, read: Any) -> None:
    content = remote.put("object", SIZE)
    remote.server.add_fault("ignore_range")
    assert read(remote.store) == content
    assert [request.range_header is None for request in remote.log()] == [False, False, True]


# What is resident at most, in a process of its own: in another one an earlier peak would hide it.
PROGRAM = """
import sys
from contextlib import suppress
from obstore.store import S3Store
from obspec_utils.readers import *
from obspec_utils._io.fetch import fetch
from obspec_utils._io.request import request_first
from obspec_utils._ranges import ByteRange
from obspec_utils._version import Version
from obspec_utils.wrappers import SplittingReadableStore

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))

def jumps(file):
    for position in (0, size // 2, size - (5 << 20), 10 << 20):  # the last one lies behind
        file.seek(position)
        assert file.read(1000) == period[:1000]

def parallel():
    jumps(ParallelStoreReader(store, "object", 1 << 20, 4))

def buffered():
    jumps(BufferedStoreReader(store, "object", 1 << 16))

def opened():
    jumps(open_reader(store, "object", memory=4 << 20))

def eager():
    EagerStoreReader(store, "object", 1 << 20)

def read_all():
    ParallelStoreReader(store, "object", 1 << 20, 2).read()

def split():
    SplittingReadableStore(store, 1 << 20).get("object").buffer()

def part():
    version = Version.of(request_first(store, "object", 10).meta)
    (body,) = fetch(store, "object", [ByteRange(size - 1000, size)], version, 1)
    assert body == period[-1000:]

url, way, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = S3Store("bucket", endpoint=url, region="us-east-1", skip_signature=True, client_options={"allow_http": True},
                retry_config={"max_retries": 0})
with suppress(Exception):
    store.get_range("object", start=0, length=1)
period = bytes(store.get("period").buffer())
before = peak()
try:
    globals()[way]()
except Exception as error:
    print(type(error).__name__)
print((peak() - before) >> 20)
"""


def run_program(remote: Remote, way: str, size: int) -> list[str]:
    command = [sys.executable, "-c", PROGRAM, remote.server.url, way, str(size)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("way", ["parallel", "buffered", "opened", "part"])
def test_reading_a_server_without_ranges_takes_no_more_memory_than_was_promised(
    object_server: ObjectServer, way: str
) -> None:
    remote = Remote(object_server, object_server.s3_store("bucket"))
    remote.server.put_random("bucket/object", 200 * MIB, 1, period=MIB)
    remote.server.put_random("bucket/period", MIB, 1)
    remote.server.add_fault("ignore_range", "bucket/object")
    (grown,) = run_program(remote, way, 200 * MIB)
    assert int(grown) < 30
    whole = [request for request in remote.log() if request.range_header is None and request.path == "bucket/object"]
    assert len(whole) == 2


def test_a_reader_of_a_server_without_ranges_seeks_as_a_file_does(remote: Remote) -> None:
    content = remote.put("object", SIZE + 123)
    remote.server.add_fault("ignore_range")
    file, expected = ParallelStoreReader(remote.store, "object", 64 * 1024, 4), io.BytesIO(content)
    for position, length in (
        (0, 5),
        (SIZE, 200),
        (70_000, 10),
        (1, 1),
        (MIB, 2 * MIB),
        (MIB + 7, 300_000),
        (0, SIZE * 2),
    ):
        file.seek(position)
        expected.seek(position)
        assert file.read(length) == expected.read(length)


@pytest.mark.parametrize("make", [EagerStoreReader, ParallelStoreReader, BufferedStoreReader])
def test_a_server_that_serves_ranges_again_is_read_by_ranges_again(remote: Remote, make: Any) -> None:
    content = remote.put("object", 8 * MIB)
    remote.server.add_fault("ignore_range", times=2)
    options = {"request_size": MIB} if make is EagerStoreReader else {}
    file = make(remote.store, "object", **options)
    assert file.read(10) == content[:10]
    file.seek(4 * MIB)
    assert file.read(10) == content[4 * MIB : 4 * MIB + 10]
    file.seek(MIB)
    assert file.read(10) == content[MIB : MIB + 10]


class TestClaims:
    """A server that claims 10**18 bytes: planning takes no memory, and the first part that fails ends the read."""

    @pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
    @pytest.mark.parametrize("way", ["eager", "read_all", "split"])
    def test_the_first_part_that_is_not_there_ends_it(self, object_server: ObjectServer, way: str) -> None:
        remote = Remote(object_server, object_server.s3_store("bucket"))
        remote.put("object", SIZE)
        remote.server.put_random("bucket/period", MIB, 1)
        remote.server.add_fault("claim_size", "bucket/object", size=10**18)
        *failed, grown = run_program(remote, way, SIZE)
        # Where the first request has the whole object in its range, no more is requested of what was claimed.
        assert failed or way == "read_all"
        assert int(grown) < 64
        assert len(remote.log()) < 100

    def test_a_read_of_all_of_it_ends_where_the_object_does(self, remote: Remote) -> None:
        remote.put("object", SIZE)
        remote.server.add_fault("claim_size", size=10**18)
        file = ParallelStoreReader(remote.store, "object", MIB, 2)
        file.read(10)
        file.seek(0)
        with pytest.raises((BaseError, ObjectChangedError)):
            file.read()

    def test_what_is_there_of_it_can_be_iterated(self, remote: Remote) -> None:
        content = remote.put("object", SIZE)
        remote.server.add_fault("claim_size", size=10**18)
        result = SplittingReadableStore(remote.store, request_size=MIB, max_concurrent_requests=1).get("object")
        chunks = iter(result)
        assert bytes(next(chunks)) == content[:MIB]

    def test_its_blocks_can_be_read(self, remote: Remote) -> None:
        content = remote.put("object", SIZE)
        remote.server.add_fault("claim_size", size=10**18)
        store = CachingReadableStore(remote.store, block_size=MIB)
        assert bytes(store.get_range("object", start=MIB, length=10)) == content[MIB : MIB + 10]
