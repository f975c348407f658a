"""One run: the source it reads from, the clock, and a checksum of what was read."""

from __future__ import annotations

import gc
import time
import urllib.request
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import ModuleType

__all__ = ["Checksum", "Clock", "Source", "memory"]

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def memory(field: str) -> int | None:
    """Return a size from the process's status, VmHWM (peak) or VmRSS, in bytes; None on other systems than Linux."""
    if not _STATUS.exists():
        return None
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


class Clock:
    """Measure the wall time, CPU time and peak memory of the block under `with`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu = 0.0
        self.peak: int | None = None

    def __enter__(self) -> Self:
        gc.collect()  # the garbage of the run before is not this one's time or memory
        with suppress(OSError):  # if not permitted, only the growth over an earlier peak shows
            _CLEAR.write_text(_RESET_PEAK)
        self._memory = memory("VmHWM")
        self._cpu = time.process_time()
        self._begin = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._begin
        self.cpu += time.process_time() - self._cpu
        self.update_peak()

    def update_peak(self) -> None:
        """Include memory that was allocated within the block and first touched after it."""
        if self._memory is not None:
            self.peak = (memory("VmHWM") or 0) - self._memory

    def result(self) -> dict[str, float | int | None]:
        """Return seconds, CPU seconds, and the growth of peak memory in bytes."""
        return {"seconds": self.seconds, "cpu": self.cpu, "peak": self.peak}


class Source:
    """One implementation's access to an object, through a new client without connections or caches.

    Parameters
    ----------
    adapter
        The module of `benchmarks.adapters`: `connect`, and tables of methods (`OPEN`, `LOAD`, `STORE`, ...).
    method, options
        The name of a method in those tables, and its keyword arguments.
    """

    def __init__(
        self, adapter: ModuleType, url: str, bucket: str, path: str, method: str, options: dict[str, Any]
    ) -> None:
        self.url = url
        self.bucket = bucket
        self.path = path
        self._method = method
        self._options = options
        self._adapter = adapter
        self._client = adapter.connect(url, bucket)

    @contextmanager
    def open(self) -> Iterator[Any]:
        """Open the object as a file, and close it if it can be closed."""
        file = self.call("OPEN")
        try:
            yield file
        finally:
            if hasattr(file, "close"):
                file.close()

    def has(self, table: str) -> bool:
        """Return whether the adapter has a table of methods."""
        return hasattr(self._adapter, table)

    def load(self, path: str | None = None) -> Sequence[Any]:
        """Return all bytes of the object, or of another one, as buffers in order."""
        buffers: Sequence[Any] = self.call("LOAD", path)
        return buffers

    def call(self, table: str, path: str | None = None) -> Any:
        """Call this source's method in a table of the adapter."""
        return getattr(self._adapter, table)[self._method](self._client, path or self.path, **self._options)

    def over(self, store: Any) -> Any:
        """Return this source's cache over another store than the server's."""
        return self._adapter.OVER[self._method](store, **self._options)

    def clear_log(self) -> None:
        """Clear the server's log of requests."""
        request = urllib.request.Request(f"{self.url}/_control/clear", b"{}", method="POST")
        with urllib.request.urlopen(request):
            pass

    def close(self) -> None:
        """Close the client, if the adapter can."""
        if hasattr(self._adapter, "close"):
            self._adapter.close(self._client)


class Checksum:
    """A CRC over buffers, which shows that implementations read the same bytes."""

    def __init__(self, buffers: Iterable[Any] = ()) -> None:
        self._crc = 0
        self._length = 0
        for buffer in buffers:
            self.add(buffer)

    def add(self, buffer: Any) -> None:
        """Add the next buffer."""
        view = memoryview(buffer)
        self._crc = zlib.crc32(view, self._crc)
        self._length += view.nbytes

    def __str__(self) -> str:
        return f"{self._crc:08x}/{self._length}"
