"""The interface of a reader's strategy, which provides the bytes of one version of an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from obspec_utils._io.single_flight import SingleFlight
from obspec_utils._redact import redacted

if TYPE_CHECKING:
    from collections.abc import Callable

    from obspec_utils._io.buffers import BufferList
    from obspec_utils._version import Version
    from obspec_utils.readers._stats import ReaderStats
    from obspec_utils.readers._version_options import VersionOptions

__all__ = ["NO_PIECE", "CachedPiece", "Strategy"]

# A piece of the object in memory: its start, its stop, its bytes. Slicing bytes is faster than slicing a memoryview.
CachedPiece: TypeAlias = tuple[int, int, bytes | memoryview]

T = TypeVar("T")

NO_PIECE: Final[CachedPiece] = (0, 0, b"")


class Strategy:
    """Fetch and cache the bytes of one object.

    Attributes
    ----------
    version
        The version of the first response, with which later ones are compared; None before the first request.
    size
        The size of that version in bytes; 0 before the first request.
    ranges_ignored
        Whether the server responds to ranges with the whole object.
    is_closed
        Whether the reader was closed.
    """

    version: Version | None = None
    size = 0
    ranges_ignored = False
    is_closed = False

    def __init__(self, store: object, path: str, versions: VersionOptions) -> None:
        self._store = store
        self._path = path
        self._versions = versions
        self._in_flight: SingleFlight[bool] = SingleFlight()

    def pin(self, version: Version) -> None:
        """Set the version; raise ObjectChangedError if another one is set already."""
        # setdefault is atomic: of two threads that send a first request, the second is compared with the first.
        first: Version = vars(self).setdefault("_first_version", version)
        first.check(self._path, version)
        self.size = first.size
        self.version = first  # last: another thread that sees it needs the size

    def load_once(self, start: int, stop: int) -> tuple[BufferList, CachedPiece]:
        """Load as `load` does; of threads that read first, one sends the first request, and the others wait for it."""
        raise NotImplementedError

    def _once(self, function: Callable[[], T]) -> T | None:
        """Call a function; if another thread is doing so, wait for that instead, and return None."""
        results: list[T] = []

        def call() -> bool:
            results.append(function())
            return True

        self._in_flight.run(None, call, find=_nothing, keep=_keep_nothing)
        if results:
            return results[0]
        self.check_open()
        return None

    def check_open(self) -> None:
        """Raise ValueError if the reader was closed: what another thread fetched for this one is gone."""
        if self.is_closed:
            msg = f"I/O operation on closed file: {redacted(self._path)!r}"
            raise ValueError(msg)

    def find(self, position: int) -> CachedPiece:
        """Return the cached piece that holds a position, `NO_PIECE` if there is none."""
        raise NotImplementedError

    def cached(self, start: int, stop: int) -> tuple[BufferList, CachedPiece] | None:
        """Return what `load` would, if no request is needed for it; else None."""
        raise NotImplementedError

    def load(self, start: int, stop: int) -> tuple[BufferList, CachedPiece]:
        """Return buffers that hold the bytes from `start` to `stop`, or to the object's end, and set the version.

        The second value is the cached piece that the next read most likely starts in, `NO_PIECE` if there is none.
        """
        raise NotImplementedError

    def stats(self) -> ReaderStats:
        """Return what was requested, used and kept so far."""
        raise NotImplementedError

    def clear(self) -> None:
        """Free the cached bytes: the reader is closed."""
        self.is_closed = True


def _nothing(_: object) -> None:
    """Find nothing: what is cached was looked up before."""


def _keep_nothing(_: object, __: object) -> None:
    """Keep nothing: the strategy has done so."""
