"""A body's length is compared with its range before any of it is returned, as far as headers can tell."""

from __future__ import annotations

import asyncio
import gzip
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils._io.request import request
from obspec_utils._ranges import ByteRange
from obspec_utils.exceptions import IncompleteReadError
from obspec_utils.readers import BufferedStoreReader, EagerStoreReader, ParallelStoreReader, open_reader
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

from .conftest import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Remote

SIZE = 3 * MIB
ENCODED = {"Content-Encoding": "gzip"}


def iterated(store: Any) -> bytes:
    return b"".join(SplittingReadableStore(store, request_size=MIB).get("object"))


def in_sequence(store: Any) -> bytes:
    file = BufferedStoreReader(store, "object", 64 * 1024)
    return b"".join(iter(lambda: file.read(30_000), b""))


def blocks_async(store: Any) -> bytes:
    return bytes(asyncio.run(CachingReadableStore(store, block_size=MIB).get_range_async("object", start=0, end=SIZE)))


READS = {
    "eager": lambda store: EagerStoreReader(store, "object", request_size=MIB).read(),
    "parallel": lambda store: ParallelStoreReader(store, "object").read(SIZE),
    "parallel, first bytes": lambda store: ParallelStoreReader(store, "object").read(100),
    "buffered": in_sequence,
    "open_reader": lambda store: open_reader(store, "object", memory=MIB).read(100),
    "splitting": iterated,
    "blocks": lambda store: bytes(CachingReadableStore(store, block_size=MIB).get_range("object", start=0, end=100)),
    "blocks, async": blocks_async,
}


@pytest.fixture(params=READS.values(), ids=READS)
def read(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("skip", [0, 2])
def test_a_proxy_that_compresses_ranges_is_an_error_and_never_bytes(remote: Remote, read: Any, skip: int) -> None:
    content = remote.put("object", SIZE)
    remote.server.add_fault("gzip", skip=skip)
    try:
        got = read(remote.store)
    except IncompleteReadError as error:
        message = str(error)
        assert ("'object'" in message, "\n" in message) == (True, False)
    else:  # a read that needs no more requests than those before the fault
        assert content.startswith(got)
        assert len(remote.log()) <= skip


def test_objects_that_are_stored_compressed_are_read_as_they_are_stored(remote: Remote, read: Any) -> None:
    content = remote.put("plain", SIZE)
    stored = gzip.compress(content)[:SIZE]
    remote.server.s3_store("bucket").put("object", stored, attributes=ENCODED)
    assert remote.store.get("object").attributes["Content-Encoding"] == "gzip"
    assert stored.startswith(read(remote.store))


def test_a_body_that_runs_over_is_an_error(remote: Remote, read: Any) -> None:
    content = remote.put("object", SIZE)
    remote.server.add_fault("long_body", data=bytes(2 * MIB))
    try:
        got = read(remote.store)
    except IncompleteReadError:
        return
    assert content.startswith(got)  # what was returned before it ran over


class Told:
    """A result that tells the length of its body, as stores written in Python may."""

    def __init__(self, body: bytes, span: tuple[int, int], attributes: dict[str, str]) -> None:
        self.body, self.range, self.attributes, self.read = body, span, attributes, False
        self.meta = {
            "path": "object",
            "size": 100,
            "e_tag": '"1"',
            "last_modified": datetime(2024, 1, 1, tzinfo=UTC),
            "version": None,
        }

    def buffer(self) -> bytes:
        self.read = True
        return self.body

    def stream(self, min_chunk_size: int = 1) -> Iterator[bytes]:
        self.read = True
        yield self.body


class Telling:
    def __init__(self, result: Told) -> None:
        self.result = result

    def get(self, path: str, *, options: Any = None) -> Told:
        return self.result


@pytest.mark.parametrize("name", ["Content-Length", "content-length"])
def test_a_length_that_is_told_is_compared_before_the_body_is_read(name: str) -> None:
    result = Told(bytes(10), (0, 10), {name: "11"})
    message = r"Expected 10 bytes \(0 to 10\) of 'object', got Content-Length: 11\."
    with pytest.raises(IncompleteReadError, match=message):
        request(Telling(result), "object", ByteRange(0, 10))
    assert not result.read


@pytest.mark.parametrize(
    ("attributes", "streams"),
    [
        ({}, True),
        (ENCODED, False),
        ({"content-encoding": "br"}, False),
        ({"Content-Encoding": "identity"}, True),
        ({**ENCODED, "Content-Length": "10"}, True),
    ],
)
def test_a_body_of_unknown_length_is_not_read_as_it_arrives(attributes: dict[str, str], streams: bool) -> None:  # noqa: FBT001
    answer = request(Telling(Told(bytes(10), (0, 10), attributes)), "object", ByteRange(0, 10))
    assert answer.streams is streams
    assert "Content-Length" not in (answer.attributes or {})  # the response's, not the object's


def test_attributes_may_be_missing() -> None:
    result = Told(bytes(10), (0, 10), None)  # type: ignore[arg-type]
    assert request(Telling(result), "object", ByteRange(0, 10)).body() == bytes(10)
