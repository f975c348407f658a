"""Parts: sliced without joining, copied only where a slice would pin too much."""

from __future__ import annotations

import gc
import sys
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obspec_utils._io.buffers import BufferList


@given(st.lists(st.binary(max_size=20), max_size=8), st.integers(0, 50), st.integers(0, 200), st.integers(0, 200))
def test_a_slice_is_that_of_the_joined_bytes(buffers: list[bytes], start: int, a: int, b: int) -> None:
    content = b"".join(buffers)
    parts = BufferList(buffers, start=start)
    a, b = sorted((start + min(a, len(content)), start + min(b, len(content))))
    assert len(parts) == len(content)
    assert bytes(parts.slice(a, b)) == content[a - start : b - start]
    assert b"".join(parts.pieces(a, b)) == content[a - start : b - start]
    assert bytes(parts.join()) == content


def test_the_window_is_the_part_that_holds_a_byte() -> None:
    parts = BufferList([b"abc", b"", b"defg"], start=10)
    assert [parts.window(position)[:2] for position in (10, 12, 13, 16)] == [(10, 13), (10, 13), (13, 17), (13, 17)]
    assert bytes(parts.window(13)[2]) == b"defg"


class Pinned(bytearray):
    """A buffer whose end can be watched."""


@pytest.mark.parametrize(("stop", "pins"), [(50, True), (49, False), (100, True), (1, False)])
def test_a_slice_pins_its_part_only_if_it_is_half_of_it_or_more(stop: int, pins: bool) -> None:  # noqa: FBT001
    buffer = Pinned(b"x" * 100)
    watch = weakref.ref(buffer)
    parts = [BufferList([buffer])]
    del buffer
    kept = parts[0].slice(0, stop)
    parts.clear()
    gc.collect()
    assert (watch() is not None) is pins
    assert bytes(kept) == b"x" * stop


def test_a_small_slice_of_plain_bytes_pins_nothing() -> None:
    buffer = b"x" * 1000
    references = sys.getrefcount(buffer)
    kept = BufferList([buffer]).slice(0, 10)
    assert sys.getrefcount(buffer) == references
    assert bytes(kept) == b"x" * 10


def test_joining_one_part_copies_nothing() -> None:
    buffer = Pinned(b"x" * 100)
    joined = BufferList([buffer]).join()
    buffer[0:1] = b"y"
    assert bytes(joined)[:1] == b"y"
