"""HDF5 files read by h5py and by the parser, and which of h5py's reads the parser announced."""

from __future__ import annotations

import io
from bisect import bisect_right
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from obspec_utils._formats.hdf5 import Structure

__all__ = ["RecordingFile", "chunks_by_h5py", "complete", "join", "reads_of_walk", "uncovered", "walk"]


class RecordingFile(io.BytesIO):
    """A file in memory that records which ranges are read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads: list[tuple[int, int]] = []

    def readinto(self, buffer) -> int:
        start = self.tell()
        count = super().readinto(buffer)
        self.reads.append((start, start + count))
        return count


def complete(structure: Structure, data: bytes, *, limit: int = 64) -> list[list[tuple[int, int]]]:
    """Serve wanted ranges, and nothing else, until none is left; return those of each round."""
    rounds = []
    known = bytearray(len(data))

    def read(start: int, stop: int) -> memoryview | None:
        return memoryview(data)[start:stop] if known.find(0, start, stop) < 0 else None

    while wanted := structure.wanted(limit):
        for start, stop in wanted:
            assert 0 <= start < stop <= len(data)
            assert known.find(0, start, stop) >= 0, "what is in memory is not wanted again"
        for start, stop in wanted:
            known[start:stop] = bytes([1]) * (stop - start)
        rounds.append([tuple(found) for found in wanted])
        structure.parse(read)
    return rounds


def join(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join ranges that touch each other."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined


def uncovered(reads: Iterable[tuple[int, int]], wanted: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return what was read and not wanted."""
    joined = join(wanted)
    starts = [start for start, _ in joined]
    missing = []
    for start, stop in reads:
        position = start
        while position < stop:
            at = bisect_right(starts, position) - 1
            if at >= 0 and position < joined[at][1]:
                position = joined[at][1]
                continue
            end = min(stop, starts[at + 1] if at + 1 < len(starts) else stop)
            missing.append((position, end))
            position = end
    return missing


def _ignore_errors(action: Callable[[], object]) -> None:
    with suppress(OSError, RuntimeError, TypeError, ValueError, KeyError, SystemError, NotImplementedError):
        action()


def walk(file: h5py.File) -> int:
    """Look at every object, attribute and chunk index, but at no contents of datasets; return how many there were."""
    seen: set[object] = set()
    keys: list[int] = []
    pending: list[h5py.Group] = []

    def look(found) -> None:
        _ignore_errors(lambda: keys.append(h5py.h5o.get_info(found.id).addr))
        key = keys.pop() if keys else found.name
        if key in seen:
            return
        seen.add(key)
        names: list[str] = []
        _ignore_errors(lambda: names.extend(found.attrs))
        for name in names:
            _ignore_errors(lambda name=name: found.attrs[name])
        if isinstance(found, h5py.Dataset):
            _ignore_errors(lambda: (found.shape, found.dtype, found.id.get_storage_size()))
            if found.chunks:
                _ignore_errors(lambda: found.id.get_chunk_info(max(1, found.id.get_num_chunks()) - 1))
        elif isinstance(found, h5py.Group):
            pending.append(found)

    _ignore_errors(lambda: look(file["/"]))
    while pending:
        group = pending.pop()
        names = []
        _ignore_errors(lambda group=group, names=names: names.extend(group))
        for name in names:
            _ignore_errors(
                lambda group=group, name=name: (
                    look(group[name]) if type(group.get(name, getlink=True)) is h5py.HardLink else None
                )
            )
    return len(seen)


@cache
def reads_of_walk(data: bytes) -> list[tuple[int, int]] | None:
    """Return what h5py reads of a file to walk it, or None where it does not open it."""
    recording = RecordingFile(data)
    try:
        file = h5py.File(recording, "r")
    except (OSError, RuntimeError):
        return None
    with file:
        walk(file)
    return recording.reads


def chunks_by_h5py(data: bytes) -> dict[int, list[tuple[int, int | None, bytes]]]:
    """Return, by the offset of each dataset's header, the number in the grid, the offset and the bytes of each chunk.

    The offset is None where libhdf5 2.0 tells another chunk's: with an extensible array whose unlimited dimension is
    not the first one. It reads the right bytes.
    """
    found: dict[int, list[tuple[int, int | None, bytes]]] = {}
    with h5py.File(io.BytesIO(data), "r") as file:

        def look(_name: str, dataset: h5py.Dataset | h5py.Group) -> None:
            if isinstance(dataset, h5py.Dataset) and dataset.chunks:
                address = h5py.h5o.get_info(dataset.id).addr + file.userblock_size
                found[address] = sorted(_chunks_of_dataset(dataset))

        file.visititems(look)
    return found


def _chunks_of_dataset(dataset: h5py.Dataset) -> Iterator[tuple[int, int | None, bytes]]:
    grid = [-(-length // chunk) for length, chunk in zip(dataset.shape, dataset.chunks, strict=True)]
    count = dataset.id.get_num_chunks()
    if dataset.maxshape[0] is not None and None in dataset.maxshape:
        for number, place in enumerate(np.ndindex(*grid)):
            with suppress(OSError, RuntimeError, MemoryError):
                corner = tuple(c * chunk for c, chunk in zip(place, dataset.chunks, strict=True))
                yield number, None, dataset.id.read_direct_chunk(corner)[1]
        return
    for info in map(dataset.id.get_chunk_info, range(count)):
        place = [c // chunk for c, chunk in zip(info.chunk_offset, dataset.chunks, strict=True)]
        content = dataset.id.read_direct_chunk(info.chunk_offset)[1]
        assert len(content) == info.size
        yield int(np.ravel_multi_index(place, grid)), info.byte_offset, content
