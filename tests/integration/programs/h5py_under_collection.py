"""Read HDF5 files while the collector runs all the time: `h5py_under_collection SCENE [unguarded]`.

h5py holds its global lock while it reads from a file object. A finalizer of an h5py object wants that lock. So if a
read waits for a thread in which the collector runs such a finalizer, neither moves again. The thresholds make the
collector run every few allocations, and the cycles give it h5py objects to finalize; `unguarded` takes the pause of
collection away, which shows whether a scene could hang at all.
"""

from __future__ import annotations

import faulthandler
import gc
import io
import pickle
import sys
import tempfile
import threading
import time
from collections import deque
from types import SimpleNamespace

import h5py
import numpy as np

from obspec_utils._io import interruptible, progress
from obspec_utils.caches import DiskCache, MemoryCache
from obspec_utils.fsspec import ObspecFileSystem
from obspec_utils.readers import BufferedStoreReader, EagerStoreReader, _blocks, _fetcher
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore
from tests.integration.readers import PIECE, SMALL_READERS
from tests.servers import ObjectServer

SECONDS = 1.0
# Without the pause a scene gets more time to hang: it is a matter of which thread the collector happens to run in.
SECONDS_UNGUARDED = 3.0
GUARDED = "unguarded" not in sys.argv
FILES = [f"file{number}.h5" for number in range(3)]
DATASETS = 20


def make_file() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for number in range(DATASETS):
            file.create_dataset(f"d{number}", data=np.arange(4_000.0))
    return buffer.getvalue()


class Cycle:
    """Keeps what it holds until the collector runs."""

    def __init__(self, *held: object) -> None:
        self.held = (self, *held)


# The last few cycles live on, and so grow old: what is old is collected rarely, in whatever thread it is due.
RECENT: deque[Cycle] = deque(maxlen=8)


class LitteringStore:
    """A store in Python, which waits a little and allocates what makes the collector run in the thread that asks."""

    def __init__(self, content: bytes, seconds: float = 0.0005) -> None:
        self.content = content
        self.seconds = seconds

    def wait(self) -> None:
        time.sleep(self.seconds)
        for _ in range(200):
            litter = []
            litter.append(litter)

    def pieces(self, body, min_chunk_size):
        for start in range(0, len(body), min_chunk_size):
            self.wait()
            yield body[start : start + min_chunk_size]

    def get(self, path, *, options=None):
        self.wait()
        start, stop = (options or {}).get("range", (0, len(self.content)))
        body = self.content[start:stop]
        span = (start, start + len(body))
        meta = {"path": path, "size": len(self.content), "e_tag": "1", "last_modified": None, "version": None}
        return SimpleNamespace(
            meta=meta,
            range=span,
            attributes={},
            buffer=lambda: body,
            stream=lambda min_chunk_size: self.pieces(body, min_chunk_size),
        )

    def get_range(self, path, *, start, end):
        return self.get(path, options={"range": (start, end)}).buffer()

    def __reduce__(self):
        return LitteringStore, (self.content, self.seconds)


def read_through_h5py(reader) -> None:
    """Read some datasets, whole and in part, and leave h5py objects to the collector."""
    file = h5py.File(reader, "r")
    for name in list(file)[::4]:
        RECENT.append(Cycle(file[name], file["/"], file.attrs))
        assert file[name][...].sum() == 7_998_000.0
        assert file[name][1_500] == 1_500.0
    RECENT.append(Cycle(file))


def until_time_is_up(work) -> None:
    end = time.monotonic() + (SECONDS if GUARDED else SECONDS_UNGUARDED)
    while time.monotonic() < end:
        work()


def in_threads(*works) -> None:
    failures = []

    def run(work) -> None:
        try:
            until_time_is_up(work)
        except BaseException as failure:  # noqa: BLE001 - raised again below
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def unloaded(reader):
    """Return a reader that fetches on its first read, which is under h5py: the eager one otherwise does so before."""
    return pickle.loads(pickle.dumps(reader))


def one_reader(name: str, store) -> None:
    """Every read of several pieces is fetched by threads."""
    _blocks.REQUEST_SIZE = _fetcher.REQUEST_SIZE = PIECE
    until_time_is_up(lambda: read_through_h5py(unloaded(SMALL_READERS[name](store, FILES[0]))))


def stream_through(store) -> None:
    """Read all datasets in the order of their places, which are one response after the other."""
    reader = BufferedStoreReader(store, FILES[0], buffer_size=4 * PIECE)
    file = h5py.File(reader, "r")
    for name in (f"d{number}" for number in range(DATASETS)):
        RECENT.append(Cycle(file[name], file["/"], file.attrs))
        assert file[name][...].sum() == 7_998_000.0
    assert reader._strategy._response_stop > reader.size // 2, (reader._strategy._response_stop, reader.size)
    RECENT.append(Cycle(file))


CACHES = ("caching", "caching-splitting", "blocks", "disk")


def caches(kind: str, store=None) -> CachingReadableStore:
    """Return a cache that has room for one of the files only, so that there are flights all the time."""
    content = make_file()
    store = LitteringStore(content, seconds=0.001) if store is None else store
    if kind == "caching-splitting":
        store = SplittingReadableStore(store, request_size=len(content) // 4)
    if kind == "blocks":
        return CachingReadableStore(store, max_size=len(content) // 2, block_size=PIECE)
    if kind == "disk":
        disk = DiskCache(tempfile.mkdtemp(), max_size=len(content))  # too small as well
        memory = MemoryCache(len(content) // 4)
        return CachingReadableStore(store, block_size=PIECE, cache=[memory, disk], namespace="scene")
    return CachingReadableStore(store, max_size=len(content) + 1)


def two_threads(kind: str, origin=None) -> None:
    """Both read files under h5py, and open them by reading something without it."""
    store = caches(kind, origin)

    def read(name: str) -> None:
        for path in FILES:
            read_through_h5py(SMALL_READERS[name](store, path))

    in_threads(lambda: read("parallel-small"), lambda: read("eager-small"))


def joined_flight(kind: str) -> None:
    """One thread leads flights without h5py, which reads under h5py in the other thread join."""
    store = caches(kind)

    def lead() -> None:
        store.clear_cache()
        store.get(FILES[0]).buffer()

    in_threads(lead, lambda: read_through_h5py(SMALL_READERS["buffered-small"](store, FILES[0])))


def beside_the_loop_of_fsspec(kind: str, url: str) -> None:
    """One thread reads by tasks of fsspec's loop, what the other one opens by fsspec and reads under h5py."""
    fs = ObspecFileSystem(caches(kind, s3_store(url)), reader=SMALL_READERS["parallel-small"])
    size = len(make_file())

    def by_tasks() -> None:
        for path in FILES:
            assert len(fs.cat_file(path)) == size
            assert list(map(len, fs.cat_ranges([path] * 3, [0, 50_000, -10], [10, 60_000, None]))) == [10, 10_000, 10]

    in_threads(by_tasks, lambda: [read_through_h5py(fs.open(path)) for path in FILES])


OPEN: list[h5py.File] = []


def show(done: int, total: int | None) -> None:
    """Wait for h5py's lock, and leave h5py objects and cycles to the collector, as a callback for progress may."""
    assert done <= total
    RECENT.append(Cycle(OPEN[0]["d0"], [[] for _ in range(100)]))
    gc.collect(0)


def with_progress(load) -> None:
    """One thread loads objects without h5py; another reads them under h5py and joins its fetches."""
    interruptible.COLLECTION_INTERVAL = progress.INTERVAL = 0.001
    content = make_file()
    OPEN.append(h5py.File(io.BytesIO(content), "r"))
    part = len(content) // 4
    below = SplittingReadableStore(LitteringStore(content, seconds=0.001), request_size=part, progress=show)
    store = CachingReadableStore(below, max_size=len(content) + 1)

    def read() -> None:
        for path in FILES:
            read_through_h5py(unloaded(EagerStoreReader(store, path, part, progress=show)))

    in_threads(lambda: load(store), read)
    OPEN.clear()


def load_eagerly(store) -> None:
    for path in FILES:
        EagerStoreReader(store._store, path, progress=show)
        EagerStoreReader(store, path, progress=show)


def prefetch_files(store) -> None:
    store.clear_cache()
    store.prefetch(FILES[:1], progress=show)


def progress_in_the_main_thread() -> None:
    interruptible.COLLECTION_INTERVAL = progress.INTERVAL = 0.001
    content = make_file()
    OPEN.append(h5py.File(io.BytesIO(content), "r"))
    store = LitteringStore(content, seconds=0.001)
    part = len(content) // 4
    until_time_is_up(lambda: read_through_h5py(unloaded(EagerStoreReader(store, FILES[0], part, progress=show))))
    OPEN.clear()


def s3_store(url: str):
    return ObjectServer(url).s3_store("collected")


def aiohttp_store(url: str):
    return ObjectServer(url).aiohttp_store("collected")


def take_the_pause_away() -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith("obspec_utils") and hasattr(module, "paused"):
            module.paused = lambda function, *args: function(*args)
        if name.startswith("obspec_utils") and hasattr(module, "paused_here"):
            module.paused_here = lambda _, function, *args: function(*args)


SCENES = {
    **{f"python {name}": lambda _, name=name: one_reader(name, LitteringStore(make_file())) for name in SMALL_READERS},
    **{f"s3 {name}": lambda url, name=name: one_reader(name, s3_store(url)) for name in SMALL_READERS},
    **{f"aiohttp {name}": lambda url, name=name: one_reader(name, aiohttp_store(url)) for name in SMALL_READERS},
    "python stream": lambda _: until_time_is_up(lambda: stream_through(LitteringStore(make_file()))),
    "s3 stream": lambda url: until_time_is_up(lambda: stream_through(s3_store(url))),
    "aiohttp stream": lambda url: until_time_is_up(lambda: stream_through(aiohttp_store(url))),
    "aiohttp two-threads": lambda url: two_threads("blocks", aiohttp_store(url)),
    "fsspec caching": lambda url: beside_the_loop_of_fsspec("caching", url),
    "fsspec blocks": lambda url: beside_the_loop_of_fsspec("blocks", url),
    "progress main": lambda _: progress_in_the_main_thread(),
    "progress eager": lambda _: with_progress(load_eagerly),
    "progress prefetch": lambda _: with_progress(prefetch_files),
    **{f"two-threads {kind}": lambda _, kind=kind: two_threads(kind) for kind in CACHES},
    **{f"joined-flight {kind}": lambda _, kind=kind: joined_flight(kind) for kind in CACHES},
}

if __name__ == "__main__":
    scene, url = sys.argv[1:3]
    if not GUARDED:
        take_the_pause_away()
    faulthandler.dump_traceback_later(15 * SECONDS if GUARDED else 2 * SECONDS_UNGUARDED, exit=True)
    collected = sum(stats["collections"] for stats in gc.get_stats())
    gc.set_threshold(50, 2, 2)
    SCENES[scene](url)
    sys.stdout.write(f"{sum(stats['collections'] for stats in gc.get_stats()) - collected}\n")
    RECENT.clear()
    gc.collect()  # files left to the interpreter's shutdown crash HDF5 there
