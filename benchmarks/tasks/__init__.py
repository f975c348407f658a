"""The measured work: functions of a source, a clock and parameters, which a worker runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.tasks import caches, formats, loading, reading
from benchmarks.tasks._run import Clock, Source

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TASKS", "Clock", "Source"]

# Each returns a checksum of what it read, and its own figures by column head.
TASKS: dict[str, Callable[..., tuple[str, dict[str, float]]]] = {
    task.__name__: task
    for task in (
        loading.load,
        loading.load_many,
        loading.ranges,
        loading.byte,
        formats.walk_h5py,
        formats.variable_h5py,
        formats.walk_xarray,
        formats.virtual,
        reading.stream,
        reading.sparse,
        reading.hot,
        caches.hits,
        caches.entries,
        caches.misses,
        caches.together,
        caches.full,
        caches.processes,
    )
}
