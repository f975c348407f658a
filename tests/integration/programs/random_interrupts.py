"""Interrupt reads at random moments: `random_interrupts STACK STORE SECONDS [SEED]`.

KeyboardInterrupt is raised in the main thread, a few hundred times, in whatever it does just then: reads of all kinds,
through readers and wrappers; tasks of a loop that is stopped by it; tasks that are cancelled. Meanwhile and after all
of it, other threads and later reads get the right bytes, nothing stays claimed or leased, and collection is on.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import json
import random
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

from obstore.store import LocalStore, MemoryStore

from obspec_utils._io import gc_pause
from obspec_utils._io.concurrency import limiter
from obspec_utils._io.single_flight import SingleFlight
from obspec_utils.caches import DiskCache, MemoryCache
from obspec_utils.caches.disk._leases import lease_files
from obspec_utils.readers import BufferedStoreReader, EagerStoreReader, ParallelStoreReader, open_reader
from obspec_utils.wrappers import (
    CachingReadableStore,
    CoalescingReadableStore,
    RequestTrace,
    SplittingReadableStore,
    TracingReadableStore,
)

SIZE = 300_000
CONTENT = random.Random(0).randbytes(SIZE)
PATHS = ["a", "b"]
BLOCK = 1000
HANGS_AFTER = 20  # seconds


class PythonStore:
    """A store written in Python, which waits a little."""

    def get(self, path, *, options=None):
        start, stop = (options or {}).get("range", (0, SIZE))
        stop = min(stop, SIZE)
        meta = {"path": path, "size": SIZE, "e_tag": f'"{path}"', "last_modified": datetime(2024, 1, 1, tzinfo=UTC)}
        return SimpleNamespace(
            meta={**meta, "version": None}, range=(start, stop), attributes={}, buffer=lambda: self.body(start, stop)
        )

    def body(self, start, stop):
        time.sleep(random.choice([0, 0.0001, 0.002]))
        return CONTENT[start:stop]

    def head(self, path):
        return self.get(path).meta

    async def get_async(self, path, *, options=None):
        await asyncio.sleep(0)
        result = self.get(path, options=options)

        async def buffer_async():
            await asyncio.sleep(random.choice([0, 0.0001, 0.002]))
            return CONTENT[slice(*result.range)]

        result.buffer_async = buffer_async
        return result


def stores(folder: str) -> dict[str, object]:
    memory = MemoryStore()
    for path in PATHS:
        memory.put(path, CONTENT)
        (Path(folder) / path).write_bytes(CONTENT)
    return {"memory": memory, "local": LocalStore(folder), "python": PythonStore()}


def disk(folder: str) -> list[object]:
    return [MemoryCache(SIZE), DiskCache(Path(folder) / "cache", 100 * SIZE)]


STACKS = {
    "plain": lambda store, _: store,
    "splitting": lambda store, _: SplittingReadableStore(store, request_size=20_000),
    "caching": lambda store, _: CachingReadableStore(store),
    "blocks": lambda store, _: CachingReadableStore(store, block_size=BLOCK),
    "disk": lambda store, folder: CachingReadableStore(
        store, block_size=20 * BLOCK, cache=disk(folder), namespace="interrupts"
    ),
    "coalescing": lambda store, _: CoalescingReadableStore(store, max_gap=10, max_request_size=30_000),
    "all": lambda store, _: CachingReadableStore(
        TracingReadableStore(
            SplittingReadableStore(store, request_size=20_000), RequestTrace(), on_request=lambda _: None
        ),
        block_size=10 * BLOCK,
        max_age=0,
    ),
}


def span() -> tuple[int, int]:
    start = random.randrange(SIZE)
    return start, min(SIZE, start + random.choice([1, 500, 20_000, 100_000]))


def expect(data: object, start: int = 0, stop: int = SIZE) -> None:
    if bytes(data) != CONTENT[start:stop]:  # type: ignore[call-overload]
        msg = f"wrong bytes from {start} to {stop}"
        raise AssertionError(msg)


class Reads:
    """All kinds of reads of one store. Each compares the bytes."""

    def __init__(self, store) -> None:
        self.store = store
        self.readers = [ParallelStoreReader(store, "a", 16_000, 8), BufferedStoreReader(store, "a", 8_000)]
        self.kinds = [self.eager, self.seek_and_read, self.seek_and_read, self.lines, self.open_reader, self.get]
        self.kinds += [self.get_range, self.get_range, self.chunks]
        if not isinstance(store, PythonStore):
            self.kinds += [self.get_ranges, self.head]
        if isinstance(store, CachingReadableStore):
            self.kinds += [store.clear_cache, self.prefetch]

    def any(self) -> None:
        random.choice(self.kinds)()

    def eager(self) -> None:
        expect(EagerStoreReader(self.store, random.choice(PATHS), 20_000).read())

    def seek_and_read(self) -> None:
        start, stop = span()
        reader = random.choice(self.readers)
        reader.seek(start)
        expect(reader.read(stop - start), start, stop)

    def lines(self) -> None:
        reader = BufferedStoreReader(self.store, "b", 8_000)
        expect(b"".join(reader))

    def open_reader(self) -> None:
        start, stop = span()
        with open_reader(self.store, "a", memory=random.choice([50_000, 2 * SIZE])) as reader:
            reader.seek(start)
            buffer = bytearray(stop - start)
            assert reader.readinto(buffer) == len(buffer)
            expect(buffer, start, stop)

    def get(self) -> None:
        expect(self.store.get("a").buffer())

    def chunks(self) -> None:
        result = self.store.get("b")
        expect(b"".join(result.stream(30_000)) if hasattr(result, "stream") else result.buffer())

    def get_range(self) -> None:
        start, stop = span()
        if hasattr(self.store, "get_range"):
            try:
                expect(self.store.get_range("a", start=start, end=stop), start, stop)
            except AttributeError:  # the innermost store has no such method
                expect(self.store.get("a", options={"range": (start, stop)}).buffer(), start, stop)

    def get_ranges(self) -> None:
        spans = [span() for _ in range(3)]
        with suppress(AttributeError):
            bodies = self.store.get_ranges("a", starts=[it[0] for it in spans], ends=[it[1] for it in spans])
            for body, (start, stop) in zip(bodies, spans, strict=True):
                expect(body, start, stop)

    def head(self) -> None:
        assert self.store.head("a")["size"] == SIZE

    def prefetch(self) -> None:
        assert self.store.prefetch(PATHS) == {} or self.store.cache_info()

    async def any_async(self) -> None:
        start, stop = span()
        for _ in range(3):
            if random.random() < 0.5 and isinstance(self.store, CachingReadableStore):
                self.store.clear_cache()
            result = await self.store.get_async(random.choice(PATHS), options={"range": (start, stop)})
            expect(await result.buffer_async(), start, stop)
        expect(await (await self.store.get_async("a")).buffer_async())
        if isinstance(self.store, CoalescingReadableStore):
            spans = [(start, start + 7) for start in range(0, SIZE - 7, 20_000) for start in (start, start + 7)]
            for task in [asyncio.ensure_future(self.range_async(*span)) for span in spans]:
                await task

    async def range_async(self, start: int, stop: int) -> None:
        expect(await self.store.get_range_async("a", start=start, end=stop), start, stop)


class Interrupts:
    """KeyboardInterrupt in the main thread at a random moment of a function that is called again and again."""

    def __init__(self) -> None:
        self.armed = False
        self.count = 0
        signal.signal(signal.SIGALRM, self.raise_once)

    def raise_once(self, *_: object) -> None:
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt

    def during(self, function) -> None:
        try:
            self.call_until_interrupted(function)
        except KeyboardInterrupt:
            self.count += 1

    def call_until_interrupted(self, function) -> None:
        self.armed = True
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.005))
        while self.armed:  # also where the interrupt was swallowed, as by a finalizer
            function()


def in_another_thread(function) -> None:
    """Call a function in a thread that no interrupt reaches; end the process if it hangs."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            done.set_result(function())
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        done.result(HANGS_AFTER)
    except TimeoutError:
        faulthandler.dump_traceback(all_threads=True)
        sys.exit("a read in another thread hangs")


def interrupt_a_loop(interrupts: Interrupts, reads: Reads) -> None:
    """Stop a loop in the middle of its tasks for good, and cancel some of them before."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)

    async def many() -> None:
        tasks = [asyncio.ensure_future(reads.any_async()) for _ in range(6)]
        await asyncio.sleep(random.choice([0, 0.001]))
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    interrupts.during(lambda: loop.run_until_complete(many()))
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False
    loop.close()


def is_over(seconds: float, condition) -> bool:
    give_up = time.monotonic() + seconds
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.01)
    return condition()


def claims() -> list[object]:
    holders = [reference() for reference in gc_pause._to_reset]
    tables = [it._claims for it in holders if isinstance(it, SingleFlight)]
    return [claim for table in tables for claim in table.values() if not claim.is_lost]


def leases() -> list[object]:
    return [file.held for file in lease_files._files.values() if file.held]


def main(stack: str, kind: str, seconds: str, seed: str = "") -> None:
    random.seed(int(seed or time.time_ns()))
    faulthandler.enable()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        reads = Reads(STACKS[stack](stores(str(data))[kind], folder))
        interrupts = Interrupts()
        end = time.monotonic() + float(seconds)
        stop = threading.Event()

        def read_on() -> None:
            others = Reads(reads.store)
            while not stop.is_set():
                others.any()
                stop.wait(0.001)

        with ThreadPoolExecutor(1) as pool:
            reading_on = pool.submit(read_on)
            try:
                while time.monotonic() < end:
                    for _ in range(5):
                        interrupts.during(reads.any)
                    interrupt_a_loop(interrupts, reads)
                    in_another_thread(reads.get)
                    in_another_thread(reads.get_range)
                    asyncio.run(asyncio.wait_for(reads.any_async(), HANGS_AFTER))
            finally:
                stop.set()
            reading_on.result(HANGS_AFTER)
        # What tasks of closed loops hold goes with them, once obstore has done what they wait for.
        assert is_over(HANGS_AFTER, lambda: (gc.collect(), not limiter.in_use)[1]), f"{limiter.in_use} helpers at work"
        assert is_over(0.2, gc.isenabled), "collection is off"
        assert is_over(1, lambda: not claims()), f"claimed for ever: {claims()}"
        if stack == "disk":
            reads.store._tiers.lease({}, None)  # as the next caller does, whatever it is for
        assert is_over(2, lambda: not leases()), f"leased for ever: {leases()}"
        sys.stdout.write(json.dumps({"interrupts": interrupts.count}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
