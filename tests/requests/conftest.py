"""Objects on our own server, read through a store of either kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.servers import random_bytes

from ._ways import Async, Sync

if TYPE_CHECKING:
    from obstore.store import HTTPStore, S3Store

    from tests.servers import LoggedRequest, ObjectServer

MIB = 1 << 20


@dataclass
class Remote:
    """A bucket on the server, the store that reads it, and what the server saw of that."""

    server: ObjectServer
    store: S3Store | HTTPStore

    def put(self, key: str, size: int, seed: int = 1) -> bytes:
        self.server.put_random(f"bucket/{key}", size, seed)
        self.server.clear()
        return random_bytes(size, seed)

    def log(self) -> list[LoggedRequest]:
        return self.server.log()

    def statuses(self) -> list[int | None]:
        """Return the statuses since the last clear, and clear."""
        found = [request.status for request in self.log()]
        self.server.clear()
        return found

    def ranges(self) -> list[tuple[int | None, int | None]]:
        """Return the ranges asked for since the last clear, in order of their offsets."""
        return sorted((request.start or 0, request.stop or 0) for request in self.log())


@pytest.fixture(params=["s3", "http"])
def remote(request: pytest.FixtureRequest, object_server: ObjectServer) -> Remote:
    # Retries would hide what a single request got.
    retry = {"retry_config": {"max_retries": 0}}
    if request.param == "s3":
        return Remote(object_server, object_server.s3_store("bucket", **retry))
    return Remote(object_server, object_server.http_store("bucket", **retry))


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Sync | Async:
    kind: type[Sync | Async] = request.param
    return kind()
