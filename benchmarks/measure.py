"""Running rows in turn and counting at the server what each run took."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.profiles import PROFILES
from benchmarks.results import Kind, Measurement, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.profiles import Profile
    from benchmarks.workers import Workers
    from tests.servers import ObjectServer

__all__ = ["BUCKET", "Bench", "Row", "Work"]

BUCKET = "bench"
# Seconds of a run that is not repeated: what takes so long does not depend on chance.
_LONG = 3.0


@dataclass(frozen=True, slots=True)
class Row:
    """One way of doing the work.

    Parameters
    ----------
    environment, adapter, way, options
        Where it runs, the module of `benchmarks.adapters`, and which of its ways with what arguments.
    memory
        Bytes it may keep by its settings.
    quick
        Whether it is part of a quick run.
    """

    label: str
    environment: str
    adapter: str
    way: str
    options: dict[str, Any] = field(default_factory=dict)
    memory: int | None = None
    quick: bool = True

    @property
    def kind(self) -> Kind:
        """Whose way it is."""
        if self.adapter == "memory":
            return "limit"
        if self.environment == "obstore":
            return "alternative" if self.way == "open_reader" else "limit"
        kinds: dict[str, Kind] = {"ours": "ours", "v09": "0.9.0"}
        return kinds.get(self.environment, "alternative")


@dataclass(frozen=True, slots=True)
class Work:
    """What all rows of a table do.

    Parameters
    ----------
    task, parameters
        The module of `benchmarks.tasks` and the arguments of its `run`.
    path
        The object.
    warm_up
        The object of the run before the first that counts, at full speed: imports, threads and code paths are warm
        then, as they are in a program that does not start with this read.
    fresh
        A new process for every run: for peak memory.
    warm
        The rows did the like just before, so that no run is needed to warm them up.
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
        The only networks to measure on; None for those that each scenario wants.
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

    def rows(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows that this run measures."""
        return [row for row in rows if row.quick or not self.quick]

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
        """Run all rows in turn, again and again, and return what they took."""
        measured = [(row, Measurement(row.label, row.kind, row.memory)) for row in self.rows(rows)]
        PROFILES["local"].apply(self.server)
        if not (work.fresh or work.warm):
            for row, result in measured:
                self._warm_up(row, work, result, profile)
        profile.apply(self.server)
        for _ in range(repeat or self.repeat):
            for row, result in measured:
                if not result.note and max(result.seconds, default=0.0) < _LONG:
                    self._run(row, work, result)
        return Table(name, f"{title}, {profile}", [result for _, result in measured], reference, object_size)

    def _warm_up(self, row: Row, work: Work, result: Measurement, profile: Profile) -> None:
        """Run a row at full speed, and note if it will take too long on a network."""
        worker = self._workers.get(row.environment)
        self.server.clear()
        answer = worker.run(self._job(row, work, work.warm_up or work.path))
        self._count(result)
        bandwidth = profile.bandwidth or profile.total_bandwidth
        seconds = result.requests * profile.latency + (result.sent / bandwidth if bandwidth else 0.0)
        result.note = answer.get("missing") or answer.get("error") or ""
        if seconds > work.patience and not result.note:
            result.note = (
                f"left out: {result.requests:,} requests, {result.sent / 1e6:,.0f} MB, about {seconds:.0f} s one by one"
            )

    def _count(self, result: Measurement) -> None:
        log = self.server.log()
        result.requests = len(log)
        result.sent = sum(request.sent for request in log)
        result.in_flight = self.server.most_in_flight()

    def _run(self, row: Row, work: Work, result: Measurement) -> None:
        worker = self._workers.get(row.environment, fresh=work.fresh)
        if work.fresh and work.warm_up:
            worker.run(self._job(row, work, work.warm_up))
        self.server.clear()
        answer = worker.run(self._job(row, work, work.path))
        self._count(result)
        result.note = answer.get("missing") or answer.get("error") or ""
        if result.note:
            return
        result.seconds.append(answer["seconds"])
        result.cpu.append(answer["cpu"])
        if answer["peak"] is not None:
            result.peak.append(answer["peak"])
        result.checksum = answer["checksum"]
        for name, figure in answer["figures"].items():
            result.figures[name] = max(figure, result.figures.get(name, figure))

    def _job(self, row: Row, work: Work, path: str) -> dict[str, Any]:
        return {
            "task": work.task,
            "adapter": row.adapter,
            "way": row.way,
            "options": row.options,
            "url": self.server.url,
            "bucket": BUCKET,
            "path": path,
            "parameters": work.parameters,
        }
