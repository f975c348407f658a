"""Responses read as they arrive, from a store in Python that hands them out in pieces of any length."""

from __future__ import annotations

import itertools
import random
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obspec_utils.exceptions import IncompleteReadError, ObjectChangedError
from obspec_utils.readers import BufferedStoreReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Each eight bytes tell their own offset. A buffer is 4 KiB, which is one block; the fourth request is the first stream.
CONTENT = b"".join(struct.pack(">Q", offset) for offset in range(0, 400_000, 8))
BUFFER = 4096
STEPS = [0, 1, 2, 3, 7, 23, 87]


class Answered:
    def __init__(self, store: Streaming, start: int, stop: int) -> None:
        self.meta = {"path": "object", "size": len(CONTENT), "e_tag": store.e_tag}
        self.range = (start, stop)
        self.attributes: dict[str, str] = {}
        self._store = store

    def buffer(self) -> bytes:
        return CONTENT[slice(*self.range)]

    def stream(self, min_chunk_size: int) -> Iterator[bytes]:
        start, stop = self.range
        for length in self._store.pieces:
            if start >= stop:
                return
            yield CONTENT[start : min(start + length, stop)]
            start += length
            if start - self.range[0] >= self._store.cut:
                return


class Streaming:
    """A store that notes what it was asked for, and which of its answers were streamed."""

    def __init__(self, pieces: Iterable[int], cut: int = 1 << 30) -> None:
        self.pieces = pieces
        self.cut = cut
        self.e_tag = "1"
        self.asked: list[tuple[int, int]] = []

    def get(self, path: str, *, options: Any = None) -> Answered:
        start, stop = (options or {}).get("range", (0, len(CONTENT)))
        self.asked.append((start, min(stop, len(CONTENT))))
        return Answered(self, *self.asked[-1])


class Unstreamed(Streaming):
    def get(self, path: str, *, options: Any = None) -> Any:
        response_of = super().get(path, options=options)
        Result = type("Result", (), {})  # noqa: N806 - a class
        result: Any = Result()
        result.meta, result.range, result.attributes = response_of.meta, response_of.range, {}
        result.buffer = response_of.buffer
        return result


def test_a_read_across_the_end_of_a_response_takes_the_rest_of_it_and_goes_on_in_the_next() -> None:
    store = Streaming(itertools.repeat(BUFFER))
    file: Any = BufferedStoreReader(store, "object", BUFFER)
    assert file.read(10) == CONTENT[:10]
    # One and a half blocks at a time: where a response ends lies within a read.
    for start in range(10, len(CONTENT), BUFFER * 3 // 2):
        assert file.read(BUFFER * 3 // 2) == CONTENT[start : start + BUFFER * 3 // 2]
    ends = [step * BUFFER for step in STEPS]
    assert sorted(store.asked) == [*itertools.pairwise(ends), (87 * BUFFER, len(CONTENT))]


@given(st.lists(st.integers(1, 60_000)), st.integers(0, 999))
@settings(deadline=None, max_examples=50)
def test_pieces_of_any_length_give_every_byte_in_its_place_asked_for_once(pieces: list[int], seed: int) -> None:
    store = Streaming([*pieces, *[5000] * 100])
    file: Any = BufferedStoreReader(store, "object", BUFFER)
    rng = random.Random(seed)
    wanted = 10
    while found := file.read(wanted):
        assert found == CONTENT[file.tell() - len(found) :][:wanted]
        wanted = rng.randrange(1, 3 * BUFFER)
    assert file.tell() == len(CONTENT)
    asked = sorted(store.asked)
    assert [stop for _, stop in asked] == [*(start for start, _ in asked[1:]), len(CONTENT)]


@given(st.integers(1000, 30_000), st.integers(100, 5000), st.integers(500, 3 * BUFFER))
@settings(deadline=None, max_examples=50)
def test_responses_that_all_end_early_are_gone_on_from(cut: int, piece: int, length: int) -> None:
    store = Streaming([piece] * 5000, cut)
    file: Any = BufferedStoreReader(store, "object", BUFFER)
    assert b"".join(iter(lambda: file.read(length), b"")) == CONTENT


def test_a_response_that_sends_too_much_is_not_believed() -> None:
    class Generous(Streaming):
        def get(self, path: str, *, options: Any = None) -> Answered:
            response_of = super().get(path, options=options)
            more = CONTENT[response_of.range[0] :] + b"x"
            response_of.stream = lambda min_chunk_size: iter([more])  # type: ignore[method-assign]
            return response_of

    file: Any = BufferedStoreReader(Generous([]), "object", BUFFER)
    assert b"".join(iter(lambda: file.read(3000), b"")) == CONTENT


def test_of_results_that_do_not_stream_every_byte_is_asked_for_once() -> None:
    store = Unstreamed([])
    file: Any = BufferedStoreReader(store, "object", BUFFER)
    assert b"".join(iter(lambda: file.read(3000), b"")) == CONTENT
    asked = sorted(store.asked)
    assert [stop for _, stop in asked] == [*(start for start, _ in asked[1:]), len(CONTENT)]


def test_a_response_of_another_version_is_refused_before_its_bytes_are_taken() -> None:
    store = Streaming([BUFFER] * 100)
    file: Any = BufferedStoreReader(store, "object", BUFFER)
    while file.tell() < 3 * BUFFER:
        file.read(BUFFER // 4)
    store.e_tag = "2"
    with pytest.raises(ObjectChangedError, match="'object' changed"):
        file.read(10)
    assert file.tell() == 3 * BUFFER


def test_a_response_whose_length_is_not_known_is_not_read_as_it_arrives() -> None:
    class Compressed(Streaming):
        """A store behind a proxy that begins to compress responses, and keeps their Content-Range."""

        def get(self, path: str, *, options: Any = None) -> Answered:
            response = super().get(path, options=options)
            if len(self.asked) > len(STEPS[:3]):
                response.attributes = {"Content-Encoding": "gzip"}
                response.buffer = lambda: bytes(100)  # type: ignore[method-assign]
                response.stream = lambda min_chunk_size: iter([bytes(4 * BUFFER), bytes(100)])  # type: ignore[method-assign]
            return response

    file: Any = BufferedStoreReader(Compressed([BUFFER] * 100), "object", BUFFER)
    for start in range(0, 3 * BUFFER, BUFFER // 4):
        assert file.read(BUFFER // 4) == CONTENT[start : start + BUFFER // 4]
    with pytest.raises(IncompleteReadError, match="got 100 bytes"):
        file.read(10)
