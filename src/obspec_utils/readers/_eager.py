"""A reader that holds the whole object in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from obspec import Get

from obspec_utils._io.multipart import MultipartBody, PartLimits
from obspec_utils._io.not_found import not_found_named
from obspec_utils._io.request import request_first
from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS, REQUEST_SIZE
from obspec_utils._validation import positive_int
from obspec_utils.readers._cached_piece import NO_PIECE
from obspec_utils.readers._store_reader import StoreReader

if TYPE_CHECKING:
    from typing import Self

    from obspec_utils._io.buffers import BufferList
    from obspec_utils._io.response import Response
    from obspec_utils.readers._cached_piece import CachedPiece

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
        with not_found_named(store, path):
            self._load_all()

    def _set_up(
        self,
        request_size: int,
        file_size: int | None = None,
        max_concurrent_requests: int = MAX_CONCURRENT_REQUESTS,
    ) -> None:
        self._limits = PartLimits(
            positive_int("request_size", request_size), positive_int("max_concurrent_requests", max_concurrent_requests)
        )
        self._file_size = None if file_size is None else positive_int("file_size", file_size, least=0)
        self._parts: BufferList | None = None

    def _arguments(self) -> dict[str, object]:
        return {
            "request_size": self._limits.request_size,
            "file_size": self._file_size,
            "max_concurrent_requests": self._limits.max_concurrent,
        }

    @classmethod
    def _from_first_response(cls, store: Any, path: str, first: Response, request_size: int) -> Self:  # noqa: ANN401 - as given
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

    def _load_all(self) -> BufferList:
        return self._load_rest(request_first(self._store, self._path, self._limits.request_size))

    def _load_rest(self, first: Response) -> BufferList:
        body = MultipartBody(self._store, first, self._limits)
        if self._version is not None:
            self._version.check(self._path, body.version)
        parts = body.load(body.version.size)
        self._version = body.version
        self._parts = parts
        return parts

    def _find(self, position: int) -> CachedPiece:
        parts = self._parts
        if parts is None or position >= parts.stop:
            return NO_PIECE
        self._window = window = parts.window(position)
        if not self._open:  # closed meanwhile by another thread: nothing may stay
            self._release()
        return window

    def _fetch(self, start: int, stop: int) -> BufferList:  # noqa: ARG002 - the hook's signature
        parts = self._parts or self._load_all()  # not loaded yet: a reader that was unpickled
        self._window = parts.window(stop - 1)
        return parts

    def _release(self) -> None:
        super()._release()
        self._parts = None
