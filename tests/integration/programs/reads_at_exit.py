"""Read while the process ends: `reads_at_exit MOMENT URL FOLDER`.

Prints, as one line of JSON for each case, its name and what became of it: a digest of what was read, or the error.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import json
import sys
import threading
from functools import partial
from pathlib import Path
from types import ModuleType

from obspec_utils import glob
from obspec_utils.caches import DiskCache, MemoryCache
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore
from tests.integration.programs.fork_cases import PythonStore
from tests.integration.programs.fork_scenes import HeldStore
from tests.integration.readers import SMALL_READERS
from tests.integration.work import digest
from tests.servers import ObjectServer

BUCKET = "exits"
PATH = "data.bin"
PIECE = 16_384


def read_all(reader, store) -> bytes:
    with reader(store, PATH) as file:
        return file.read()


async def get_async(store) -> bytes:
    return await (await store.get_async(PATH)).buffer_async()


async def get_ranges_async(store) -> bytes:
    return b"".join(await store.get_ranges_async(PATH, starts=[0, 3 * PIECE], ends=[3 * PIECE, 4 * PIECE]))


async def prefetch_async(store) -> bytes:
    assert await store.prefetch_async([PATH]) == {}
    return await get_async(store)


def prefetch(store) -> bytes:
    assert store.prefetch([PATH]) == {}
    return store.get(PATH).buffer()


def through_async(call, store) -> bytes:
    return asyncio.run(call(store))


def caching(native, folder, **options):
    cache = [MemoryCache(2**20), DiskCache(folder, 2**24)]
    return CachingReadableStore(SplittingReadableStore(native, request_size=PIECE), cache=cache, **options)


STORES = {
    "bare": lambda native, _: native,
    "splitting": lambda native, _: SplittingReadableStore(native, request_size=PIECE),
    "caching": lambda native, _: CachingReadableStore(SplittingReadableStore(native, request_size=PIECE)),
    "blocks": lambda native, _: CachingReadableStore(native, block_size=PIECE),
    "disk": caching,
    "disk-blocks": partial(caching, block_size=PIECE),
}
CALLS = {
    **{name: partial(read_all, reader) for name, reader in SMALL_READERS.items()},
    "get": lambda store: store.get(PATH).buffer(),
    "glob": lambda store: store.get(next(glob(store, "*.bin"))).buffer(),
    "prefetch": prefetch,
}
ASYNC_CALLS = {
    name: partial(through_async, call)
    for name, call in {
        "get_async": get_async,
        "get_ranges_async": get_ranges_async,
        "prefetch_async": prefetch_async,
    }.items()
}


def cases(url: str, folder: str, calls: dict) -> dict:
    """Return what is tried, by name; each has a store of its own, and returns all bytes of the object."""
    native = ObjectServer(url).s3_store(BUCKET)
    return {
        f"{kind} {name}": partial(call, make(native, Path(folder, f"{kind} {name}")))
        for kind, make in STORES.items()
        for name, call in calls.items()
        if "prefetch" not in name or "caching" in kind or "disk" in kind or kind == "blocks"
    }


def warmed(url: str, folder: str, calls: dict) -> dict:
    """Return the cases when each has run once, as nothing can be imported any more while the interpreter ends."""
    for case in cases(url, f"{folder}/before", calls).values():
        case()
    return cases(url, f"{folder}/cold", calls)


def tell(found: dict) -> None:
    for name, case in found.items():
        try:
            outcome = digest(case())
        except Exception as error:  # noqa: BLE001 - whatever it was, it is what is told
            outcome = f"{type(error).__name__}: {error}"
        sys.stdout.write(json.dumps([name, outcome]) + "\n")
        sys.stdout.flush()


def all_cases(url: str, folder: str) -> dict:
    return cases(url, folder, {**CALLS, **ASYNC_CALLS})


class Last:
    """Deleted while the interpreter ends, whatever this module's functions, or threads that run them, hold."""

    def __init__(self, found: dict) -> None:
        self.found = found
        holder = ModuleType("holder")
        holder.last = self
        sys.modules["holder"] = holder

    def __del__(self) -> None:
        assert sys.is_finalizing()
        tell(self.found)


def stop_in_thread(act) -> None:
    """Do something in a daemon thread that never gets further."""
    done = threading.Event()

    def run() -> None:
        act()
        done.set()
        threading.Event().wait()

    threading.Thread(target=run, daemon=True).start()
    done.wait()


def hold_all_locks() -> None:
    for holder in gc.get_objects():
        if str(type(holder).__module__).startswith("obspec_utils"):  # types of Cython have other things there
            for name in ("_lock", "lock"):
                lock = getattr(holder, name, None)
                if lock is not None:
                    lock.acquire()


def in_del_beside_locks(url: str, folder: str) -> None:
    """Read what a thread was in the middle of changing when the interpreter began to end."""
    opened = SMALL_READERS["parallel-small"](ObjectServer(url).s3_store(BUCKET), PATH)
    assert opened.read(1)
    opened.seek(0)
    Last({**warmed(url, folder, CALLS), "opened reader": opened.read})
    stop_in_thread(hold_all_locks)


SHARING = {
    "whole": lambda store, _: CachingReadableStore(store),
    "blocks": lambda store, _: CachingReadableStore(store, block_size=PIECE),
    "disk": lambda store, folder: CachingReadableStore(store, cache=DiskCache(folder, 2**24), namespace="held"),
}


def in_del_beside_fetches(_: str, folder: str) -> None:
    """Read what a thread was fetching when the interpreter began to end."""
    found = {}
    for name, make in SHARING.items():
        make(PythonStore(), f"{folder}/before").get(PATH).buffer()  # nothing can be imported later
        held = HeldStore()
        store = make(held, f"{folder}/{name}")
        threading.Thread(target=store.get, args=(PATH,), daemon=True).start()
        held.asked.wait()
        found[name] = lambda store=store: store.get(PATH).buffer()
    Last(found)


def in_thread_at_exit(url: str, folder: str) -> None:
    """Read in a daemon thread that an exit handler waits for."""
    found = all_cases(url, folder)
    go, done = threading.Event(), threading.Event()

    def run() -> None:
        go.wait()
        tell(found)
        done.set()

    def at_exit() -> None:
        go.set()
        done.wait()

    threading.Thread(target=run, daemon=True).start()
    atexit.register(at_exit)


def in_thread_that_outlives_the_main_thread(url: str, folder: str) -> None:
    found = all_cases(url, folder)

    def run() -> None:
        threading.main_thread().join()
        tell(found)

    threading.Thread(target=run).start()


MOMENTS = {
    "del": lambda url, folder: Last(warmed(url, folder, CALLS)),
    "del-locks": in_del_beside_locks,
    "del-fetches": in_del_beside_fetches,
    "atexit": lambda url, folder: atexit.register(tell, all_cases(url, folder)),
    "atexit-thread": in_thread_at_exit,
    "outliving-thread": in_thread_that_outlives_the_main_thread,
}

if __name__ == "__main__":
    MOMENTS[sys.argv[1]](*sys.argv[2:])
