"""HDF5 and NetCDF4 files are inspected by their metadata, and the costs are those that the readers then have."""

from __future__ import annotations

import json
import os
import sys
from math import prod
from pathlib import Path

import h5py
import numpy as np
import pytest
from obstore.store import LocalStore, MemoryStore

from obspec_utils._inspect import inspect
from obspec_utils.readers import ParallelStoreReader
from tests.unit._inspected import FIELDS, hdf5, inspected, kinds, scattered, traced

CORPUS = os.environ.get("OBSPEC_UTILS_CORPUS")
PAGE = 1 << 20
# The first request, and three times the metadata: what is read lies between data.
FIRST = 256 << 10


def fetched(trace):
    return sum(record.length or 0 for record in trace.requests)


@pytest.fixture(scope="module")
def scattered_file():
    return hdf5(scattered)


@pytest.fixture(scope="module")
def paged_file():
    return hdf5(scattered, fs_strategy="page", fs_page_size=PAGE)


def test_scattered_metadata_is_measured_and_to_be_paged(scattered_file, paged_file):
    scattered = inspected(scattered_file)
    paged = inspected(paged_file)
    assert scattered.metadata.page_size is None
    assert scattered.metadata.pieces >= FIELDS // 2
    assert scattered.metadata.stop - scattered.metadata.start > len(scattered_file) // 2
    assert kinds(scattered) == ["paging", "consolidating"]
    assert f"h5repack -S PAGE -G {PAGE} " in scattered.advice[0].command
    assert paged.metadata.page_size == PAGE
    assert paged.metadata.pieces <= 2
    assert kinds(paged) == []
    assert paged.opening.requests < scattered.opening.requests
    # The same structures in both: headers, heaps, B-trees.
    assert abs(paged.metadata.structures - scattered.metadata.structures) < 5


def test_metadata_that_is_read_with_the_data_between():
    def write(file):
        file.create_dataset("many", data=np.zeros((60_000, 64), "u1"), chunks=(1, 64))

    inspection = inspected(hdf5(write))
    assert inspection.metadata.pieces == 1
    assert " lies between data over " in inspection.advice[0].text


def test_only_metadata_is_read(scattered_file):
    store, trace = traced(scattered_file)
    inspection = inspect(store, "a")
    assert trace.total_requests == inspection.requests
    assert fetched(trace) == inspection.bytes_fetched
    assert fetched(trace) <= FIRST + 3 * inspection.metadata.bytes < len(scattered_file) // 4


@pytest.fixture(scope="module")
def dense_file():
    """A file with gaps between its metadata that are short enough to be read with it."""

    def write(file):
        file.create_dataset("first", data=np.zeros(1 << 20, "u1"))
        for number in range(150):
            file.create_dataset(f"{number}", data=np.zeros(12_000, "u1"), chunks=(6_000,)).attrs["units"] = "K"

    return hdf5(write)


@pytest.mark.parametrize("kind", ["scattered_file", "paged_file", "dense_file"])
def test_the_cost_of_opening_is_that_of_the_reader(kind, request):
    content = request.getfixturevalue(kind)
    store, trace = traced(content)
    ParallelStoreReader(store, "a", read_ahead="metadata")
    opening = inspected(content).opening
    assert opening.requests == pytest.approx(trace.total_requests, rel=0.02)
    assert opening.bytes == pytest.approx(fetched(trace), rel=0.02)
    assert 1 <= opening.round_trips <= opening.requests


def test_the_costs_of_reading_are_those_of_the_reader():
    def write(file):
        file.create_dataset("first", data=np.zeros(1 << 20, "u1"))
        random = np.random.default_rng(0)
        file.create_dataset("chunked", data=random.random((400, 1000)), chunks=(20, 500))
        file.create_dataset("packed", data=random.random((400, 1000)), chunks=(20, 500), compression="gzip")
        file.create_dataset("whole", data=random.random((500, 1000)))

    content = hdf5(write)
    costs = {array.name: array.cost for array in inspected(content).arrays}
    store, trace = traced(content)
    for name in ("/chunked", "/packed", "/whole"):
        with ParallelStoreReader(store, "a", read_ahead="metadata") as reader, h5py.File(reader) as file:
            trace.clear()
            file[name][()]
        assert costs[name].requests == pytest.approx(trace.total_requests, abs=2), name
        assert costs[name].bytes == pytest.approx(fetched(trace), rel=0.2), name


def test_variables_are_told_as_h5py_has_them():
    def write(file):
        options = {"chunks": (10, 10), "compression": "gzip", "compression_opts": 5, "shuffle": True}
        file.create_dataset("a/packed", data=np.zeros((25, 30), ">i2"), **options)
        file.create_dataset("a/empty", shape=(5, 5), dtype="f8", chunks=(5, 5))
        file.create_dataset("whole", data=np.zeros((3, 4), "f4"))
        file.create_dataset("text", data="hello")
        file.create_dataset("record", data=np.zeros(2, [("x", "i4"), ("y", "f8")]))
        file.create_dataset("nothing", dtype=h5py.Empty("f4"))
        space = h5py.VirtualLayout((4,), "f4")
        space[:] = h5py.VirtualSource("elsewhere.h5", "v", (4,))
        file.create_virtual_dataset("virtual", space)
        file.create_dataset("external", (4,), "f4", external=[("elsewhere.bin", 0, 16)])

    arrays = {array.name: array for array in inspected(hdf5(write)).arrays}
    packed = arrays["/a/packed"]
    assert (packed.shape, packed.dtype, packed.layout, packed.itemsize) == ((25, 30), ">i2", "chunked", 2)
    assert (packed.chunk_shape, packed.chunks, packed.compression) == ((10, 10), 9, "shuffle+gzip 5")
    assert 0 < packed.stored_bytes < prod((30, 30)) * 2
    assert (arrays["/a/empty"].chunks, arrays["/a/empty"].cost.requests) == (0, 0)
    assert (arrays["/whole"].layout, arrays["/whole"].stored_bytes) == ("contiguous", 48)
    assert {name: array.dtype for name, array in arrays.items() if name in {"/text", "/record"}} == {
        "/text": "string",
        "/record": "compound of 2",
    }
    assert (arrays["/virtual"].layout, arrays["/virtual"].cost) == ("virtual", None)
    assert (arrays["/external"].layout, arrays["/external"].cost) == ("external", None)
    assert arrays["/nothing"].shape == ()


def test_chunks_of_unsuitable_size_are_to_be_changed():
    def write(file):
        file.create_dataset("tiny", data=np.random.default_rng(0).random((300, 400)), chunks=(10, 10))
        file.create_dataset("huge", shape=(8000, 8000), dtype="f8", chunks=(4000, 4000))[0, 0] = 1
        file.create_dataset("good", data=np.zeros((1000, 1000)), chunks=(250, 1000))

    inspection = inspected(hdf5(write))
    rechunking = [advice for advice in inspection.advice if advice.kind == "rechunking"]
    assert ["/tiny has 1,200" in rechunking[0].text, "value of /huge" in rechunking[1].text] == [True, True]
    for advice, name, shape in zip(rechunking, ("tiny", "huge"), ((300, 400), (8000, 8000)), strict=True):
        option = advice.command.split()[2]
        assert option.startswith(f"{name}:CHUNK=")
        chunk = [int(length) for length in option.partition("=")[2].split("x")]
        assert all(a <= b for a, b in zip(chunk, shape, strict=True))
        assert 8 * prod(chunk) == 8 * prod(shape) or 1 << 20 <= 8 * prod(chunk) <= 8 << 20
    assert not any("/good" in advice.text for advice in inspection.advice)


def test_links_elsewhere_are_not_followed_and_loops_end(tmp_path):
    elsewhere = tmp_path / "elsewhere.h5"
    with h5py.File(elsewhere, "w") as file:
        file["secret"] = 1

    def write(file):
        file["group/value"] = 1
        file["group/again"] = file["group"]
        file["same"] = file["group/value"]
        file["soft"] = h5py.SoftLink("/nowhere")
        file["external"] = h5py.ExternalLink(str(elsewhere), "secret")

    inspection = inspected(hdf5(write))
    assert [array.name for array in inspection.arrays] == ["/same"]
    assert inspection.unread == ()


def test_reports_have_short_lines_and_no_control_characters():
    def write(file):
        file.create_dataset("plain", data=np.zeros(3))
        file.create_dataset("a\x1b[31m\nb", data=np.zeros((3, 4)), chunks=(1, 2))
        file.create_dataset("g" * 90, data=np.zeros(3))

    inspection = inspected(hdf5(write))
    text = str(inspection)
    assert "\x1b" not in text
    assert "/a\\x1b[31m\\nb" in text
    assert [line for line in text.splitlines() if len(line) > 80] == ["/" + "g" * 90]
    assert json.loads(json.dumps(inspection.to_dict()))["arrays"][0]["name"] == "/a\x1b[31m\nb"


def test_netcdf4_is_told_from_hdf5():
    assert inspected(hdf5(lambda file: file.attrs.update(_NCProperties="version=2"))).format == "NetCDF4"
    empty = inspected(hdf5(lambda file: None))
    assert (empty.format, empty.arrays, empty.advice) == ("HDF5", (), ())


def test_a_file_that_h5py_refuses(scattered_file):
    with pytest.raises(ValueError, match=r"^'a' can't be opened as an HDF5 file: Unable .*truncated") as raised:
        inspected(scattered_file[:100_000])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"", "is empty"), (b"CDF\x01" + bytes(100), r"begins with b'CDF\\x01'"), (b"x", "begins with b'x'")],
)
def test_other_formats(content, what):
    with pytest.raises(ValueError, match=rf"^'a' {what}: only HDF5, NetCDF4 and TIFF files can be inspected$"):
        inspected(content)


def test_a_missing_object():
    with pytest.raises(FileNotFoundError):
        inspect(MemoryStore(), "a")


def test_h5py_is_missing(scattered_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "obspec-utils\[xarray\]"'):
        inspected(scattered_file)


@pytest.mark.skipif(CORPUS is None, reason="OBSPEC_UTILS_CORPUS does not name a folder with files of others")
@pytest.mark.parametrize("folder", ["hdf5", "tiff"])
def test_files_of_others(folder):
    store = LocalStore(Path(CORPUS or "", folder))
    inspections = 0
    for path in sorted(Path(CORPUS or "", folder).iterdir()):
        try:
            inspection = inspect(store, path.name)
        except ValueError:
            continue
        inspections += 1
        assert inspection.bytes_fetched <= min(inspection.size, FIRST + 3 * inspection.metadata.bytes), path
        assert max(map(len, str(inspection).splitlines())) <= 80 or folder == "hdf5", path
        json.dumps(inspection.to_dict())
        if folder == "hdf5":
            assert_has_variables_of(path, inspection)
    assert inspections > 30


def assert_has_variables_of(path, inspection):
    """Compare with the chunks and stored sizes that h5py reads from the local file."""
    try:
        file = h5py.File(path)
    except OSError:  # such as a file that was not closed, which only a file object may be opened of
        return
    with file:
        for array in inspection.arrays:
            dataset = file[array.name]
            assert array.shape == (dataset.shape or ())
            if array.layout == "chunked":
                assert array.stored_bytes == dataset.id.get_storage_size(), (path, array.name)
