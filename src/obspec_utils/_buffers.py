"""An object, or a piece of one, held as the parts it arrived in."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from obstore import Bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Buffer

__all__ = ["Parts"]


class Parts:
    """Bytes in one or several ordered buffers, sliced without joining them.

    Parameters
    ----------
    buffers
        Bytes-like objects, one after the other. They are kept as they are, never copied.
    start
        Where in the object the first byte lies.
    """

    __slots__ = ("_starts", "_views", "start", "stop")

    def __init__(self, buffers: Sequence[Buffer], start: int = 0) -> None:
        self.start = start
        self._views: list[memoryview] = []
        self._starts: list[int] = []
        for buffer in buffers:
            view = memoryview(buffer).cast("B")
            if view.nbytes:
                self._views.append(view)
                self._starts.append(start)
                start += view.nbytes
        self.stop = start

    def __len__(self) -> int:
        return self.stop - self.start

    def window(self, position: int) -> tuple[int, int, memoryview]:
        """Return the part that holds the byte at `position`: its start, its stop and its bytes."""
        number = bisect_right(self._starts, position) - 1
        view = self._views[number]
        start = self._starts[number]
        return start, start + view.nbytes, view

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """Yield views of the bytes from `start` to `stop`, which must lie within; nothing is copied."""
        while start < stop:
            first, last, view = self.window(start)
            yield view[start - first : min(stop, last) - first]
            start = last

    def slice(self, start: int, stop: int) -> Bytes:
        """Return the bytes from `start` to `stop` as one buffer.

        A view, without a copy, where it is at least half of the part it keeps alive; else a copy, so that a small
        piece that outlives the call does not hold a large part in memory.
        """
        if start < stop:
            first, last, view = self.window(start)
            if stop <= last:
                piece = view[start - first : stop - first]
                return Bytes(piece if 2 * (stop - start) >= last - first else bytes(piece))
        return Bytes(b"".join(self.pieces(start, stop)))

    def join(self) -> Bytes:
        """Return all bytes as one buffer: the part itself if there is one, else a copy."""
        return self.slice(self.start, self.stop)
