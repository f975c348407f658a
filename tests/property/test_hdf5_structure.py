"""HDF5 files of any content: what h5py reads was wanted, chunks are in order, and damage is bounded."""

from __future__ import annotations

import h5py
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from obspec_utils._formats.hdf5 import Structure
from tests.unit._hdf5 import RecordingFile, chunks_by_h5py, complete, uncovered, walk
from tests.unit._hdf5_files import GrowingFile

names = st.text("abcdefgh/", min_size=1, max_size=12).map(lambda text: f"x{text}x".replace("//", "/"))
shapes = st.lists(st.integers(1, 30), min_size=1, max_size=3)


@st.composite
def datasets(draw):
    shape = tuple(draw(shapes))
    chunks = draw(st.none() | st.tuples(*(st.integers(1, length) for length in shape)))
    options = {"shape": shape, "dtype": draw(st.sampled_from(["u1", "i4", "f8", "S7"]))}
    if chunks is not None:
        maxshape = draw(st.none() | st.tuples(*(st.none() | st.integers(n, 2 * n) for n in shape)))
        options |= {"chunks": chunks, "maxshape": maxshape, "shuffle": draw(st.booleans())}
        options |= {"compression": draw(st.sampled_from([None, "gzip"]))}
    rows = draw(st.slices(shape[0]))
    return {"name": draw(names), "options": options, "rows": rows, "track_order": draw(st.booleans())}


attributes = st.tuples(
    names,
    st.text("klmnop", min_size=1, max_size=6),
    st.integers(0, 10**6)
    | st.text("abc", max_size=5000)
    | st.lists(st.text("abc", max_size=50), min_size=1, max_size=40)
    | st.integers(1, 1500).map(np.arange),
)

contents = st.fixed_dictionaries(
    {
        "datasets": st.lists(datasets(), max_size=8),
        "attributes": st.lists(attributes, max_size=40),
        "links": st.lists(st.tuples(st.sampled_from("hse"), names, names), max_size=20),
        "deleted": st.lists(names, max_size=4),
    }
)

options = st.fixed_dictionaries(
    {
        "libver": st.sampled_from(["earliest", "v108", "v110", "latest"]),
        "userblock_size": st.sampled_from([0, 0, 512, 4096]),
        "track_order": st.booleans(),
    }
)


def make(content: dict, file_options: dict) -> bytes:
    file = GrowingFile()
    with h5py.File(file, "w", **file_options) as made:
        for wanted in content["datasets"]:
            if wanted["name"] not in made:
                _ignoring_conflicts(_make_dataset, made, wanted)
        for name, key, value in content["attributes"]:
            _ignoring_conflicts(lambda name=name: made.require_group(name))
            holder = made.get(name, made)
            holder.attrs[key] = value
        for kind, name, target in content["links"]:
            if kind == "h":  # a soft link that leads to itself is none to link to
                _ignoring_conflicts(lambda name=name, target=target: made.__setitem__(name, made.get(target, made)))
                continue
            link = {"s": h5py.SoftLink(target), "e": h5py.ExternalLink("other.h5", target)}
            if name not in made:
                _ignoring_conflicts(made.__setitem__, name, link[kind])
        for name in content["deleted"]:
            _ignoring_conflicts(made.__delitem__, name)
    return file.getvalue()


def _make_dataset(made: h5py.File, wanted: dict) -> None:
    data = made.create_dataset(wanted["name"], track_order=wanted["track_order"], **wanted["options"])
    data[wanted["rows"]] = 1


def _ignoring_conflicts(action, *arguments) -> None:
    """Names may be those of objects of other kinds."""
    try:
        action(*arguments)
    except (ValueError, TypeError, KeyError, OSError, RuntimeError):
        return


@settings(max_examples=40)
@given(contents, options)
def test_h5py_reads_what_was_wanted_and_finds_the_same_chunks(content, file_options):
    data = make(content, file_options)
    parsed = Structure(len(data))
    wanted = [found for level in complete(parsed, data) for found in level]
    recording = RecordingFile(data)
    with h5py.File(recording, "r") as file:
        walk(file)
    assert uncovered(recording.reads, wanted) == []
    tables = {table.address: table for table in parsed.chunks}
    for address, chunks in chunks_by_h5py(data).items():
        table = tables[address]
        found = zip(table.numbers, table.offsets, table.sizes, strict=True)
        assert [(n, data[start : start + size]) for n, start, size in found] == [(n, held) for n, _, held in chunks]
        for position, offset in enumerate(table.offsets):
            assert parsed.find_chunk(offset) == (table, position)


@settings(max_examples=40)
@given(contents, options, st.data())
def test_damage_is_bounded(content, file_options, data):
    damaged = bytearray(make(content, file_options))
    places = st.integers(0, len(damaged) - 1)
    for position, piece in data.draw(st.lists(st.tuples(places, st.binary(min_size=1, max_size=8)), max_size=8)):
        damaged[position : position + len(piece)] = piece
    for position, address in data.draw(st.lists(st.tuples(places, places), max_size=8)):
        damaged[position : position + 8] = address.to_bytes(8, "little")
    cut = data.draw(st.just(len(damaged)) | places)
    rounds = complete(Structure(cut), bytes(damaged[:cut]), limit=1000)
    assert sum(stop - start for level in rounds for start, stop in level) <= 16 * cut + (128 << 10)


@given(st.integers(0, 3000), st.lists(st.tuples(st.integers(0, 3000), st.binary(min_size=1, max_size=40)), max_size=30))
def test_any_bytes_are_bounded(size, pieces):
    data = bytearray(b"\x89HDF\r\n\x1a\n\2\x08\x08\0".ljust(size, b"\0")[:size])
    for start, piece in pieces:
        data[start : start + len(piece)] = piece
    complete(Structure(len(data)), bytes(data), limit=1000)
