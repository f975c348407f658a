"""`share="process"`: the copies of a store share one memory cache in each process that unpickles them."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import pickle
import weakref
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from obstore.store import LocalStore, S3Store

import obspec_utils.wrappers._wrapper
from obspec_utils.wrappers import CachingReadableStore, RequestTrace, SplittingReadableStore, TracingReadableStore
from obspec_utils.wrappers.caching import _process_caches
from obspec_utils.wrappers.caching._process_caches import PROCESS_CACHES, ProcessCaches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import ObjectServer

CONTENT = bytes(range(250)) * 400


@pytest.fixture
def server(object_server: ObjectServer) -> ObjectServer:
    object_server.put("bucket/a", CONTENT)
    object_server.clear()
    return object_server


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have this process be another than the one that made the pickles, and no thread look after it."""
    monkeypatch.setattr(PROCESS_CACHES, "_free_unused", lambda: None)
    yield
    PROCESS_CACHES._reset_after_fork()


def caching(server: ObjectServer, **options: Any) -> CachingReadableStore:
    return CachingReadableStore(server.s3_store("bucket"), share="process", **options)


def travelled(store: Any) -> bytes:
    """Return the pickle of a store, and have this process be another one than that which made it."""
    data = pickle.dumps(store)
    PROCESS_CACHES._reset_after_fork()
    return data


pytestmark = pytest.mark.usefixtures("elsewhere")


def read(store: Any) -> bytes:
    return bytes(store.get_range("a", start=5, length=10))


@pytest.mark.parametrize("options", [{}, {"block_size": 4096}, {"max_age": 3600}])
def test_copies_share_one_cache(server: ObjectServer, options: dict[str, Any]) -> None:
    data = travelled(caching(server, **options))
    copies = [pickle.loads(data) for _ in range(30)]
    assert [read(each) for each in copies] == [CONTENT[5:15]] * 30
    assert len(server.log()) == 1
    assert copies[0].cached_paths == copies[29].cached_paths == ["a"]
    assert copies[7].cache_info().hits == 29
    assert read(pickle.loads(pickle.dumps(copies[0]))) == CONTENT[5:15]
    assert len(server.log()) == 1


def test_a_copy_shares_while_others_come_and_go(server: ObjectServer) -> None:
    data = travelled(caching(server))
    for _ in range(10):
        assert read(pickle.loads(data)) == CONTENT[5:15]
        gc.collect()
    assert len(server.log()) == 1


def test_stacks_share_the_cache_inside(server: ObjectServer) -> None:
    data = travelled(TracingReadableStore(SplittingReadableStore(caching(server)), RequestTrace()))
    for _ in range(3):
        assert read(pickle.loads(data)) == CONTENT[5:15]
    assert len(server.log()) == 1


def test_in_the_process_that_made_it_each_copy_starts_empty(server: ObjectServer) -> None:
    store = caching(server)
    for other in (copy.copy(store), pickle.loads(pickle.dumps(store)), copy.deepcopy(store)):
        assert read(store) == read(other)
        assert other.cache_info().misses == 1
    assert len(PROCESS_CACHES) == 0


def test_without_share_each_copy_starts_empty(server: ObjectServer) -> None:
    data = travelled(CachingReadableStore(server.s3_store("bucket")))
    assert [read(pickle.loads(data)) for _ in range(3)] == [CONTENT[5:15]] * 3
    assert len(server.log()) == 3


def test_a_copy_made_by_copy_shares_with_none(server: ObjectServer) -> None:
    one = pickle.loads(travelled(caching(server)))
    other = copy.copy(one)
    assert read(one) == read(other) == CONTENT[5:15]
    assert len(server.log()) == 2
    data = travelled([one, other])
    assert [read(each) for each in pickle.loads(data) + pickle.loads(data)] == [CONTENT[5:15]] * 4
    assert len(server.log()) == 4  # one for each of the two


def test_two_stores_share_nothing(server: ObjectServer) -> None:
    for each in pickle.loads(travelled([caching(server), caching(server)])):
        assert read(each) == CONTENT[5:15]
    assert len(server.log()) == 2


def test_clearing_detaches_that_copy_alone(server: ObjectServer) -> None:
    data = travelled(caching(server))
    one, other, third = (pickle.loads(data) for _ in range(3))
    assert read(one) == CONTENT[5:15]
    one.clear_cache()
    assert (one.cached_paths, other.cached_paths) == ([], ["a"])
    with third:
        assert third.cached_paths == ["a"]
    assert (third.cached_paths, other.cached_paths) == ([], ["a"])
    assert read(one) == CONTENT[5:15]
    assert len(server.log()) == 2
    assert read(pickle.loads(data)) == CONTENT[5:15]
    assert len(server.log()) == 2


@pytest.mark.parametrize("detached", [False, True])
def test_what_one_copy_changes_is_invalidated_for_all(server: ObjectServer, *, detached: bool) -> None:
    data = travelled(caching(server))
    one, other = pickle.loads(data), pickle.loads(data)
    assert read(one) == read(other) == CONTENT[5:15]
    if detached:
        one.clear_cache()
    one.put("a", CONTENT[::-1])
    assert read(other) == read(one) == CONTENT[::-1][5:15]


def test_a_cache_without_copies_is_freed_after_a_minute(server: ObjectServer) -> None:
    one = pickle.loads(travelled(caching(server)))
    read(one)
    values = weakref.ref(one._entries)
    now = 1000.0
    assert PROCESS_CACHES._free(now + 500)  # used
    del one
    gc.collect()
    assert PROCESS_CACHES._free(now)
    assert PROCESS_CACHES._free(now + 59.9)
    assert values() is not None
    assert not PROCESS_CACHES._free(now + 60)
    gc.collect()
    assert values() is None
    assert len(PROCESS_CACHES) == 0


def test_a_cache_that_is_used_again_is_kept(server: ObjectServer) -> None:
    data = travelled(caching(server))
    read(pickle.loads(data))
    gc.collect()
    assert PROCESS_CACHES._free(1000.0)
    again = pickle.loads(data)
    assert PROCESS_CACHES._free(1100.0)
    assert read(again) == CONTENT[5:15]
    del again
    gc.collect()
    assert PROCESS_CACHES._free(1200.0)  # counts from now on
    read(pickle.loads(data))  # lives and dies between two looks
    gc.collect()
    assert PROCESS_CACHES._free(1270.0)
    assert len(server.log()) == 1


def test_one_thread_looks_after_all_caches_and_ends_with_them(
    server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_process_caches, "_STEP", 0.02)
    monkeypatch.setattr(_process_caches, "KEEP", 0.0)
    caches = ProcessCaches()
    keys = [ProcessCaches().new_key() for _ in range(3)]
    joined = [caches.join(key, dict) for key in keys for _ in range(2)]
    thread = next(t for t in _process_caches.threading.enumerate() if t.name.endswith("process-caches"))
    assert len(caches) == 3
    joined.clear()
    gc.collect()
    thread.join(30)
    assert (thread.is_alive(), len(caches)) == (False, 0)
    assert server.log() == []


def test_without_a_thread_a_copy_works_and_the_next_one_starts_it(
    server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = travelled(caching(server))

    def refuse(_: Any) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    with monkeypatch.context() as patched:
        patched.setattr(_process_caches.threading.Thread, "start", refuse)
        one = pickle.loads(data)
    assert not PROCESS_CACHES._is_timed
    other = pickle.loads(data)
    assert PROCESS_CACHES._is_timed
    assert read(one) == read(other) == CONTENT[5:15]


@pytest.mark.parametrize("share", ["x", True, "thread", 1])
def test_another_value_is_an_error(share: Any) -> None:
    with pytest.raises(ValueError, match="share must be None or 'process', got"):
        CachingReadableStore(S3Store("bucket"), share=share)


def test_the_repr_and_copies_have_the_option(server: ObjectServer) -> None:
    store = caching(server)
    assert "share='process'" in repr(store)
    assert "share='process'" in repr(copy.copy(store))


@pytest.mark.parametrize("kind", [CachingReadableStore, SplittingReadableStore])
def test_pickles_of_another_version_are_refused(
    server: ObjectServer, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pickle.dumps(kind(server.s3_store("bucket")))
    monkeypatch.setattr(obspec_utils.wrappers._wrapper, "VERSION", "99.1")
    with pytest.raises(RuntimeError, match=f"this {kind.__name__} was pickled by obspec-utils .*, but .* has 99.1: "):
        pickle.loads(data)


def test_a_pickle_of_0_9_is_refused() -> None:
    """It consists of the class and its attributes, as pickle writes any object by default."""
    attributes = {"_store": LocalStore("/"), "_request_size": 1 << 20, "_max_concurrent_requests": 18}

    class AsIn09:
        def __reduce__(self) -> tuple[Any, ...]:
            return object.__new__, (SplittingReadableStore,), attributes

    with pytest.raises(RuntimeError, match=r"this SplittingReadableStore was pickled by obspec-utils 0\.9, but this "):
        pickle.loads(pickle.dumps(AsIn09()))


def work(data: bytes) -> tuple[int, bytes]:
    return os.getpid(), read(pickle.loads(data))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_tasks_of_a_worker_share(server: ObjectServer, method: str) -> None:
    data = pickle.dumps(caching(server))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        found = list(pool.map(work, [data] * 12))
    assert {content for _, content in found} == {CONTENT[5:15]}
    assert len(server.log()) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_shares_among_its_own_copies(server: ObjectServer) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(fork_and_read, server.url).result(60) == 0
    assert len(server.log()) == 1


def fork_and_read(url: str) -> int:
    inner = S3Store(
        "bucket", endpoint=url, region="us-east-1", skip_signature=True, client_options={"allow_http": True}
    )
    data = pickle.dumps(CachingReadableStore(inner, share="process"))
    child = os.fork()
    if child == 0:
        os._exit(0 if {read(pickle.loads(data)) for _ in range(5)} == {CONTENT[5:15]} else 1)
    return os.waitpid(child, 0)[1]
