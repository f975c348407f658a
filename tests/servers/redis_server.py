"""A Redis server in a process of its own, which keeps everything in memory."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers._process import REPOSITORY, RunningServer, ServerProcess, ServerUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOOLS = REPOSITORY / ".tools" / "redis" / "usr"


class RedisServer(RunningServer):
    """A running Redis server; a context manager that stops it.

    Parameters
    ----------
    process
        The process that runs it.
    password
        What it asks clients for.
    """

    def __init__(self, process: ServerProcess, password: str | None = None) -> None:
        super().__init__(f"redis://127.0.0.1:{process.port}/0", process)
        self.port = process.port
        self.password = password
        self.client = redis.Redis(port=self.port, password=password, retry=Retry(NoBackoff(), 0))
        self._pid = int(self.client.info("server")["process_id"])

    @classmethod
    def start(cls, *, port: int = 0, password: str | None = None, **options: str) -> Self:
        """Start a server process on a free loopback port, or on `port`.

        Parameters
        ----------
        port
            0 for any that is free.
        password
            What it asks clients for.
        **options
            More of its options, such as `maxmemory="2mb"` or `maxmemory_policy="allkeys-lru"`.

        Raises
        ------
        ServerUnavailable
            If redis-server is not on this machine.
        """
        given = {**options, **({"requirepass": password} if password else {})}
        arguments = [part for name, option in given.items() for part in ("--" + name.replace("_", "-"), option)]
        executable, libraries = find_redis()
        environment = {"REDIS_LIBRARIES": libraries}
        module = "tests.servers._redis_process"
        return cls(ServerProcess(module, executable, str(port), *arguments, environment=environment), password)

    def kill(self) -> None:
        """End the server at once, as if its machine had gone."""
        self.client.close()
        os.kill(self._pid, signal.SIGKILL)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Keep the server from answering; connections to it are accepted all the same."""
        os.kill(self._pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._pid, signal.SIGCONT)

    def stop(self) -> None:
        """End the process; harmless when repeated."""
        self.client.close()
        super().stop()


def find_redis() -> tuple[str, str]:
    """Paths of redis-server, from PATH or the repository's tools, and of the libraries that come with it."""
    if found := shutil.which("redis-server"):
        return found, ""
    if executable := shutil.which("redis-server", path=_TOOLS / "bin"):
        return executable, os.pathsep.join(str(folder) for folder in sorted((_TOOLS / "lib").glob("*-linux-gnu*")))
    msg = f"redis-server is neither on PATH nor in {_TOOLS / 'bin'}: apt-get install redis-server, or make test"
    raise ServerUnavailable(msg)
