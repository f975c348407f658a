"""What every reader is: a read-only binary file over one version of one object."""

from __future__ import annotations

from collections import deque
from operator import index
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar, cast

from obspec_utils._buffers import Parts
from obspec_utils._fetch import fetch, first_body
from obspec_utils._missing import naming_the_object
from obspec_utils._pickling import pickled
from obspec_utils._plan import chain, split
from obspec_utils._redact import redacted
from obspec_utils._requests import begin
from obspec_utils._validation import check_path, check_store
from obspec_utils._version import Version
from obspec_utils.readers._file import PieceReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from obspec import ObjectMeta

    from obspec_utils._plan import Span
    from obspec_utils._response import Answer

__all__ = ["StoreReader"]

R = TypeVar("R", bound="StoreReader")


class StoreReader(PieceReader):
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

    def _keep(self, parts: Parts) -> None:
        """Keep the first piece of the object, or as much of it as the budget allows."""
        raise NotImplementedError

    def _fetch(self, start: int, stop: int) -> Parts:
        """Return parts that hold at least the bytes from `start` to `stop`, which lie within the object.

        Sets the window to a piece that is kept.
        """
        raise NotImplementedError

    def _arguments(self) -> dict[str, object]:
        """Return the options the reader was made with, by the names its constructor has for them."""
        raise NotImplementedError

    # What they build on.

    def _request(self, spans: Sequence[Span], part_size: int, limit: int) -> deque[Parts]:
        """Fetch spans of this version side by side, in parts of about `part_size`; return the parts in order.

        They are in a deque, so that whoever copies out of them can let go of each before the next.
        """
        plan = chain([split(span, part_size, limit) for span in spans])
        buffers = fetch(self._store, self._path, plan, self._known(), limit)
        return deque(Parts([buffer], part.start) for buffer, part in zip(buffers, plan, strict=True))

    def _known(self) -> Version:
        if self._version is None:
            with naming_the_object(self._store, self._path):
                self._begin(0, 0)
        return cast("Version", self._version)

    def _begin(self, start: int, stop: int) -> Parts:
        """Ask for the first piece, which tells size and version."""
        length = self._first_length(start, stop)
        parts = self._start_with(begin(self._store, self._path, length))
        if not self._open:  # closed meanwhile by another thread: nothing may stay
            self._release()
        return parts

    def _start_with(self, answer: Answer) -> Parts:
        """Take size and version from the answer to a first request, and keep what it brings."""
        parts = Parts([first_body(self._store, answer)])
        self._know(answer)
        self._keep(parts)
        return parts

    def _know(self, answer: Answer) -> Version:
        """Take the version from the answer to a first request."""
        found = Version.of(cast("ObjectMeta", answer.meta))
        # One operation: of two threads that begin at the same time, the second must have met the version of the first.
        first: Version = vars(self).setdefault("_version", found)
        first.check(self._path, found)
        return first

    def _load(self, start: int, stop: int) -> Parts | None:
        """Return parts that hold the bytes from `start` to `stop` or to the end; None if there are none."""
        try:
            with naming_the_object(self._store, self._path):
                return self._loaded(start, stop)
        finally:
            if not self._open:  # closed meanwhile by another thread: nothing may stay
                self._release()

    def _loaded(self, start: int, stop: int) -> Parts | None:
        first = self._begin(start, stop) if self._version is None else None
        stop = min(stop, self.size)
        if start >= stop:
            return None
        if first is None or start >= first.stop:
            return self._fetch(start, stop)
        if stop <= first.stop:
            return first
        rest = self._fetch(first.stop, stop)
        return Parts([*first.pieces(start, first.stop), *rest.pieces(first.stop, stop)], start=start)

    @property
    def path(self) -> str:
        """The path of the object in its store."""
        return self._path

    @property
    def size(self) -> int:
        """The size of the object in bytes. The first piece is fetched to learn it, if nothing was read yet."""
        if self._version is None:
            self._check_open()
        return self._known().size

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
