"""Start worker processes and send them jobs."""

from __future__ import annotations

import json
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Self

from benchmarks.environments import REPOSITORY, python_of

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Worker", "Workers"]

# Seconds after which a run is taken to hang.
_LONGEST_RUN = 180.0


class Worker:
    """One process in one environment."""

    def __init__(self, environment: str) -> None:
        self._process = subprocess.Popen(
            [str(python_of(environment)), "-m", "benchmarks.worker"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process.poll() is None

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """Run a job; return the worker's result, or an error if the worker ends."""
        assert self._process.stdin is not None  # noqa: S101 - for type checkers
        assert self._process.stdout is not None  # noqa: S101
        watchdog = threading.Timer(_LONGEST_RUN, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watchdog.cancel()
        if not line:
            return {"error": f"the worker ended with {self._process.wait()}, or took over {_LONGEST_RUN:.0f} s"}
        result: dict[str, Any] = json.loads(line)
        return result

    def stop(self) -> None:
        """End the process and wait for it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class Workers:
    """At most one worker per environment, each started at its first job."""

    def __init__(self) -> None:
        self._workers: dict[str, Worker] = {}

    def get(self, environment: str, *, fresh: bool = False) -> Worker:
        """Return the environment's worker; a new process if `fresh`, or if the last one ended."""
        worker = self._workers.get(environment)
        if worker is not None and (fresh or not worker.running):
            worker.stop()
            worker = None
        if worker is None:
            worker = self._workers[environment] = Worker(environment)
        return worker

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers.values():
            worker.stop()
