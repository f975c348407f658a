"""The scenarios by name; each module has a `run(bench)`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.scenarios import b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measure import Bench
    from benchmarks.results import ScenarioResult

__all__ = ["SCENARIOS"]

SCENARIOS: dict[str, Callable[[Bench], ScenarioResult]] = {
    "B0": b0.run,
    "B1": b1.run,
    "B2": b2.run,
    "B3": b3.run,
    "B4a": b4.run_walk,
    "B4b": b4.run_xarray,
    "B4c": b4.run_paged,
    "B5": b5.run,
    "B6": b6.run,
    "B7": b7.run,
    "B8": b8.run,
    "B9": b9.run,
    "B10": b10.run,
}
