"""What `explain` says of networks, memory, rasters and Parquet files, and how near its model is."""

from __future__ import annotations

import subprocess
import sys

import pytest
from obstore.store import MemoryStore, S3Store

from obspec_utils import Network, explain
from obspec_utils._explain._candidates import candidates
from obspec_utils._explain._run import _rows
from obspec_utils._explain._workloads import workload_of
from tests.integration.documents import python_blocks, run
from tests.requests._hdf5_granules import scattered

from .explaining import AGAIN, MIB, SLOW, by_reader, filled_store


@pytest.fixture
def store(object_server, files):
    return filled_store(object_server, files)


def test_a_slow_network_is_told_apart_from_this_machine(object_server, store):
    """Metadata among data: the fewest round trips are best, and what each reader wastes is said."""
    explanation = explain(store, "scattered.h5", "h5py", network=SLOW)
    rows = by_reader(explanation)
    assert explanation.recommended != "ParallelStoreReader, no ahead"
    assert rows["ParallelStoreReader, no ahead"].seconds > 100 * SLOW.latency
    assert rows["open_reader"].seconds < rows["ParallelStoreReader, no ahead"].seconds / 2
    wastes = {waste.kind: waste for waste in explanation.wastes}
    assert {"unused bytes", "requests in sequence"} <= set(wastes)
    assert all(waste.setting for waste in explanation.wastes)
    assert [waste.share for waste in explanation.wastes] == sorted((w.share for w in explanation.wastes), reverse=True)


def test_requests_that_are_sent_together_are_recorded_together_over_a_store_that_responds_at_once():
    store = MemoryStore()
    store.put("a.h5", scattered())
    row = by_reader(explain(store, "a.h5", "h5py", network=SLOW))["ParallelStoreReader"]
    assert row.requests > 150
    assert row.round_trips < 100  # 9, or more on a busy machine; without holding responses, 160


def test_reading_all_in_sequence_leaves_connections_idle(object_server):
    object_server.put_random("bucket/large", 40 * MIB, period=100_003)
    explanation = explain(object_server.s3_store("bucket"), "large", "read-all", network=SLOW)
    idle = next(waste for waste in explanation.wastes if waste.kind == "idle connections")
    rows = by_reader(explanation)
    # 40 MiB over one connection of 10 MB/s take 4 s; on a busy machine two requests may be recorded as if side by side.
    assert rows["BufferedStoreReader"].seconds > 2
    assert rows["open_reader"].seconds < rows["BufferedStoreReader"].seconds / 2
    assert idle.reader == "BufferedStoreReader"
    assert "max_concurrent_requests=18" in idle.setting
    assert explanation.recommended != "BufferedStoreReader"


def test_bytes_that_are_evicted_and_received_again_are_said_with_the_memory_that_keeps_them(object_server):
    object_server.put_random("bucket/large", 80 * MIB, period=100_003)

    def read_twice(file):
        for _ in range(2):
            file.seek(0)
            while file.read(4 * MIB):
                pass

    explanation = explain(object_server.s3_store("bucket"), "large", read_twice)
    duplicate = next(waste for waste in explanation.wastes if waste.kind == "duplicate bytes")
    rows = by_reader(explanation)
    assert rows["ParallelStoreReader"].duplicate_bytes > 20 * MIB
    assert rows["ParallelStoreReader"].amplification > 1.25
    assert rows["EagerStoreReader"].duplicate_bytes == 0
    assert 64 * MIB <= rows["ParallelStoreReader"].peak_memory <= 112 * MIB  # with what arrives
    assert any(text in duplicate.setting for text in (f"memory={128 * MIB}", "max_cached_chunks=128", "open_reader"))


def test_a_reader_that_would_keep_too_much_does_not_run(object_server):
    size = (1 << 30) + 1
    object_server.put_random("bucket/huge", size, period=100_003)
    explanation = explain(object_server.s3_store("bucket"), "huge", lambda file: file.read(10))
    row = by_reader(explanation)["EagerStoreReader"]
    assert row.error == "not run: it would keep 1 GiB in memory"
    assert row.requests == 0
    assert all(other.error is None for other in explanation.rows if other is not row)
    assert "EagerStoreReader: not run" in str(explanation)


COMPARED = (
    "open_reader",
    "ParallelStoreReader",
    "BufferedStoreReader",
    "EagerStoreReader",
    "ParallelStoreReader, no ahead",
)


def seconds_of(store: S3Store, network: Network | None) -> dict[str, float]:
    """Return the seconds that each reader takes to read all of an object."""
    work = workload_of("read-all")
    compared = [it for it in candidates(work, 8 * MIB) if it.name in COMPARED]
    return {row.reader: row.seconds for it in compared for row in _rows(it, store, "large", work, network)}


@pytest.mark.slow
@pytest.mark.parametrize(("latency", "bandwidth"), [(0.005, 4e6), (0.1, 10e6), (0.5, 50e6)])
def test_the_model_is_within_a_quarter_of_the_measurement(object_server, latency, bandwidth):
    """Recorded over a server that responds at once; then measured over one that is as slow as the network.

    Waiting dominates, because a busy machine only adds to what is measured; the nearest of three measurements counts.
    """
    object_server.put_random("bucket/large", 8 * MIB, period=100_003)
    store = object_server.s3_store("bucket")
    errors: dict[str, list[float]] = {name: [] for name in COMPARED}
    for _ in range(3):
        object_server.configure()
        computed = seconds_of(store, Network(latency, bandwidth))
        object_server.configure(latency=latency, bandwidth=bandwidth)
        measured = seconds_of(store, None)
        for name, found in errors.items():
            found.append(abs(computed[name] / measured[name] - 1))
        if all(min(found) < 0.25 for found in errors.values()):
            break
    assert {name: found for name, found in errors.items() if min(found) >= 0.25} == {}


PEAK = """
import sys
from obstore.store import S3Store
from obspec_utils import explain
from obspec_utils.readers import EagerStoreReader, ParallelStoreReader
from obspec_utils._explain._candidates import Candidate
from obspec_utils._explain._measure import ResponseTrace, Run
from obspec_utils.wrappers import TracingReadableStore

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))

store = S3Store("bucket", endpoint=sys.argv[1], region="us-east-1", skip_signature=True,
                client_options={"allow_http": True})
store.get_range("large", start=0, length=1)
reader = {"EagerStoreReader": EagerStoreReader, "ParallelStoreReader": ParallelStoreReader}[sys.argv[2]]
trace = ResponseTrace()
run = Run(Candidate("", "", reader), TracingReadableStore(store, trace), "large", trace)
before = peak()
run.run(lambda file: all(iter(lambda: file.read(1 << 20), b"")))
print((peak() - before) / run.row("", None).peak_memory)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("reader", ["EagerStoreReader", "ParallelStoreReader"])
def test_the_peak_memory_is_about_what_the_process_grows_by(object_server, reader):
    object_server.put_random("bucket/large", 192 * MIB, period=100_003)
    command = [sys.executable, "-c", PEAK, object_server.url, reader]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert 0.7 < float(done.stdout) < 1.6


@pytest.mark.parametrize("kind", ["cog", "strips", "big"])
def test_a_window_of_a_raster(object_server, rasters, kind):
    object_server.put("bucket/a.tif", rasters[kind])
    explanation = explain(object_server.s3_store("bucket"), "a.tif", "rasterio", network=Network(0.03, 50e6))
    assert [row.error for row in explanation.rows] == [None] * len(explanation.rows)
    assert explanation.rows[0].reader == "rasterio.opener"
    used = [row.bytes_used for row in explanation.rows if row.reader != AGAIN]
    assert min(used) > 0.9 * max(used)
    assert 0 < used[0] < len(rasters[kind])


def test_an_error_of_the_store_under_gdal_is_the_stores_own(object_server, rasters):
    object_server.put("bucket/a.tif", rasters["big"])
    store = object_server.s3_store("bucket")
    opened = {}

    def window(file):
        if "broken" not in opened:
            opened["broken"] = True
            return
        from obspec_utils._explain._workloads import WORKLOADS

        object_server.clear_faults()
        object_server.add_fault("status", status=403, covers=6_000_000)
        try:
            WORKLOADS["rasterio"].run(file)
        finally:
            object_server.clear_faults()

    explanation = explain(store, "a.tif", window)
    error = by_reader(explanation)["ParallelStoreReader"].error
    assert error is not None
    assert "PermissionDenied" in error
    assert "Rasterio" not in error


def test_what_is_no_raster_is_an_error_of_rasterio_and_is_plotted_as_one(store):
    explanation = explain(store, "frame.parquet", "rasterio")
    assert all(row.error is not None and row.error.startswith("RasterioIOError: ") for row in explanation.rows)
    labels = [label.get_text() for label in explanation.plot().axes[0].get_yticklabels()]
    assert labels == [f"{row.reader} (error)" for row in explanation.rows]


def test_the_column_of_a_parquet_file_without_rows(object_server):
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), sink)
    object_server.put("bucket/a.parquet", sink.getvalue().to_pybytes())
    explanation = explain(object_server.s3_store("bucket"), "a.parquet", "parquet")
    assert [row.error for row in explanation.rows] == [None] * len(explanation.rows)


def test_the_guide_runs(object_server, store, files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    object_server.put("bucket/a.nc", files["climate.nc"])
    object_server.put("bucket/a.h5", files["grid.h5"])
    names = {"store": store}
    for block in python_blocks("docs/guide/explain.md"):
        run(block, "explain.md", names)
    printed = capsys.readouterr().out
    assert printed.startswith("h5py of 'a.h5' (")
    assert "times computed for 30 ms to the first byte, 47.68 MiB/s a connection, 64" in printed
    assert printed.splitlines()[-1].startswith("Use ")
    assert [row.error for row in names["explanation"].rows] == [None] * len(names["explanation"].rows)
    assert (tmp_path / "readers.png").stat().st_size > 10_000
