"""AiohttpStore in notebooks, threads, forks and worker processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from obspec_utils import ObjectStoreRegistry
from obspec_utils.readers import EagerStoreReader, ParallelStoreReader, open_reader, open_reader_async
from obspec_utils.stores import _aiohttp_client, _aiohttp_pairs
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore
from tests.integration.programs import aiohttp_fork
from tests.integration.programs.running import run
from tests.integration.work import digest, rest_of
from tests.servers import random_bytes
from tests.servers.fixtures import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from obspec_utils.stores import AiohttpStore

SIZE = 3 << 20
DATA = random_bytes(SIZE, seed=2)


@pytest.fixture
def store(object_server) -> AiohttpStore:
    object_server.put("bucket/object", DATA)
    object_server.clear()
    return object_server.aiohttp_store("bucket")


async def test_sync_calls_where_an_event_loop_runs(store):
    """As in Jupyter: in the main thread, and in another one."""

    async def read() -> None:
        assert store.get("object").buffer() == DATA
        assert b"".join(store.get("object")) == DATA
        assert store.get_ranges("object", starts=[0, 9], lengths=[5, 5]) == [DATA[:5], DATA[9:14]]
        assert store.head("object")["size"] == SIZE
        assert ParallelStoreReader(store, "object", chunk_size=100_000).read() == DATA
        assert CachingReadableStore(store).get_range("object", start=1, end=4) == DATA[1:4]
        result = await store.get_async("object")
        assert result.buffer() == DATA  # requested again: its body arrives on the loop that waits here
        async with store:
            assert (await (await store.get_async("object")).buffer_async()) == DATA
            assert store.get("object").buffer() == DATA

    await read()
    await asyncio.to_thread(asyncio.run, read())


async def test_async_readers_and_wrappers(store, object_server):
    async with ObjectStoreRegistry({f"{object_server.url}/bucket": SplittingReadableStore(store)}) as registry:
        split, path = registry.resolve(f"{object_server.url}/bucket/object")
        assert path == "object"
        assert store._session is not None
        assert bytes(await (await split.get_async(path)).buffer_async()) == DATA
        assert (await open_reader_async(split, path)).read() == DATA
        cached = CachingReadableStore(store, block_size=1 << 16)
        spans = [(start, start + 5) for start in range(0, SIZE, SIZE // 20)]
        found = await asyncio.gather(*(cached.get_range_async("object", start=a, end=b) for a, b in spans))
        assert [bytes(piece) for piece in found] == [DATA[a:b] for a, b in spans]
    assert store._session is None


def test_threads_share_a_store_and_leave_none_of_their_own(store):
    before = threading.active_count()

    def read(number: int) -> bytes:
        if number % 2:
            return EagerStoreReader(store, "object", request_size=1 << 18).read()
        return store.get("object").buffer()

    with ThreadPoolExecutor(8) as pool:
        assert all(found == DATA for found in pool.map(read, range(64)))
    assert threading.active_count() == before


def test_connections_are_used_again(store, object_server, monkeypatch):
    monkeypatch.setattr(_aiohttp_client, "PAIRS", _aiohttp_pairs.PairPool())  # without those of results of other tests
    for _ in range(3):
        EagerStoreReader(store, "object", request_size=1 << 20)
    log = object_server.log()
    assert len(log) == 9
    assert len({request.connection for request in log}) <= 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_fork_does_not_share_connections_with_its_parent(object_server):
    object_server.put("bucket/object", random_bytes(aiohttp_fork.SIZE, seed=1))
    assert run("aiohttp_fork", object_server.url).result() == {"child": 0}


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_stores_and_readers_travel_to_worker_processes(store, method):
    reader = open_reader(store, "object", memory=1 << 20)
    reader.seek(1_000)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        found = pool.submit(rest_of, reader).result(60)
        assert (found["position"], found["digest"]) == (1_000, digest(DATA[1_000:]))
        assert pool.submit(store.get_range, "object", start=5, end=9).result(60) == DATA[5:9]


PROGRAM = """
import asyncio, sys
from obspec_utils.stores import AiohttpStore
store = AiohttpStore(sys.argv[1])
assert len(store.get("object").buffer()) == int(sys.argv[2])
unread = store.get("object")
half_read = store.get("object").stream(10)
next(half_read)
async def leave():
    async with store:
        return await store.get_async("object")
left = asyncio.run(leave())
assert len(left.buffer()) == int(sys.argv[2])
"""


def test_a_process_ends_without_warnings(store):
    arguments = [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM, store.base_url, str(SIZE)]
    done = subprocess.run(arguments, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


INTERRUPTED = """
import sys
from obspec_utils.stores import AiohttpStore
store = AiohttpStore(sys.argv[1])
try:
    getattr(store, sys.argv[2])("object", **eval(sys.argv[3]))
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize(
    ("method", "arguments"), [("get", {}), ("head", {}), ("get_ranges", {"starts": [0, 5], "lengths": [1, 1]})]
)
def test_ctrl_c_ends_a_call_at_once(store, object_server, method, arguments):
    object_server.add_fault("stall", seconds=3600)
    command = [sys.executable, "-c", INTERRUPTED, store.base_url, method, repr(arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: len(object_server.log()) == 1)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)  # the server does not respond within the timeout of 30 s
    assert (process.returncode, output, errors) == (0, "interrupted\n", "")


INTERRUPTED_BODY = """
import sys
from obspec_utils.stores import AiohttpStore
store = AiohttpStore(sys.argv[1])
chunks = store.get("object").stream(1 << 20)
try:
    for chunk in chunks: print(len(chunk) > 0, flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
chunks = None
for _ in range(3):
    print(len(store.get_range("small", start=0, length=10)))
"""


def test_ctrl_c_ends_an_iteration_at_once_and_the_store_can_be_used(store, object_server):
    object_server.put_random("bucket/object", 64 << 20, seed=1, period=1 << 20)
    object_server.put("bucket/small", bytes(10))
    object_server.configure(bandwidth=2_000_000)
    command = [sys.executable, "-c", INTERRUPTED_BODY, store.base_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "True\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)  # all of the object takes longer
    assert (process.returncode, errors) == (0, "")
    assert output.endswith("interrupted\n" + "10\n" * 3)


INTERRUPTED_BUFFER = """
import sys, threading
from obspec_utils.stores import AiohttpStore
store = AiohttpStore(sys.argv[1])
try:
    result = store.get("object")
    threading.Timer(0.5, print, ["begun"], {"flush": True}).start()  # while the body, of 8 s, is received
    result.buffer()
except KeyboardInterrupt:
    print("interrupted", flush=True)
sys.stdin.read()
"""


def test_after_ctrl_c_no_more_of_a_body_is_received(store, object_server):
    size = 64 << 20
    object_server.put_random("bucket/object", size, seed=1, period=1 << 20)
    object_server.configure(bandwidth=8_000_000)
    command = [sys.executable, "-c", INTERRUPTED_BUFFER, store.base_url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        wait_until(lambda: object_server.log()[0].end is not None)  # while the process goes on
        process.communicate("")
    assert object_server.log()[0].sent < size // 2


AT_EXIT = """
import atexit, sys
@atexit.register
def last():
    print(len(store.get_range("object", start=0, length=10)))
from obspec_utils.stores import AiohttpStore
store = AiohttpStore(sys.argv[1])
store.get_range("object", start=0, length=10)
"""


def test_a_store_that_was_used_can_be_read_in_exit_handlers(store):
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", AT_EXIT, store.base_url]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "10\n", "")


def test_without_aiohttp_the_error_names_the_extra(tmp_path: Path):
    (tmp_path / "aiohttp.py").write_text("raise ImportError('not installed')")
    program = "import obspec_utils, obspec_utils.wrappers, obspec_utils.readers\nimport obspec_utils.stores"
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
    )
    assert "ImportError: AiohttpStore requires aiohttp: install it with `pip install 'obspec-utils[aiohttp]'`" in (
        done.stderr
    )
