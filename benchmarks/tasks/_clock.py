"""Wall time, CPU time and peak memory of a block."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Self

__all__ = ["Clock"]

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


class Clock:
    """Measures the block under `with`; a second block adds to the first."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu = 0.0
        self.peak: int | None = None

    def __enter__(self) -> Self:
        # Garbage of the run before is not this one's time or memory.
        gc.collect()
        self._reset_peak()
        self._memory = _peak_memory()
        self._cpu = time.process_time()
        self._begin = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._begin
        self.cpu += time.process_time() - self._cpu
        self.look_again()

    def look_again(self) -> None:
        """Take in memory that was promised within the block and came to be used after it."""
        if self._memory is not None:
            self.peak = (_peak_memory() or 0) - self._memory

    def result(self) -> dict[str, float | int | None]:
        """Return seconds, CPU seconds, and the bytes by which peak memory grew (None where the kernel won't tell)."""
        return {"seconds": self.seconds, "cpu": self.cpu, "peak": self.peak}

    @staticmethod
    def _reset_peak() -> None:
        try:
            _CLEAR.write_text(_RESET_PEAK)
        except OSError:  # not permitted: the growth over an earlier peak is all there is
            return


def _peak_memory() -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:  # no Linux
        return None
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
