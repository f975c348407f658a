"""Hold the bytes of an object or of a byte range in the parts they arrived in, or in one buffer."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from obstore import Bytes

from obspec_utils._io.allocation import allocate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Buffer

__all__ = ["BufferList", "concat"]

# Shared empty lists of single-buffer instances; never changed.
_NO_VIEWS: list[memoryview] = []
_NONE: list[int] = []


class BufferList:
    """Bytes in one or several ordered buffers, sliced without joining them.

    Parameters
    ----------
    buffers
        Bytes-like objects of consecutive bytes. They are not copied before `join`.
    start
        Offset of the first byte in the object.
    whole
        The contiguous buffer that `buffers` are views of, if any.
    """

    __slots__ = ("_pinned", "_raw", "_starts", "_views", "_wholes", "start", "stop")

    def __init__(self, buffers: Sequence[Buffer], start: int = 0, whole: memoryview | None = None) -> None:
        self.start = start
        # The buffer, if it is a single `bytes`: that is sliced in half the time and needs no other attributes.
        self._raw = buffers[0] if len(buffers) == 1 and type(buffers[0]) is bytes else None
        raw = self._raw
        self._views: list[memoryview] = [] if raw is None else _NO_VIEWS
        self._starts: list[int] = [] if raw is None else _NONE
        # For each view, the length of the buffer that it keeps alive.
        self._pinned: list[int] = [] if raw is None else _NONE
        self._wholes: list[memoryview] = [] if raw is None else _NO_VIEWS
        if raw is not None:
            self.stop = start + len(raw)
            return
        if whole is not None:
            self._wholes.append(whole)
        for buffer in buffers:
            view = memoryview(buffer).cast("B")
            if view.nbytes:
                self._views.append(view)
                self._starts.append(start)
                self._pinned.append(memoryview(view.obj).nbytes)
                start += view.nbytes
        self.stop = start

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def joined(self) -> bool:
        """Whether all bytes are in one buffer."""
        return bool(self._wholes) or len(self._views) < 2  # noqa: PLR2004 - several

    def window(self, position: int) -> tuple[int, int, memoryview]:
        """Return the part that holds the byte at `position`: its start, its stop and its bytes."""
        if self._raw is not None:
            return self.start, self.stop, memoryview(self._raw)
        number = bisect_right(self._starts, position) - 1
        view = self._views[number]
        start = self._starts[number]
        return start, start + view.nbytes, view

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """Yield views of the bytes from `start` to `stop`, which must be in these buffers, without a copy."""
        while start < stop:
            first, last, view = self.window(start)
            yield view[start - first : min(stop, last) - first]
            start = last

    def slice(self, start: int, stop: int) -> Bytes:
        """Return the bytes from `start` to `stop` as one buffer.

        This is a view if it covers at least half of the buffer that it keeps alive (a part, or the joined buffer). Else
        it is a copy, so that a small slice does not keep much more in memory.
        """
        # One part is by far the most common, and never changed by `joining`.
        raw = self._raw
        if raw is not None:
            first, last = start - self.start, stop - self.start
            if 2 * (last - first) < len(raw):
                return Bytes(raw[first:last])
            return Bytes(raw if last - first == len(raw) else memoryview(raw)[first:last])
        if len(self._views) == 1 and start < stop:
            piece = self._views[0][start - self.start : stop - self.start]
            return Bytes(piece if 2 * (stop - start) >= self._pinned[0] else piece.tobytes())
        if start < stop:
            number = bisect_right(self._starts, start) - 1
            first, view = self._starts[number], self._views[number]
            pinned = self._pinned[number]  # after the view: `joining` changes them in the other order
            if stop > first + view.nbytes and self._wholes:
                first, view = self.start, self._wholes[0]
                pinned = view.nbytes
            if stop <= first + view.nbytes:
                piece = view[start - first : stop - first]
                return Bytes(piece if 2 * (stop - start) >= pinned else bytes(piece))
        return Bytes(b"".join(self.pieces(start, stop)))

    def join(self) -> Bytes:
        """Join the parts in place and return all bytes as one buffer; a second call copies nothing."""
        for _ in self.joining():
            pass
        return self.slice(self.start, self.stop)

    def joining(self) -> Iterator[int]:
        """Move the parts into one buffer and yield the length of each.

        Each part is freed once copied, so at most one is in memory twice. Concurrent reads and joins, and abandoned
        joins, are safe.
        """
        if self.joined:
            return
        memory = allocate(len(self))
        whole = memory.view
        try:
            for number, start in enumerate(self._starts):
                if self._wholes:  # joined by a concurrent caller
                    return
                first = start - self.start
                last = memory.write(first, self._views[number])
                self._pinned[number] = whole.nbytes
                self._views[number] = whole[first:last]
                yield last - first
            self._wholes.append(whole)
        finally:
            self._settle()

    def _settle(self) -> None:
        """Replace all views by views of the joined buffer: the first one, if several callers joined concurrently."""
        if not self._wholes:
            return
        whole = self._wholes[0]
        del self._wholes[1:]
        for number, start in enumerate(self._starts):
            first = start - self.start
            self._views[number] = whole[first : first + self._views[number].nbytes]


def concat(found: list[BufferList]) -> BufferList:
    """Return consecutive blocks as one list of buffers, without copying."""
    if len(found) == 1:
        return found[0]
    pieces = [piece for parts in found for piece in parts.pieces(parts.start, parts.stop)]
    return BufferList(pieces, found[0].start if found else 0)
