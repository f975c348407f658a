"""Reads under h5py don't deadlock with the collector, and the collector is not starved by reads."""

from __future__ import annotations

import gc
import threading
from types import SimpleNamespace

import pytest

from obspec_utils.wrappers import CachingReadableStore
from tests.integration.programs.h5py_under_collection import FILES, SCENES, make_file
from tests.integration.programs.running import run

FLIGHTS = 3_000


@pytest.fixture
def url(object_server):
    for name in FILES:
        object_server.put(f"collected/{name}", make_file())
    return object_server.url


@pytest.mark.parametrize("scene", SCENES)
def test_reading_goes_on_while_the_collector_runs_all_the_time(url, scene):
    ended = run("h5py_under_collection", scene, url)
    collections = ended.result()
    assert collections > 20


@pytest.mark.slow
@pytest.mark.parametrize("scene", ["python block-small", "joined-flight caching"])
def test_without_the_pause_the_same_program_deadlocks(url, scene):
    ended = run("h5py_under_collection", scene, url, "unguarded")
    assert ended.status == 1
    assert "Timeout" in ended.errors
    assert "readinto" in ended.errors


class LeapfrogStore:
    """A store whose gets end when the next one has begun, so that there is no moment without a flight."""

    def __init__(self) -> None:
        self.begun = [threading.Event() for _ in range(FLIGHTS + 1)]
        self.begun[FLIGHTS].set()
        self.most_uncollected = 0

    def get(self, path, *, options=None):
        number = int(path)
        for _ in range(20):
            litter = []
            litter.append(litter)
        self.most_uncollected = max(self.most_uncollected, gc.get_count()[0])
        self.begun[number].set()
        self.begun[number + 1].wait()
        meta = {"path": path, "size": 1, "e_tag": "1", "last_modified": None, "version": None}
        return SimpleNamespace(meta=meta, range=(0, 1), attributes={}, buffer=lambda: b"x")


def test_the_collector_keeps_up_with_flights_that_never_stop_overlapping():
    store = LeapfrogStore()
    cached = CachingReadableStore(store, max_size=100)
    collected = [stats["collections"] for stats in gc.get_stats()]

    def fly(first: int) -> None:
        for number in range(first, FLIGHTS, 2):
            cached.get(str(number)).buffer()

    threads = [threading.Thread(target=fly, args=(first,)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    more = [stats["collections"] - before for stats, before in zip(gc.get_stats(), collected, strict=True)]
    assert gc.isenabled()
    assert sum(more) > FLIGHTS * 20 / gc.get_threshold()[0] / 2
    assert store.most_uncollected < 3 * gc.get_threshold()[0]
