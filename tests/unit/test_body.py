"""The body of a split object: what is planned of a very large one, and what it does in chunks."""

from __future__ import annotations

from typing import Any

from obspec_utils._io.multipart import MultipartBody, PartLimits
from obspec_utils._io.response import Response
from obspec_utils._ranges import ByteRange
from obspec_utils._version import Version

MIB = 1 << 20
SIZE = 10 << 30


class Sized:
    """An object of ten gigabytes that tells what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def get_range(self, path: str, *, start: int, end: int) -> bytes:
        self.asked.append((start, end))
        raise FileNotFoundError

    def head(self, path: str) -> dict[str, Any]:
        return {"size": SIZE}


def split(store: object) -> MultipartBody:
    first = Response(store, "object", ByteRange(0, 12 * MIB), b"", meta={"size": SIZE})  # type: ignore[typeddict-item]
    return MultipartBody(store, first, PartLimits(12 * MIB, 18), Version(SIZE))


def test_ten_gigabytes_are_parts_near_the_request_size_in_full_batches() -> None:
    spans = split(Sized())._spans
    assert len(spans) % 18 == 0
    assert all(8 * MIB <= span.length <= 18 * MIB for span in spans)
    assert [span.start for span in spans] == [0, *(span.stop for span in spans[:-1])]
    assert spans[-1].stop == SIZE


def test_the_first_chunk_of_it_waits_for_one_batch() -> None:
    plan = split(Sized())._plan(1, whole=False)
    assert plan.first is not None
    assert len(plan.batch) == 18
    assert plan.memory is None


def test_memory_for_the_whole_is_only_there_where_bodies_arrive_in_pieces() -> None:
    body = split(Sized())
    assert body._plan(SIZE, whole=True).memory is None
    body._streams = True
    plan = body._plan(SIZE, whole=True)
    assert plan.memory is not None
    assert plan.memory.view.nbytes == SIZE  # of address space: none of it is memory before it is written
    assert [target.start for target in plan.targets or ()] == [span.start for span in plan.batch]
