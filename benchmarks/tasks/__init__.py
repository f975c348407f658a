"""What is measured: each module here has a `run(source, clock, ...)` that a worker carries out."""

from benchmarks.tasks._clock import Clock
from benchmarks.tasks._source import Checksum, NotThereError, Source, Task

__all__ = ["Checksum", "Clock", "NotThereError", "Source", "Task"]
