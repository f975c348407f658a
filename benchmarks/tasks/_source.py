"""Where a task reads from: one implementation's way to one object, with a connection of its own."""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import ModuleType

    from benchmarks.tasks._clock import Clock

__all__ = ["Checksum", "NotThereError", "Source", "Task"]


class NotThereError(Exception):
    """The implementation that is installed does not have what was to be measured."""


class Task(Protocol):
    """What `run` of a module in this package is."""

    def __call__(self, source: Source, clock: Clock, **parameters: Any) -> tuple[str, dict[str, float]]:
        """Do the work; return a checksum of what was read, and further figures if there are any."""
        ...


class Source:
    """One implementation's way to an object.

    Parameters
    ----------
    adapter
        The module of `benchmarks.adapters` that knows the implementation: `connect`, `OPEN` and `LOAD`.
    way
        Which of the adapter's functions to use.
    options
        Its keyword arguments.
    """

    def __init__(
        self, adapter: ModuleType, url: str, bucket: str, path: str, way: str, options: dict[str, Any]
    ) -> None:
        self.url = url
        self.bucket = bucket
        self.path = path
        self.way = way
        self.options = options
        self._adapter = adapter
        # A client of this run's own: no connection is open yet, and no cache knows anything.
        self.client = adapter.connect(url, bucket)

    @contextmanager
    def open(self) -> Iterator[Any]:
        """Open the object as a file, which is closed in the end where the implementation has a way to."""
        file = self.call("OPEN")
        try:
            yield file
        finally:
            if hasattr(file, "close"):
                file.close()

    def load(self, path: str | None = None) -> Sequence[Any]:
        """Return all bytes of the object, or of another one, as buffers in their order."""
        buffers: Sequence[Any] = self.call("LOAD", path)
        return buffers

    def call(self, table: str, path: str | None = None, **more: Any) -> Any:
        """Call the way that the adapter keeps in a table of that name."""
        return getattr(self._adapter, table)[self.way](self.client, path or self.path, **self.options, **more)

    def close(self) -> None:
        """Close the client, where the implementation has a way to."""
        close = getattr(self._adapter, "close", None)
        if close is not None:
            close(self.client)


class Checksum:
    """A CRC over buffers, by which implementations prove that they read the same."""

    def __init__(self, buffers: Iterable[Any] = ()) -> None:
        self._crc = 0
        self._length = 0
        for buffer in buffers:
            self.add(buffer)

    def add(self, buffer: Any) -> None:
        """Take in the next buffer."""
        view = memoryview(buffer)
        self._crc = zlib.crc32(view, self._crc)
        self._length += view.nbytes

    def __str__(self) -> str:
        return f"{self._crc:08x}/{self._length}"
