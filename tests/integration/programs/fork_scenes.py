"""Fork at moments that matter: `fork_scenes SCENE URL`. Prints what the child saw, as one line of JSON."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from obstore.store import MemoryStore

from obspec_utils import glob
from obspec_utils.readers import BufferedStoreReader, ParallelStoreReader, open_reader
from obspec_utils.wrappers import CachingReadableStore, CoalescingReadableStore
from tests.integration.programs.fork_after_io import in_fork, outcome, show
from tests.integration.programs.fork_cases import BUCKET, CONTENT, PATH, PythonStore
from tests.integration.work import process_files
from tests.servers import ObjectServer

LARGE = "large"
PATTERN_ONE_PATHS = ["file1.nc", "file2.nc", "file3.nc", "file4.nc"]


def s3_store(url):
    return ObjectServer(url).s3_store(BUCKET)


def after_the_first_call(url) -> None:
    """Fork at once after obstore's very first call, when its threads have hardly started."""
    store = s3_store(url)
    MemoryStore().put(PATH, b"content")
    in_fork(lambda: show(outcome(ParallelStoreReader(store, PATH).read)))


def in_the_middle_of_a_listing(url) -> None:
    listing = glob(s3_store(url), "more/*.bin")
    next(listing)
    in_fork(lambda: show(outcome(lambda: "".join(listing).encode())))


def in_the_middle_of_a_response(url) -> None:
    """Fork readers that have read the beginning of a response, and read on in the child."""
    make = [
        lambda: ParallelStoreReader(s3_store(url), LARGE),
        lambda: BufferedStoreReader(s3_store(url), LARGE),
        lambda: open_reader(s3_store(url), LARGE, memory=1 << 20),
    ]
    readers = [reader() for reader in make for _ in range(3)]
    for reader in readers:
        reader.read(10)
    lengths = [10, 1_000_000, 20_000_000] * len(make)  # within what was received, in the response, and beyond it
    reads = list(zip(readers, lengths, strict=True))
    in_fork(lambda: show([outcome(lambda reader=reader, n=n: reader.read(n)[:1]) for reader, n in reads]))


class HeldStore(PythonStore):
    """A store whose first get waits."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go_on = threading.Event()

    def get(self, path, *, options=None):
        if not self.asked.is_set():
            self.asked.set()
            self.go_on.wait()
        return super().get(path, options=options)


def in_the_middle_of_a_flight(url) -> None:
    """Fork while another thread fetches, collection is paused and a flight is under way."""
    store = HeldStore()
    cached = CachingReadableStore(store)
    leader = threading.Thread(target=cached.get, args=(PATH,))
    leader.start()
    store.asked.wait()
    paused = not gc.isenabled()

    def child() -> None:
        collects = gc.isenabled()
        got = outcome(lambda: cached.get(PATH).buffer())
        show({"paused_in_parent": paused, "collects": collects, "got": got, "still_collects": gc.isenabled()})

    in_fork(child)
    store.go_on.set()
    leader.join()


def in_the_middle_of_a_turn(url) -> None:
    """Fork while an event loop in another thread has coalesced requests in flight and others to be planned."""
    store = HeldStore()

    async def get_async(path, *, options=None):
        result = await asyncio.to_thread(store.get, path, options=options)
        result.buffer_async = partial(asyncio.to_thread, result.buffer)
        return result

    store.get_async = get_async
    coalescing = CoalescingReadableStore(store)

    async def read() -> bytes:
        starts = range(0, 100, 10)
        found = await asyncio.gather(*(coalescing.get_range_async(PATH, start=at, length=10) for at in starts))
        return b"".join(bytes(memoryview(one)) for one in found)

    reading = threading.Thread(target=lambda: read_here.append(asyncio.run(read())))
    read_here: list[bytes] = []
    reading.start()
    store.asked.wait()
    in_fork(lambda: show(outcome(lambda: asyncio.run(read()))))
    store.go_on.set()
    reading.join()
    assert read_here == [CONTENT[:100]]


def before_any_read(url, executor=ProcessPoolExecutor) -> None:
    """The caching architecture's pattern 1, as it is written there."""
    store = s3_store(url)
    cached_store = CachingReadableStore(store, max_size=512 * 1024 * 1024)
    partitions = [PATTERN_ONE_PATHS[:2], PATTERN_ONE_PATHS[2:]]
    with executor(max_workers=2) as pool:
        futures = [pool.submit(process_files, cached_store, partition) for partition in partitions]
        results = [future.result() for future in futures]
    assert os.getpid() not in {result["process"] for result in results}
    show(results)


SCENES = {
    "first-call": after_the_first_call,
    "listing": in_the_middle_of_a_listing,
    "response": in_the_middle_of_a_response,
    "flight": in_the_middle_of_a_flight,
    "turn": in_the_middle_of_a_turn,
    "pattern-one": before_any_read,
    "pattern-one-fork": lambda url: before_any_read(
        url, lambda max_workers: ProcessPoolExecutor(max_workers, mp_context=get_context("fork"))
    ),
}

if __name__ == "__main__":
    SCENES[sys.argv[1]](sys.argv[2])
