"""pytest fixtures over the servers; load them with `pytest_plugins = ["tests.servers.fixtures"]`."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers._process import ServerUnavailable
from tests.servers.redis_server import RedisServer
from tests.servers.stores import STORE_KINDS, OpenedStore, Servers, Store, StoreKind, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from obstore.store import HTTPStore, RetryConfig, S3Store

    from tests.servers.object_server import ObjectServer


SAMPLE = bytes(range(256)) * 64
"""What `sample_store` holds."""

NO_RETRIES: RetryConfig = {"max_retries": 0, "retry_timeout": timedelta(seconds=10)}
"""`retry_config` of a store that shows a fault at once instead of trying again."""


def skip_or_fail(reason: ServerUnavailable) -> None:
    """Skip the test, except in continuous integration, where every server must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"server unavailable: {reason}")
    pytest.skip(f"SERVER UNAVAILABLE: {reason}")


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for something that another process does; fail if it takes too long."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"not within {seconds} s"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """All servers, each started when a test first needs it."""
    with Servers() as collection:
        yield collection


@pytest.fixture
def object_server(servers: Servers) -> Iterator[ObjectServer]:
    """Our own server with an empty log, no faults, no latency and no limits."""
    server = servers.object_server
    server.configure()
    server.clear_faults()
    server.clear()
    yield server
    # Objects go afterwards: another fixture may have stored some before this one ran.
    server.reset()


@pytest.fixture(scope="session")
def _redis_of_session() -> Iterator[RedisServer]:
    with _start_redis() as server:
        yield server


@pytest.fixture
def redis_server(_redis_of_session: RedisServer) -> RedisServer:
    """A Redis server that is empty."""
    _redis_of_session.client.flushall()
    return _redis_of_session


@pytest.fixture
def start_redis() -> Iterator[Callable[..., RedisServer]]:
    """Start Redis servers of a test's own, with the arguments of `RedisServer.start`."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(_start_redis(**options))


def _start_redis(**options: Any) -> RedisServer:
    try:
        return RedisServer.start(**options)
    except ServerUnavailable as reason:
        skip_or_fail(reason)
        raise


@pytest.fixture(params=["s3_store", "http_store"])
def sample_store(request: pytest.FixtureRequest, object_server: ObjectServer) -> S3Store | HTTPStore:
    """Both kinds of store over `bucket/object` of our own server, which holds `SAMPLE`."""
    object_server.put("bucket/object", SAMPLE)
    opened: S3Store | HTTPStore = getattr(object_server, request.param)("bucket", retry_config=NO_RETRIES)
    return opened


@pytest.fixture(params=STORE_KINDS)
def store_kind(request: pytest.FixtureRequest) -> StoreKind:
    """Every kind of store; narrow it with `@pytest.mark.parametrize("store_kind", [...])`."""
    kind: StoreKind = request.param
    return kind


@pytest.fixture
def opened_store(store_kind: StoreKind, servers: Servers) -> Iterator[OpenedStore]:
    """An empty store of each kind, with what it can do and a way to fill it."""
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(open_store(store_kind, servers))
        except ServerUnavailable as reason:
            skip_or_fail(reason)
            raise
        yield opened


@pytest.fixture
def store(opened_store: OpenedStore) -> Store:
    """Return the empty store alone."""
    return opened_store.store
