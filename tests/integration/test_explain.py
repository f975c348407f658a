"""What `explain` says of real files, over the object server."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import pytest
from obstore.store import MemoryStore

from obspec_utils import explain
from tests.requests._hdf5_granules import scattered

from .explaining import AGAIN, SLOW, WHOLE, by_reader, filled_store


@pytest.fixture
def store(object_server, files):
    return filled_store(object_server, files)


@pytest.mark.parametrize(
    ("workload", "path"),
    [
        ("h5netcdf", "climate.nc"),
        ("h5netcdf", "grid.h5"),
        ("h5py", "grid.h5"),
        ("h5py", "scattered.h5"),
        ("rasterio", "grid.tif"),
        ("parquet", "frame.parquet"),
        ("read-all", "climate3.nc"),
    ],
)
def test_each_workload_runs_through_every_reader(store, workload, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # rasterio's own, about affine
        explanation = explain(store, path, workload)
    assert [row.error for row in explanation.rows] == [None] * len(explanation.rows)
    assert explanation.recommended in by_reader(explanation)
    assert explanation.size == store.head(path)["size"]
    for row in explanation.rows:
        assert row.bytes_used <= row.unique_bytes <= row.bytes_received
        assert row.unique_bytes <= explanation.size
        if row.reader != AGAIN:
            assert 1 <= row.round_trips <= row.requests
            assert row.bytes_used > 0
            assert row.peak_memory > 0
        assert row.seconds > 0


def test_the_requests_and_bytes_are_those_that_the_server_saw(object_server, store):
    explanation = explain(store, "scattered.h5", "h5py")
    log = object_server.log()
    rehearsal = next(row for row in explanation.rows if row.reader == "open_reader")
    assert sum(row.requests for row in explanation.rows) + rehearsal.requests == len(log)
    rows = by_reader(explanation)
    size = len(scattered())
    for name in WHOLE:
        assert (rows[name].bytes_received, rows[name].unique_bytes, rows[name].peak_memory) == (size, size, size)
    assert rows[AGAIN].requests == 0
    assert rows["open_reader, cached"].peak_memory == 2 * size  # the reader's, and the cache's
    # Metadata only, of 150 variables among 30 MB.
    used = {row.bytes_used for row in explanation.rows if row.reader != AGAIN}
    assert len(used) == 1
    assert rows["EagerStoreReader"].unused_bytes > 0.95 * size
    assert rows["ParallelStoreReader"].bytes_received < 0.1 * size
    assert rows["ParallelStoreReader"].round_trips < rows["ParallelStoreReader, no ahead"].round_trips


def test_a_function_reads_as_it_likes_and_its_reads_are_noted(store):
    def look(file):
        file.seek(100)
        assert len(file.read(50)) == 50
        buffer = bytearray(25)
        assert file.readinto(buffer) == 25
        file.seek(-10, 2)
        assert len(file.read()) == 10
        file.seek(100)
        assert len(file.read1(20)) == 20
        file.seek(0)
        line = file.readline(7)
        assert 0 < len(line) <= 7
        assert file.readable()
        assert file.seekable()
        assert not file.writable()
        assert (file.mode, file.path, file.size) == ("rb", "climate.nc", store.head("climate.nc")["size"])
        lengths.append(len(line))

    lengths: list[int] = []
    explanation = explain(store, "climate.nc", look)
    assert [row.error for row in explanation.rows] == [None] * len(explanation.rows)
    assert explanation.workload == "look"
    assert {row.bytes_used for row in explanation.rows if row.reader != AGAIN} == {75 + 10 + lengths[0]}
    assert len(lengths) == len(explanation.rows) + 1  # and the rehearsal


def test_a_workload_that_raises_half_way_is_reported_for_each_reader(store):
    def stop_half_way(file):
        assert len(file.read(1000)) == 1000
        secret = "https://example.com/a?X-Amz-Signature=SECRET"
        message = f"half-way\nof {secret}"
        raise RuntimeError(message)

    explanation = explain(store, "scattered.h5", stop_half_way)
    for row in explanation.rows:
        assert row.error == "RuntimeError: half-way of https://example.com/a?..."
        if row.reader != AGAIN:
            assert row.requests >= 1
            assert row.bytes_used == 1000
    assert explanation.recommended is None
    assert explanation.recommendation == (
        "No reader can be recommended: with each of them the workload raised an error, such as "
        "RuntimeError: half-way of https://example.com/a?..."
    )
    assert "SECRET" not in str(explanation) + explanation._repr_html_() + json.dumps(explanation.to_dict())
    assert "\nAll readers: RuntimeError: half-way of" in str(explanation)


def test_a_workload_that_only_some_readers_fail_is_recommended_the_others(store):
    def only_whole(file):
        file.read(10)
        if file.stats().requests == 1:
            message = "too few requests"
            raise ValueError(message)

    explanation = explain(store, "scattered.h5", only_whole)
    rows = by_reader(explanation)
    assert rows["ParallelStoreReader"].error == "ValueError: too few requests"
    assert rows["open_reader"].error is None
    assert rows[explanation.recommended].error is None
    failed = "ParallelStoreReader; BufferedStoreReader; ParallelStoreReader, no ahead: ValueError: too few requests"
    assert failed in " ".join(str(explanation).split())


def test_a_store_with_ranges_only(store):
    class Ranges:
        def head(self, path):
            return store.head(path)

        def get_range(self, path, *, start, end=None, length=None):
            return store.get_range(path, start=start, end=end, length=length)

    for network in (None, SLOW):
        explanation = explain(Ranges(), "climate.nc", "read-all", network=network)
        assert [row.error for row in explanation.rows] == [None] * len(explanation.rows)
        assert all(row.bytes_used == explanation.size for row in explanation.rows if row.reader != AGAIN)


def test_a_workload_may_close_the_file(store):
    def close(file):
        file.read(10)
        file.close()

    explanation = explain(store, "climate.nc", close)
    assert [row.error for row in explanation.rows] == [None] * len(explanation.rows)
    assert all(row.peak_memory > 0 for row in explanation.rows)


def test_a_missing_object_is_the_stores_own_error_after_one_request(object_server, store):
    with pytest.raises(FileNotFoundError, match=r"missing\.nc"):
        explain(store, "missing.nc", "read-all")
    assert len(object_server.log()) == 1


def test_an_empty_object(object_server, store):
    object_server.put("bucket/empty", b"")
    explanation = explain(store, "empty", "read-all")
    assert [row.error for row in explanation.rows] == [None] * len(explanation.rows)
    assert (explanation.size, explanation.wastes) == (0, ())
    assert {row.amplification for row in explanation.rows} == {1.0}
    failed = explain(store, "empty", "h5py")
    assert all(row.error is not None and "OSError" in row.error for row in failed.rows)


async def asynchronous(file):
    file.read()


def lazy(file):
    yield file.read()


async def asynchronous_and_lazy(file):
    yield file.read()


def test_what_is_no_raster_is_said_once(store):
    explanation = explain(store, "frame.parquet", "rasterio")
    assert len({row.error for row in explanation.rows}) == 1
    assert "All readers: RasterioIOError: the file not recognized" in " ".join(str(explanation).split())


def test_what_is_no_store_path_workload_or_network_is_refused(store):
    with pytest.raises(TypeError, match="store must be a store"):
        explain("s3://bucket", "a", "h5py")
    with pytest.raises(ValueError, match="path must be relative"):
        explain(store, "s3://bucket/a", "h5py")
    names = "h5netcdf, h5py, rasterio, parquet, read-all"
    with pytest.raises(ValueError, match=f"workload must be a function of a file, or one of {names}, got 'netcdf'"):
        explain(store, "a", "netcdf")
    with pytest.raises(TypeError, match=f"workload must be a function of a file, or one of {names}, got 3"):
        explain(store, "a", 3)
    for workload in (asynchronous, lazy, asynchronous_and_lazy):
        with pytest.raises(TypeError, match="workload must read the file when it is called, not be async or a gen"):
            explain(store, "a", workload)
    with pytest.raises(TypeError, match="network must be a Network such as"):
        explain(store, "a", "read-all", network=0.03)


@pytest.mark.parametrize(
    ("workload", "package", "extra"),
    [
        ("h5netcdf", "xarray", "xarray"),
        ("h5netcdf", "h5netcdf", "xarray"),
        ("h5py", "h5py", "xarray"),
        ("rasterio", "rasterio", "rasterio"),
        ("parquet", "pyarrow", "parquet"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(workload, package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    store = MemoryStore()
    store.put("a", b"1")
    with pytest.raises(ModuleNotFoundError) as raised:
        explain(store, "a", workload)
    assert str(raised.value) == f'workload {workload!r} needs {package}: pip install "obspec-utils[{extra}]"'


def test_plotting_without_matplotlib_names_the_extra(monkeypatch):
    store = MemoryStore()
    store.put("a", b"1")
    explanation = explain(store, "a", "read-all")
    monkeypatch.delitem(sys.modules, "obspec_utils._explain._plot", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r'needs matplotlib: pip install "obspec-utils\[plot\]"'):
        explanation.plot()


def test_a_plot_has_a_bar_for_each_reader(store):
    explanation = explain(store, "climate.nc", "read-all")
    figure = explanation.plot()
    assert [axes.get_title() for axes in figure.axes] == ["time", "bytes received", "requests"]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [row.reader for row in explanation.rows]
    requests = [int(bar.get_width()) for bar in figure.axes[2].patches]
    assert requests == [row.requests for row in explanation.rows]
    assert all(axes.get_xlim()[0] == 0 for axes in figure.axes)
    figure.canvas.draw()


def test_the_title_of_a_plot_is_within_it():
    store, path = MemoryStore(), "a/long/path" * 20
    store.put(path, b"1")
    figure = explain(store, path, "read-all").plot()
    figure.canvas.draw()
    title = figure.get_suptitle()
    (text,) = (it for it in figure.texts if it.get_text() == title)
    extent = text.get_window_extent()
    assert figure.bbox.x0 <= extent.x0 < extent.x1 <= figure.bbox.x1


def test_the_text_fits_and_the_dict_is_json(store):
    explanation = explain(store, "scattered.h5", "h5py", network=SLOW)
    text = str(explanation)
    assert all(len(line) <= 100 for line in text.splitlines())
    assert text.splitlines()[0].startswith("h5py of 'scattered.h5' (28.83 MiB), times computed for 100 ms")
    heads = "reader requests trips received amplif. unused time memory"
    assert heads in [" ".join(line.split()) for line in text.splitlines()]
    assert f"* {explanation.recommended} " in text
    assert " ".join(explanation.recommendation.split()) in " ".join(text.split())
    found = json.loads(json.dumps(explanation.to_dict()))
    assert found["network"] == {"latency": 0.1, "bandwidth": 10e6, "connections": 64}
    assert [row["reader"] for row in found["rows"]] == [row.reader for row in explanation.rows]
    assert found["recommendation"] == explanation.recommendation
    assert repr(explanation) == f"<Explanation: {explanation.title}. {explanation.recommendation}>"
    html = explanation._repr_html_()
    assert f"<td>* {explanation.recommended}</td>" in html
    assert html.count("<tr>") == len(explanation.rows) + 1


def test_importing_the_package_imports_no_readers():
    code = (
        "import sys, obspec_utils; before = 'obspec_utils._explain' in sys.modules;"
        "obspec_utils.explain; print(before, 'obspec_utils._explain' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True", "False"]


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    import obspec_utils

    with pytest.raises(AttributeError, match="module 'obspec_utils' has no attribute 'explanation'"):
        obspec_utils.explanation  # noqa: B018
