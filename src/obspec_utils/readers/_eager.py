"""A reader that holds the whole object in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from obspec import Get

from obspec_utils._body import Limits, SplitBody
from obspec_utils._missing import naming_the_object
from obspec_utils._plan import MAX_CONCURRENT_REQUESTS, REQUEST_SIZE
from obspec_utils._requests import begin
from obspec_utils._validation import positive_int
from obspec_utils.readers._base import StoreReader
from obspec_utils.readers._window import NOTHING

if TYPE_CHECKING:
    from typing import Self

    from obspec_utils._buffers import Parts
    from obspec_utils._response import Answer
    from obspec_utils.readers._window import Window

__all__ = ["EagerStoreReader"]


class EagerStoreReader(StoreReader):
    """Read an object that is loaded into memory, in parallel parts, when the reader is made.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`.
    path
        The object's path in the store.
    request_size
        About how many bytes each request asks for. Up to `max_concurrent_requests` parts it is the most; beyond, parts
        are cut so that they fill whole waves of requests.
    file_size
        What the caller believes the size to be, in bytes. The first request tells the real one, so this changes
        nothing that is read and saves nothing; it is accepted for the sake of callers that give it.
    max_concurrent_requests
        The most requests in flight.

    Raises
    ------
    FileNotFoundError
        If there is no such object.
    ObjectChangedError
        If a later part is of another version than the first: by ETag, else Last-Modified, else size alone.
    ValueError
        If a number is not positive (`file_size`: negative).
    """

    class Store(Get, Protocol):
        """What this reader needs of a store."""

    def __init__(
        self,
        store: Store,
        path: str,
        request_size: int = REQUEST_SIZE,
        file_size: int | None = None,
        max_concurrent_requests: int = MAX_CONCURRENT_REQUESTS,
    ) -> None:
        self._set_up(request_size, file_size, max_concurrent_requests)
        super().__init__(store, path)
        with naming_the_object(store, path):
            self._load_all()

    def _set_up(
        self,
        request_size: int,
        file_size: int | None = None,
        max_concurrent_requests: int = MAX_CONCURRENT_REQUESTS,
    ) -> None:
        self._limits = Limits(
            positive_int("request_size", request_size), positive_int("max_concurrent_requests", max_concurrent_requests)
        )
        self._file_size = None if file_size is None else positive_int("file_size", file_size, least=0)
        self._parts: Parts | None = None

    def _arguments(self) -> dict[str, object]:
        return {
            "request_size": self._limits.request_size,
            "file_size": self._file_size,
            "max_concurrent_requests": self._limits.max_concurrent,
        }

    @classmethod
    def _begun(cls, store: Any, path: str, first: Answer, request_size: int) -> Self:  # noqa: ANN401 - as given
        """Make a reader whose first part was asked for already."""
        reader = cls._restored(store, path, {"request_size": request_size})
        reader._load_rest(first)  # noqa: SLF001 - of this very class
        return reader

    @classmethod
    def _restored(cls, store: Any, path: str, arguments: dict[str, Any]) -> Self:  # noqa: ANN401 - as it was given
        reader = cls.__new__(cls)
        reader._set_up(**arguments)  # noqa: SLF001 - of this very class
        StoreReader.__init__(reader, store, path)
        return reader

    def _load_all(self) -> Parts:
        return self._load_rest(begin(self._store, self._path, self._limits.request_size))

    def _load_rest(self, first: Answer) -> Parts:
        body = SplitBody(self._store, first, self._limits)
        if self._version is not None:
            self._version.check(self._path, body.version)
        parts = body.load(body.version.size)
        self._version = body.version
        self._parts = parts
        return parts

    def _find(self, position: int) -> Window:
        parts = self._parts
        if parts is None or position >= parts.stop:
            return NOTHING
        self._window = window = parts.window(position)
        if not self._open:  # closed meanwhile by another thread: nothing may stay
            self._release()
        return window

    def _fetch(self, start: int, stop: int) -> Parts:  # noqa: ARG002 - the hook's signature
        parts = self._parts or self._load_all()  # not loaded yet: a reader that was unpickled
        self._window = parts.window(stop - 1)
        return parts

    def _release(self) -> None:
        super()._release()
        self._parts = None
