"""Run rows in turn, and count requests and bytes at the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.results import Kind, Measurement, Table
from benchmarks.server import BUCKET, PROFILES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.server import Profile
    from benchmarks.workers import Workers
    from tests.servers import ObjectServer

__all__ = ["Bench", "Row", "Work"]

# Seconds after which a run is not repeated: it varies little.
_LONG = 3.0


@dataclass(frozen=True, slots=True)
class Row:
    """One method of doing the work.

    Parameters
    ----------
    environment, adapter, method, options
        The environment it runs in, the module of `benchmarks.adapters`, and its method with keyword arguments.
    memory
        Bytes it may keep by its settings; None if unlimited.
    quick
        Whether it is part of a quick run.
    """

    label: str
    environment: str
    adapter: str
    method: str
    options: dict[str, Any] = field(default_factory=dict)
    memory: int | None = None
    quick: bool = True

    @property
    def kind(self) -> Kind:
        """The kind of implementation."""
        if self.adapter == "memory":
            return "limit"
        if self.environment == "obstore":
            return "alternative" if self.method == "open_reader" else "limit"
        kinds: dict[str, Kind] = {"ours": "ours", "v09": "0.9.0"}
        return kinds.get(self.environment, "alternative")


@dataclass(frozen=True, slots=True)
class Work:
    """The work of all rows of a table.

    Parameters
    ----------
    task, parameters
        The name of a function in `benchmarks.tasks`, and its keyword arguments.
    path
        The object.
    warm_up
        The object of the warm-up run, which is not counted and not slowed down; `path` by default.
    fresh
        Start a new process for every run, to measure peak memory.
    warm
        Skip the warm-up run.
    patience
        Seconds. A row is left out if its requests, sent one after the other, would take longer.
    """

    task: str
    path: str
    parameters: dict[str, Any] = field(default_factory=dict)
    warm_up: str | None = None
    fresh: bool = False
    warm: bool = False
    patience: float = 30.0


class Bench:
    """The server, the workers and how often to repeat.

    Parameters
    ----------
    repeat
        Runs of each row.
    quick
        Smaller sizes and fewer rows.
    profiles
        The networks to measure on; None for those that each scenario names.
    """

    def __init__(
        self, server: ObjectServer, workers: Workers, *, repeat: int, quick: bool, profiles: Sequence[str] | None
    ) -> None:
        self.server = server
        self.repeat = repeat
        self.quick = quick
        self._workers = workers
        self._profiles = profiles

    def profiles(self, *wanted: str) -> list[Profile]:
        """Return the networks of a scenario that are to be measured."""
        if self._profiles is not None:
            wanted = tuple(name for name in wanted if name in self._profiles) or tuple(self._profiles)
        return [PROFILES[name] for name in wanted]

    def table(
        self,
        name: str,
        title: str,
        profile: Profile,
        rows: Sequence[Row],
        work: Work,
        *,
        reference: str | None = None,
        object_size: int | None = None,
        repeat: int | None = None,
    ) -> Table:
        """Run all rows in turn, repeatedly, and return their measurements."""
        measured = [(row, Measurement(row.label, row.kind, row.memory)) for row in rows if row.quick or not self.quick]
        PROFILES["local"].apply(self.server)
        if not (work.fresh or work.warm):
            for row, result in measured:
                self._warm_up(row, work, result, profile)
        profile.apply(self.server)
        for _ in range(repeat or self.repeat):
            for row, result in measured:
                if not result.note and max(result.seconds, default=0.0) < _LONG:
                    self._run(row, work, result, work.path)
        return Table(name, f"{title}, {profile}", [result for _, result in measured], reference, object_size)

    def _warm_up(self, row: Row, work: Work, result: Measurement, profile: Profile) -> None:
        """Run a row at full speed, and note if it would take too long on the network."""
        self._run(row, work, result, work.warm_up or work.path)
        for values in (result.seconds, result.cpu, result.peak, result.figures):
            values.clear()
        bandwidth = profile.bandwidth or profile.total_bandwidth
        seconds = result.requests * profile.latency + (result.sent / bandwidth if bandwidth else 0.0)
        if seconds > work.patience and not result.note:
            result.note = (
                f"left out: {result.requests:,} requests, {result.sent / 1e6:,.0f} MB, about {seconds:.0f} s one by one"
            )

    def _run(self, row: Row, work: Work, result: Measurement, path: str) -> None:
        worker = self._workers.get(row.environment, fresh=work.fresh)
        if work.fresh and work.warm_up:
            worker.run(self._job(row, work, work.warm_up))
        self.server.clear()
        outcome = worker.run(self._job(row, work, path))
        log = self.server.log()
        result.requests, result.sent = len(log), sum(request.sent for request in log)
        result.in_flight = self.server.most_in_flight()
        result.note = outcome.get("error", "")
        if result.note:
            return
        result.seconds.append(outcome["seconds"])
        result.cpu.append(outcome["cpu"])
        if outcome["peak"] is not None:
            result.peak.append(outcome["peak"])
        result.checksum = outcome["checksum"]
        for name, figure in outcome["figures"].items():
            result.figures[name] = max(figure, result.figures.get(name, figure))

    def _job(self, row: Row, work: Work, path: str) -> dict[str, Any]:
        return {
            "task": work.task,
            "adapter": row.adapter,
            "method": row.method,
            "options": row.options,
            "url": self.server.url,
            "bucket": BUCKET,
            "path": path,
            "parameters": work.parameters,
        }
