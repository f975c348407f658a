"""rasterio over `obspec_utils.rasterio.opener`: requests, side files, errors."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from obstore.store import LocalStore, MemoryStore
from rasterio.errors import RasterioIOError
from rasterio.io import MemoryFile
from rasterio.windows import Window

from obspec_utils.rasterio import opener
from obspec_utils.wrappers import CachingReadableStore, RequestTrace, SplittingReadableStore, TracingReadableStore
from tests.requests.test_structure_requests import in_sequence

from ._rasters import KINDS, SIDE, TILE, pixels

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import LoggedRequest, ObjectServer

FIRST = 32 * 1024
WINDOW = Window(1100, 1100, 700, 500)
NO_SIDE_FILES = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
# What GDAL's documentation advises for COGs.
TUNED = {
    **NO_SIDE_FILES,
    "GDAL_INGESTED_BYTES_AT_OPEN": FIRST,
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "VSI_CACHE": "TRUE",
}


@pytest.fixture
def server(object_server: ObjectServer, rasters: dict[str, bytes]) -> ObjectServer:
    for name, content in rasters.items():
        object_server.put(f"bucket/f/{name}.tif", content)
    object_server.clear()
    return object_server


def drain(server: ObjectServer) -> list[LoggedRequest]:
    log = server.log()
    server.clear()
    return log


def expected(window: Window = WINDOW) -> np.ndarray:
    return pixels(3)[(slice(None), *window.toslices())]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("call", ["s3", "http", "aiohttp", "caching", "blocks", "splitting", "tracing"])
def test_windows_are_those_of_the_file(server: ObjectServer, name: str, call: str) -> None:
    inner = server.s3_store("bucket")
    stores = {
        "s3": lambda: inner,
        "http": lambda: server.http_store("bucket"),
        "aiohttp": lambda: server.aiohttp_store("bucket"),
        "caching": lambda: CachingReadableStore(inner),
        "blocks": lambda: CachingReadableStore(inner, block_size=65536),
        "splitting": lambda: SplittingReadableStore(inner, request_size=100_000),
        "tracing": lambda: TracingReadableStore(inner, RequestTrace()),
    }
    with rasterio.open(f"f/{name}.tif", opener=opener(stores[call]())) as image:
        for window in (WINDOW, Window(0, 0, 1, 1), Window(500, 300, 700, 900)):
            assert np.array_equal(image.read(window=window), expected(window))
        assert image.read(2, out_shape=(256, 256)).shape == (256, 256)


@pytest.mark.parametrize("name", ["cog", "big", "big-endian"])
def test_opening_is_one_request_and_a_window_at_most_two_batches(server: ObjectServer, name: str) -> None:
    for side, batches in ((200, 1), (700, 2)):
        options = {"opener": opener(server.s3_store("bucket"))}
        with rasterio.Env(**NO_SIDE_FILES), rasterio.open(f"f/{name}.tif", **options) as image:
            assert [(request.start, request.stop) for request in drain(server)] == [(0, FIRST)]
            server.configure(latency=0.15, gather=1)
            window = Window(1100, 1100, side, side)
            assert np.array_equal(image.read(window=window), expected(window))
        assert in_sequence(drain(server)) <= batches + 1  # where the machine is busy; tile by tile it were 4 and 16
        server.configure(latency=0, gather=0)


def test_opening_takes_less_than_gdal_itself_and_windows_of_whole_blocks_no_more(server: ObjectServer) -> None:
    sent: dict[str, int] = {}
    count: dict[str, int] = {}
    with rasterio.Env(**TUNED):
        for reader, path, options in (
            ("gdal", f"{server.url}/bucket/f/cog.tif", {}),
            ("ours", "f/cog.tif", {"opener": opener(server.s3_store("bucket"))}),
        ):
            with rasterio.open(path, **options) as image:
                count[f"{reader} open"] = len(drain(server))
                for row, column in ((4, 2), (2, 6), (6, 4)):
                    window = Window(TILE * column, TILE * row, 2 * TILE, 2 * TILE)
                    assert np.array_equal(image.read(window=window), expected(window))
            log = drain(server)
            count[reader], sent[reader] = len(log), sum(request.sent for request in log)
    assert (count["ours open"], count["gdal open"]) == (1, 2)  # GDAL sends a HEAD, too
    assert count["ours"] <= count["gdal"]
    assert sent["ours"] <= sent["gdal"]


def test_side_files_are_found_by_one_request_and_absent_ones_take_none(server: ObjectServer) -> None:
    names = ["f/a.tif", "f/a.tif.aux.xml", "f/ab.tif", "f/a/deep.tif", "f/a.tfw", "f/z.tif"]
    content = server.get("bucket/f/cog.tif")
    for name in names:
        server.put(f"bucket/{name}", METADATA if name.endswith(".xml") else content if name.endswith("tif") else b"x")
    server.clear()
    open_raster = opener(server.s3_store("bucket"))
    with rasterio.open("f/a.tif", opener=open_raster) as image:
        assert image.tags()["from"] == "side file"
    log = [(request.path, request.range_header is not None) for request in drain(server)]
    assert log == [("bucket/f/a.tif", True), ("bucket", False), ("bucket/f/a.tif.aux.xml", True)]
    with rasterio.open("f/ab.tif", opener=open_raster) as image:
        assert "from" not in image.tags()
    assert len(drain(server)) == 2
    server.put("bucket/f/ab.x.tif", content)  # named like a side file, and not there when those were listed
    with rasterio.open("f/ab.x.tif", opener=open_raster) as image:
        assert image.count == 3


METADATA = b'<PAMDataset><Metadata><MDI key="from">side file</MDI></Metadata></PAMDataset>'


@pytest.mark.parametrize("name", ["m.tif", "f/m.tif"])
@pytest.mark.parametrize("kind", ["s3", "local", "memory"])
def test_a_side_file_is_found_among_many_names(
    object_server: ObjectServer, rasters: dict[str, bytes], tmp_path: Path, kind: str, name: str
) -> None:
    stores = {
        "s3": lambda: object_server.s3_store("many"),
        "local": lambda: LocalStore(tmp_path),
        "memory": MemoryStore,
    }
    store = stores[kind]()
    for other in ("m-{}.tif", "m.{}.tif", "m{}.tif", "a{}.tif"):  # before, among and after them
        for number in range(70):
            store.put(name.replace("m.tif", other.format(number)), b"x")
    store.put(name, rasters["cog"])
    store.put(f"{name}.aux.xml", METADATA)
    with rasterio.open(name, opener=opener(store)) as image:
        assert image.tags()["from"] == "side file"


def test_looking_for_georeferencing_logs_nothing(object_server: ObjectServer, caplog: pytest.LogCaptureFixture) -> None:
    with MemoryFile() as memory:
        options = {"driver": "GTiff", "width": 8, "height": 8, "count": 1, "dtype": "uint8"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with memory.open(**options) as made:
                made.write(np.ones((1, 8, 8), dtype="uint8"))
        object_server.put("bucket/f/plain.tif", memory.read())
    object_server.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open("f/plain.tif", opener=opener(object_server.s3_store("bucket"))) as image:
            assert image.read().sum() == 64
    assert caplog.text == ""
    assert len(object_server.log()) == 2


def test_a_file_that_begins_as_the_one_before_is_opened(server: ObjectServer, rasters: dict[str, bytes]) -> None:
    for store in (server.aiohttp_store("bucket"), server.s3_store("bucket")):
        open_raster = opener(store)
        for name in ("f/cog.tif", "f/cog.tiff", "f/cog.x.tif"):
            server.put(f"bucket/{name}", rasters["cog"])
            with rasterio.open(name, opener=open_raster) as image:
                assert image.count == 3


def test_a_virtual_raster_of_files_in_another_folder(server: ObjectServer, rasters: dict[str, bytes]) -> None:
    vrt = f"""<VRTDataset rasterXSize="{SIDE}" rasterYSize="{SIDE}"><GeoTransform>0,1,0,0,0,-1</GeoTransform>
<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename relativeToVRT="1">../f/cog.tif</SourceFilename>
<SourceBand>2</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"""
    server.put("bucket/vrt/a.vrt", vrt.encode())
    with rasterio.open("vrt/a.vrt", opener=opener(server.s3_store("bucket"))) as image:
        assert np.array_equal(image.read(1, window=WINDOW), expected()[1])


ENDED_THREAD = """
import sys, threading
import rasterio
from obstore.store import LocalStore
from obspec_utils.rasterio import opener
opened = []
thread = threading.Thread(target=lambda: opened.append(rasterio.open("a.tif", opener=opener(LocalStore(sys.argv[1])))))
thread.start(); thread.join()
try:
    opened[0].read(1)
except Exception as error:
    pass
del opened
print("alive")
"""


def test_a_dataset_whose_thread_has_ended_does_not_crash_the_process(rasters: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(rasters["cog"])
    command = [sys.executable, "-c", ENDED_THREAD, str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "alive\n")


def test_errors_are_logged(server: ObjectServer, caplog: pytest.LogCaptureFixture) -> None:
    server.put("bucket/f/cog.tif.aux.xml", METADATA)
    with rasterio.open("f/cog.tif", opener=opener(server.s3_store("bucket"))) as image:
        server.add_fault("status", status=403)
        with pytest.raises(RasterioIOError):
            image.read(window=WINDOW)
    assert "Could not read 'f/cog.tif'" in caplog.text
    caplog.clear()
    server.clear_faults()
    server.add_fault("status", status=403, path="bucket/f/cog.tif.aux.xml")
    with rasterio.open("f/cog.tif", opener=opener(server.s3_store("bucket"))):
        pass
    assert "Could not open 'f/cog.tif.aux.xml'" in caplog.text


def test_an_opener_can_be_pickled(server: ObjectServer) -> None:
    copied = pickle.loads(pickle.dumps(opener(server.s3_store("bucket"), memory=1 << 20)))
    with rasterio.open("f/cog.tif", opener=copied) as image:
        assert np.array_equal(image.read(window=WINDOW), expected())


def test_etags_that_vary_can_be_left_out(server: ObjectServer) -> None:
    server.add_fault("vary_etag")
    with rasterio.open("f/cog.tif", opener=opener(server.s3_store("bucket"), check_version="size")) as image:
        assert np.array_equal(image.read(window=WINDOW), expected())
    with pytest.raises(ValueError, match="check_version must be"):
        opener(MemoryStore(), check_version="x")  # type: ignore[arg-type]


def test_without_a_list_there_are_no_side_files(server: ObjectServer) -> None:
    with rasterio.open("f/cog.tif", opener=opener(server.aiohttp_store("bucket"))) as image:
        assert image.tags(1) == {}
    assert len(server.log()) == 1


def test_a_list_that_fails_does_not_fail_the_file(server: ObjectServer) -> None:
    # The server answers nothing to WebDAV's PROPFIND.
    with rasterio.open("f/cog.tif", opener=opener(server.http_store("bucket"))) as image:
        assert np.array_equal(image.read(window=WINDOW), expected())


def test_a_cache_serves_the_second_window(server: ObjectServer) -> None:
    store = CachingReadableStore(server.s3_store("bucket"), block_size=65536)
    for count in (True, False):
        with rasterio.Env(**NO_SIDE_FILES), rasterio.open("f/cog.tif", opener=opener(store)) as image:
            assert np.array_equal(image.read(window=WINDOW), expected())
        assert bool(drain(server)) is count


@pytest.mark.parametrize("name", ["cog", "big", "strips"])
def test_a_file_that_is_replaced_is_an_error(server: ObjectServer, name: str) -> None:
    for _ in range(3):
        with rasterio.open(f"f/{name}.tif", opener=opener(server.s3_store("bucket"))) as image:
            server.put(f"bucket/f/{name}.tif", server.get(f"bucket/f/{name}.tif"))  # another ETag
            with pytest.raises(RasterioIOError):
                image.read(window=WINDOW)


def test_a_file_that_ends_early_gives_what_it_gives_on_disk(rasters: dict[str, bytes], tmp_path: Path) -> None:
    content = rasters["big"][:6_000_000]
    (tmp_path / "a.tif").write_bytes(content)
    store = MemoryStore()
    store.put("a.tif", content)

    def outcome(path: str, window: Window, **options: Any) -> Any:
        with rasterio.open(path, **options) as image:
            try:
                return image.read(window=window).tobytes()
            except RasterioIOError:
                return RasterioIOError

    windows = [Window(column, row, 200, 200) for row in range(0, SIDE, 400) for column in range(0, SIDE, 400)]
    found = [outcome("a.tif", window, opener=opener(store)) for window in windows]
    assert found == [outcome(str(tmp_path / "a.tif"), window) for window in windows]
    assert 2 < found.count(RasterioIOError) < len(found) - 2


def test_a_missing_file_is_logged_and_an_error(server: ObjectServer, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RasterioIOError):
        rasterio.open("f/none.tif", opener=opener(server.s3_store("bucket")))
    assert len(server.log()) == 1
    assert "Could not open 'f/none.tif': [Errno 2] No such object" in caplog.text


def test_writing_is_refused(server: ObjectServer, caplog: pytest.LogCaptureFixture) -> None:
    open_raster = opener(server.s3_store("bucket"))
    options: dict[str, Any] = {"driver": "GTiff", "width": 8, "height": 8, "count": 1, "dtype": "uint8"}
    with pytest.raises(RasterioIOError):
        rasterio.open("f/new.tif", "w", opener=open_raster, **options)
    assert "'f/new.tif' can't be written or removed: obspec_utils.rasterio.opener is read-only" in caplog.text
    with pytest.raises(PermissionError, match="read-only"):
        open_raster.open("f/cog.tif", "r+b")
    with pytest.raises(PermissionError, match="read-only"):
        open_raster.rm("f/cog.tif")


@pytest.mark.parametrize("store", ["s3://bucket", None, object()])
def test_what_is_no_store_is_refused(store: Any) -> None:
    with pytest.raises(TypeError, match="store"):
        opener(store)
    with pytest.raises(ValueError, match="memory must be"):
        opener(MemoryStore(), memory=0)


def test_threads_open_files_of_one_opener(server: ObjectServer) -> None:
    open_raster = opener(server.s3_store("bucket"))
    found: dict[str, bool] = {}

    def read(name: str) -> None:
        for _ in range(3):
            with rasterio.open(f"f/{name}.tif", opener=open_raster) as image:
                found[name] = np.array_equal(image.read(window=WINDOW), expected())

    threads = [threading.Thread(target=read, args=[name]) for name in KINDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == dict.fromkeys(KINDS, True)


def test_without_rasterio_the_error_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "rasterio.py").write_text("raise ImportError('not installed')")
    paths = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    command = [sys.executable, "-c", "import obspec_utils.rasterio"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths})
    assert "ImportError: opener requires rasterio 1.4 or newer: install it with `pip install" in done.stderr
