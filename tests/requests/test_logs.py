"""What is logged: a line for each request, retries, and what works less well than it should."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils._io.gc_pause import is_paused
from obspec_utils.readers import EagerStoreReader, ParallelStoreReader, open_reader
from obspec_utils.wrappers import (
    CachingReadableStore,
    CoalescingReadableStore,
    RequestTrace,
    SplittingReadableStore,
    TracingReadableStore,
)
from tests.contracts._stores import OnlyGet
from tests.unit._tiers import DictCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Remote

PART = 64 * 1024
SIZE = 5 * PART


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.DEBUG, name: str = "requests") -> list[str]:
    found = [record for record in caplog.records if record.levelno == level]
    return [record.getMessage() for record in found if record.name == f"obspec_utils.{name}"]


@pytest.fixture
def debug(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "obspec_utils")
    return caplog


def traced(store: Any) -> TracingReadableStore:
    return TracingReadableStore(store, RequestTrace())


async def get_async(store: Any) -> None:
    await (await store.get_async("object")).buffer_async()
    await store.get_range_async("object", start=0, end=5)
    await store.get_ranges_async("object", starts=[0], ends=[5])
    await store.head_async("object")


READS: dict[str, Callable[[Any], object]] = {
    "eager": lambda store: EagerStoreReader(store, "object", PART),
    "parallel": lambda store: ParallelStoreReader(store, "object", PART, read_ahead=None).read(100),
    "opened": lambda store: open_reader(traced(traced(store)), "object", memory=PART),
    "splitting": lambda store: SplittingReadableStore(store, PART).get("object").buffer(),
    "cached": lambda store: CachingReadableStore(traced(store), block_size=PART).get_range("object", start=0, end=9),
    "cached whole": lambda store: CachingReadableStore(SplittingReadableStore(traced(store), PART)).prefetch(
        ["object"]
    ),
    "get": lambda store: traced(store).get("object").buffer(),
    "get_range": lambda store: traced(traced(store)).get_range("object", start=0, length=5),
    "get_ranges": lambda store: traced(store).get_ranges("object", starts=[0], ends=[5]),
    "head": lambda store: traced(store).head("object"),
    "missing": lambda store: CachingReadableStore(store).prefetch(["missing"]),
    "tasks": lambda store: asyncio.run(get_async(traced(store))),
    "coalescing": lambda store: CoalescingReadableStore(store).get_ranges("object", starts=[0, 5], ends=[5, 9]),
}


@pytest.mark.parametrize("read", READS)
def test_there_is_a_line_for_each_request(remote: Remote, debug: pytest.LogCaptureFixture, read: str) -> None:
    remote.put("object", SIZE)
    READS[read](remote.store)
    assert len(lines(debug)) == len(remote.log()) > 0


def test_hits_are_no_requests(remote: Remote, debug: pytest.LogCaptureFixture) -> None:
    remote.put("object", SIZE)
    cached = CachingReadableStore(remote.store)
    cached.get("object").buffer()
    debug.clear()
    cached.get_range("object", start=0, end=5)
    EagerStoreReader(cached, "object")
    assert debug.records == []


def test_a_line_tells_what_was_asked_and_what_came(debug: pytest.LogCaptureFixture) -> None:
    store = OnlyGet({"a.nc?sig=SECRET": bytes(100)})
    EagerStoreReader(store, "a.nc?sig=SECRET", 60)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        EagerStoreReader(store, "b")  # type: ignore[arg-type]
    traced(store).get("a.nc?sig=SECRET", options={"range": (90, 95)})
    found = [line.replace(line[line.index(" in ") : line.index(" from ")], " in T") for line in lines(debug)]
    name = "<tests.contracts._stores.OnlyGet object at"
    assert [line.partition(name)[0] for line in found] == [
        "get 'a.nc?...' bytes 0 to 60: 60 of 100 bytes in T from ",
        "get 'a.nc?...' bytes 60 to 100: 40 of 100 bytes in T from ",
        "get 'b' bytes 0 to 12582912: FileNotFoundError: b in T from ",
        "get 'a.nc?...' bytes 90 to 95: 5 of 100 bytes in T from ",
    ]


@pytest.mark.parametrize("main", [True, False])
def test_handlers_run_in_the_caller_once_that_holds_nothing(remote: Remote, main: bool) -> None:  # noqa: FBT001
    calls: list[tuple[bool, bool, int]] = []

    class Handler(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            calls.append((is_paused(), gc.isenabled(), threading.get_ident()))

    logger, handler = logging.getLogger("obspec_utils"), Handler()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    remote.put("object", SIZE)
    cached = CachingReadableStore(SplittingReadableStore(traced(remote.store), PART), cache=DictCache(), namespace="n")

    def read() -> int:
        cached.get("object").buffer()
        EagerStoreReader(remote.store, "object", PART)
        return threading.get_ident()

    try:
        with ThreadPoolExecutor(1) as pool:
            thread = read() if main else pool.submit(read).result()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert len(calls) == len(remote.log())
    assert set(calls) == {(False, True, thread)}


def test_nothing_is_made_of_requests_that_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "obspec_utils")

    class Shy(OnlyGet):
        def __repr__(self) -> str:
            raise AssertionError

    EagerStoreReader(Shy({"a": b"0"}), "a")  # type: ignore[arg-type]
    assert caplog.records == []
    caplog.set_level(logging.DEBUG, "obspec_utils")
    EagerStoreReader(Shy({"a": b"0"}), "a")  # type: ignore[arg-type]
    assert lines(caplog)[0].endswith(" from <Shy>")


def test_importing_it_configures_nothing_and_without_configuration_nothing_is_written() -> None:
    code = (
        "import logging, obspec_utils.readers, obspec_utils.wrappers, obspec_utils.caches;"
        "assert not logging.root.handlers;"
        "assert logging.getLogger('obspec_utils').level == logging.NOTSET;"
        "logging.getLogger('obspec_utils.requests').warning('unseen')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr == ""


# Degradations.


def test_a_server_without_ranges(remote: Remote, debug: pytest.LogCaptureFixture) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault("ignore_range")
    ParallelStoreReader(remote.store, "object", PART).read(10)
    (line,) = lines(debug, logging.WARNING)
    assert line.startswith("The server ignored a range, and sends all of 'object': ")
    debug.clear()
    remote.put("empty", 0)
    ParallelStoreReader(remote.store, "empty", PART).read(10)  # has no range to serve
    assert lines(debug, logging.WARNING) == []


def test_a_server_without_ranges_under_aiohttp(remote: Remote, debug: pytest.LogCaptureFixture) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault("ignore_range")
    store = remote.server.aiohttp_store("bucket")
    with pytest.warns(RuntimeWarning, match="ignores ranges"):
        store.get_range("object", start=5, end=10)
    store.get_range("object", start=5, end=10)
    (line,) = lines(debug, logging.WARNING)
    assert "ignores ranges: each read of a part transfers the object from its start" in line


def test_refused_conditions(remote: Remote, debug: pytest.LogCaptureFixture) -> None:
    remote.put("object", SIZE)
    remote.server.add_fault("refuse_conditions", status=501)
    cached = CachingReadableStore(remote.store, max_age=0)
    for _ in range(4):
        cached.get("object").buffer()
    (line,) = lines(debug, logging.WARNING)
    assert line.startswith("Revalidate without conditions, which ")


def test_a_cache_that_fails(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python warns once; the log has a line for each time that the cache is bypassed."""

    class Failing(DictCache):
        def get(self, key: str) -> bytes:
            raise OSError("token=SECRET is wrong")

    now = [1000.0]
    monkeypatch.setattr("obspec_utils.caches._circuit_breaker.time.monotonic", lambda: now[0])
    cached = CachingReadableStore(OnlyGet({"a": bytes(10)}), cache=Failing(), namespace="n")  # type: ignore[arg-type]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for _ in range(3):
            cached.get_range("a", start=0, end=5)
            now[0] += 11
            cached.get_range("a", start=0, end=5)
    assert len(warned) == 1
    found = lines(caplog, logging.WARNING, "caches")
    assert len(found) == 4
    assert all(line.endswith(" is not used for 10 s: OSError: token=*** is wrong") for line in found)


@pytest.mark.parametrize("kind", ["s3", "aiohttp"])
def test_retries(object_server: Any, debug: pytest.LogCaptureFixture, kind: str) -> None:
    object_server.put_random("bucket/object", SIZE)
    make = object_server.aiohttp_store if kind == "aiohttp" else object_server.s3_store
    store = make("bucket") if kind == "aiohttp" else make("bucket", retry_config={"max_retries": 0})
    object_server.add_fault("status", status=503, times=1)
    object_server.add_fault("drop", after=100, covers=2 * PART, times=1)
    EagerStoreReader(store, "object", PART)
    found = lines(debug, logging.INFO)
    texts = {
        "s3": [
            "Retry the first request for 'object' in 0 s: GenericError: ",
            "Retry bytes 131072 to 196608 of 'object' in 0 s: ",
        ],
        "aiohttp": [
            "Retry in 0.0 s: GenericError: GET of 'object': status 503",
            "Request the rest of 'object' in 0 s: IncompleteReadError: ",
        ],
    }[kind]
    assert [line[: len(text)] for line, text in zip(found, texts, strict=True)] == texts


def test_a_read_ahead_that_fails(debug: pytest.LogCaptureFixture) -> None:
    class Short(OnlyGet):
        def get(self, path: str, *, options: Any = None) -> Any:
            if (options or {}).get("range", (0, 0))[1] > 7 * PART:
                raise ConnectionError("broken")
            return super().get(path, options=options)

    cached = CachingReadableStore(Short({"a": bytes(100 * PART)}), block_size=PART)  # type: ignore[arg-type]
    for number in range(6):
        cached.get_range("a", start=number * PART, length=PART)
    assert set(lines(debug, logging.INFO)) >= {"Read-ahead of 'a' failed: ConnectionError: broken"}
