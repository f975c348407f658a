"""Every reader against io.BytesIO over the same bytes: the same calls, the same results, positions and exceptions."""

from __future__ import annotations

import io
import pickle
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from obstore.store import LocalStore

from obspec_utils.readers import (
    BlockStoreReader,
    BufferedStoreReader,
    EagerStoreReader,
    ParallelStoreReader,
    _blocks,
    _cached_blocks,
    _fetcher,
    open_reader,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# Small enough that a few hundred bytes have every kind of boundary.
PIECE = 16
REQUEST = 40
READERS: dict[str, Callable[..., Any]] = {
    "eager": partial(EagerStoreReader, request_size=PIECE, max_concurrent_requests=3),
    "eager, one request": EagerStoreReader,
    "parallel": partial(ParallelStoreReader, chunk_size=PIECE, max_cached_chunks=3),
    "parallel, one chunk": partial(ParallelStoreReader, chunk_size=PIECE, max_cached_chunks=1),
    "block": partial(BlockStoreReader, block_size=PIECE + 1, max_cached_blocks=2),
    "buffered": partial(BufferedStoreReader, buffer_size=PIECE),
    "buffered, one byte": partial(BufferedStoreReader, buffer_size=1),
    "buffered, several requests": partial(BufferedStoreReader, buffer_size=PIECE, max_concurrent_requests=3),
    "opened": partial(open_reader, memory=100),
}
SIZES = sorted({0, 1, 2, *(k * n + d for k in (1, 2, 3) for n in (PIECE, REQUEST) for d in (-1, 0, 1)), 300})

sizes = st.one_of(st.none(), st.integers(-3, 60), st.sampled_from([PIECE, REQUEST, 1000, True]))
offsets = st.integers(-320, 320)
whences = st.sampled_from([0, 1, 2, 0, 1, 2, 3, -1])


class SameAsBytesIO(RuleBasedStateMachine):
    """Drives a reader and a BytesIO; subclasses say which reader."""

    make: Callable[..., Any]
    directory: Path

    @initialize(size=st.sampled_from(SIZES), newline=st.integers(1, 40))
    def open(self, size: int, newline: int) -> None:
        content = bytes(10 if i % newline == 0 else 32 + i % 90 for i in range(size))
        (self.directory / "object").write_bytes(content)
        self.expected = io.BytesIO(content)
        self.reader = type(self).make(LocalStore(self.directory), "object")

    def both(self, call: Callable[[Any], object]) -> None:
        outcomes = []
        for file in (self.reader, self.expected):
            try:
                outcome: object = call(file)
            except Exception as error:  # noqa: BLE001 - whatever BytesIO raises is what the reader has to raise
                outcome = type(error)
            # io.UnsupportedOperation is not part of this machine: it reads only.
            outcomes.append(outcome)
        assert outcomes[0] == outcomes[1]
        assert self.reader.closed == self.expected.closed
        if not self.expected.closed:
            assert self.reader.tell() == self.expected.tell()

    @rule(size=sizes)
    def read(self, size: int | None) -> None:
        self.both(lambda file: file.read(size))

    @rule()
    def read_all(self) -> None:
        self.both(lambda file: file.read())

    @rule(size=sizes)
    def read1(self, size: int | None) -> None:
        self.both(lambda file: file.read1(size))

    @rule(size=st.integers(0, 70), kind=st.sampled_from(["bytearray", "int32", "read-only"]), method=st.booleans())
    def readinto(self, size: int, kind: str, *, method: bool) -> None:
        def call(file: Any) -> tuple[int, bytes]:
            buffer: Any = bytearray(size) if kind != "read-only" else bytes(size)
            target = memoryview(bytearray(4 * size)).cast("i") if kind == "int32" else buffer
            count = file.readinto(target) if method else file.readinto1(target)
            return count, bytes(target)

        self.both(call)

    @rule(size=sizes)
    def readline(self, size: int | None) -> None:
        self.both(lambda file: file.readline(size))

    @rule(hint=st.one_of(st.none(), st.integers(-1, 80)))
    def readlines(self, hint: int | None) -> None:
        self.both(lambda file: file.readlines(hint))

    @rule()
    def iterate(self) -> None:
        self.both(lambda file: next(iter(file), None))

    @rule(offset=offsets, whence=whences)
    def seek(self, offset: int, whence: int) -> None:
        self.both(lambda file: file.seek(offset, whence))

    @rule(offset=st.sampled_from([1.5, "1", None]))
    def seek_nonsense(self, offset: object) -> None:
        self.both(lambda file: file.seek(offset))

    @rule(size=st.sampled_from([1.5, "1", b""]))
    def read_nonsense(self, size: object) -> None:
        self.both(lambda file: file.read(size))

    @rule()
    def abilities(self) -> None:
        self.both(lambda file: (file.readable(), file.seekable(), file.isatty(), file.flush()))

    @rule(protocol=st.integers(2, pickle.HIGHEST_PROTOCOL))
    def pickle_in_the_middle(self, protocol: int) -> None:
        if self.expected.closed:  # BytesIO can't be pickled then either, see `pickle_closed`
            return
        self.reader = pickle.loads(pickle.dumps(self.reader, protocol))

    @rule()
    def pickle_closed(self) -> None:
        if self.expected.closed:
            with pytest.raises(ValueError, match="closed"):
                pickle.dumps(self.reader)

    @rule(often=st.integers(0, 9))
    def close(self, often: int) -> None:
        if often == 0:
            self.both(lambda file: file.close())

    @rule(often=st.integers(0, 9))
    def use_as_context_manager(self, often: int) -> None:
        def call(file: Any) -> bytes:
            with file as entered:
                return bytes(entered.read(5))

        if often == 0:
            self.both(call)

    def teardown(self) -> None:
        if hasattr(self, "reader"):
            self.reader.close()


@pytest.mark.parametrize("name", READERS)
def test_behaves_as_bytesio_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Reads that are longer than one request are split: here, after a few dozen bytes.
    monkeypatch.setattr(_blocks, "REQUEST_SIZE", REQUEST)
    monkeypatch.setattr(_fetcher, "REQUEST_SIZE", REQUEST)
    monkeypatch.setattr(_cached_blocks, "_MIN_BLOCK_SIZE", 4)
    with tempfile.TemporaryDirectory() as directory:
        machine = type("Machine", (SameAsBytesIO,), {"make": staticmethod(READERS[name]), "directory": Path(directory)})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
