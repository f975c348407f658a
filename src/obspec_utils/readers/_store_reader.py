"""What every reader is: a read-only binary file over one version of one object."""

from __future__ import annotations

from collections import deque
from operator import index
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar, cast

from obspec_utils._io.buffers import BufferList
from obspec_utils._io.fetch import fetch, read_first
from obspec_utils._io.not_found import not_found_named
from obspec_utils._io.request import request_first
from obspec_utils._pickling import pickled
from obspec_utils._ranges import chain, split
from obspec_utils._redact import redacted
from obspec_utils._validation import check_path, check_store
from obspec_utils._version import Version
from obspec_utils.readers._file import PositionedReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from obspec import ObjectMeta

    from obspec_utils._io.response import Response
    from obspec_utils._ranges import ByteRange

__all__ = ["StoreReader"]

R = TypeVar("R", bound="StoreReader")


class StoreReader(PositionedReader):
    """The file over an object: its version, its first piece, and pickling.

    How bytes are fetched and what is kept of them is a subclass's: `_fetch` and `_keep`.
    """

    # Set once for each reader, by whichever thread is first to know it.
    _version: Version | None = None

    def __init__(self, store: object, path: str) -> None:
        check_store(store, path)
        check_path(path)
        super().__init__()
        self._store = store
        self._path = path

    # What subclasses answer.

    def _first_length(self, start: int, stop: int) -> int:
        """Return how many bytes the first request asks for, when a read from `start` to `stop` is to be served."""
        raise NotImplementedError

    def _keep(self, parts: BufferList) -> None:
        """Keep the first piece of the object, or as much of it as the budget allows."""
        raise NotImplementedError

    def _fetch(self, start: int, stop: int) -> BufferList:
        """Return parts that hold at least the bytes from `start` to `stop`, which lie within the object.

        Sets the window to a piece that is kept.
        """
        raise NotImplementedError

    def _arguments(self) -> dict[str, object]:
        """Return the options the reader was made with, by the names its constructor has for them."""
        raise NotImplementedError

    # What they build on.

    def _fetch_ranges(self, spans: Sequence[ByteRange], part_size: int, limit: int) -> deque[BufferList]:
        """Fetch spans of this version side by side, in parts of about `part_size`; return the parts in order.

        They are in a deque, so that whoever copies out of them can let go of each before the next.
        """
        plan = chain([split(span, part_size, limit) for span in spans])
        buffers = fetch(self._store, self._path, plan, self._pinned_version(), limit)
        return deque(BufferList([buffer], part.start) for buffer, part in zip(buffers, plan, strict=True))

    def _pinned_version(self) -> Version:
        if self._version is None:
            with not_found_named(self._store, self._path):
                self._request_first(0, 0)
        return cast("Version", self._version)

    def _request_first(self, start: int, stop: int) -> BufferList:
        """Ask for the first piece, which tells size and version."""
        length = self._first_length(start, stop)
        parts = self._start_from(request_first(self._store, self._path, length))
        if not self._open:  # closed meanwhile by another thread: nothing may stay
            self._release()
        return parts

    def _start_from(self, answer: Response) -> BufferList:
        """Take size and version from the answer to a first request, and keep what it brings."""
        parts = BufferList([read_first(self._store, answer)])
        self._pin_version(answer)
        self._keep(parts)
        return parts

    def _pin_version(self, answer: Response) -> Version:
        """Take the version from the answer to a first request."""
        found = Version.of(cast("ObjectMeta", answer.meta))
        # One operation: of two threads that begin at the same time, the second must have met the version of the first.
        first: Version = vars(self).setdefault("_version", found)
        first.check(self._path, found)
        return first

    def _load(self, start: int, stop: int) -> BufferList | None:
        """Return parts that hold the bytes from `start` to `stop` or to the end; None if there are none."""
        try:
            with not_found_named(self._store, self._path):
                return self._loaded(start, stop)
        finally:
            if not self._open:  # closed meanwhile by another thread: nothing may stay
                self._release()

    def _loaded(self, start: int, stop: int) -> BufferList | None:
        first = self._request_first(start, stop) if self._version is None else None
        stop = min(stop, self.size)
        if start >= stop:
            return None
        if first is None or start >= first.stop:
            return self._fetch(start, stop)
        if stop <= first.stop:
            return first
        rest = self._fetch(first.stop, stop)
        return BufferList([*first.pieces(start, first.stop), *rest.pieces(first.stop, stop)], start=start)

    @property
    def path(self) -> str:
        """The path of the object in its store."""
        return self._path

    @property
    def size(self) -> int:
        """The size of the object in bytes. The first piece is fetched to learn it, if nothing was read yet."""
        if self._version is None:
            self._check_open()
        return self._pinned_version().size

    def __repr__(self) -> str:
        return redacted(f"<{type(self).__name__} {self._path!r} of {self._store!r}>")

    # Copies and pickles: everything but what is kept of the object's bytes.

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Callable[..., StoreReader], tuple[object, ...]]:
        self._check_open()
        store = pickled(self._store, index(protocol))
        return _restore, (type(self), store, self._path, self._arguments(), (self._position, self._version))

    @classmethod
    def _restored(cls, store: Any, path: str, arguments: dict[str, Any]) -> Self:  # noqa: ANN401 - as it was given
        """Make a reader without fetching anything."""
        return cls(store, path, **arguments)


def _restore(
    kind: type[R], store: object, path: str, arguments: dict[str, object], state: tuple[int, Version | None]
) -> R:
    reader = kind._restored(store, path, arguments)  # noqa: SLF001 - of the same family
    reader._position, version = state  # noqa: SLF001
    if version is not None:
        reader._version = version  # noqa: SLF001
    return reader
