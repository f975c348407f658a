"""A reader for going through an object from front to back."""

from __future__ import annotations

from typing import Protocol

from obspec import Get

from obspec_utils._buffers import Parts
from obspec_utils._checks import positive
from obspec_utils._plan import Span
from obspec_utils.readers._base import REQUEST_SIZE, StoreReader

__all__ = ["BufferedStoreReader"]


class BufferedStoreReader(StoreReader):
    """Read an object in sequence, ahead of what is asked for.

    A read outside the buffer fetches `buffer_size` bytes from where the buffer ends, or all it was asked for if that is
    more. Memory: about `buffer_size` bytes, and the read being served.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`.
    path
        The object's path in the store. Nothing is asked for before the first read.
    buffer_size
        Bytes to read ahead.

    Raises
    ------
    ValueError
        If `buffer_size` is not positive.
    """

    class Store(Get, Protocol):
        """What this reader needs of a store."""

    def __init__(self, store: Store, path: str, buffer_size: int = 1024 * 1024) -> None:
        self._buffer_size = positive("buffer_size", buffer_size)
        super().__init__(store, path)

    def _arguments(self) -> dict[str, object]:
        return {"buffer_size": self._buffer_size}

    def _first_length(self, start: int, stop: int) -> int:
        # The read's end where it is near, in one request; of a long read, the rest follows in parallel.
        return max(self._buffer_size, min(stop, REQUEST_SIZE) if start < self._buffer_size else 0)

    def _keep(self, parts: Parts) -> None:
        start = max(parts.start, parts.stop - self._buffer_size)
        self._window = (start, parts.stop, memoryview(parts.slice(start, parts.stop)))

    def _fetch(self, start: int, stop: int) -> Parts:
        held_start, held_stop, held = self._window
        overlap = held[start - held_start :] if held_start <= start < held_stop else held[:0]
        position = start + overlap.nbytes
        if position >= stop:
            return Parts([overlap], start=start)
        ahead = Span(position, min(self.size, max(stop, position + self._buffer_size)))
        fetched = Parts(list(self._request([ahead]).values()), start=position)
        self._keep(fetched)
        return Parts([overlap, *fetched.pieces(*ahead)], start=start)
